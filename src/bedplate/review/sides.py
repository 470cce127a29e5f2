"""The sides of a comparison: a manifest with everything that it names, read from a revision or from disk.

Goes in: a repository and a revision, or a folder. Comes out: `Side`, with the blueprint of each stage or the problems.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bedplate.blueprint.model import Blueprint
from bedplate.problems import BedplateError, Problem, Where
from bedplate.release.approvals import FOLDER
from bedplate.release.builds.compare import Side as Contents
from bedplate.release.builds.sides import contents_of
from bedplate.release.builds.told import of_stage
from bedplate.review.git import Repository
from bedplate.review.model import Revision

_ANCESTORS = 20
"""How many earlier versions of a manifest are tried where the base's own does not validate."""


@dataclass(frozen=True)
class Side:
    """One revision, read: its stages by name, or its problems; `folder` is where its files are."""

    revision: Revision
    folder: Path
    blueprints: Mapping[str, Blueprint] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    contents: Mapping[str, Contents] = field(default_factory=dict)
    """By stage, the manifest as it is there and the files of the build."""


@dataclass(frozen=True)
class Reader:
    """Reads revisions of one manifest."""

    repository: Repository
    manifest: Path
    folder: Path

    def working_tree(self) -> Side:
        """The files as they are on disk."""
        return resolved(Revision("", "working tree"), self.manifest)

    def read(self, revision: Revision, *, enforced: bool = True) -> Side:
        """A commit, with everything that `validate` would say of it."""
        into = Path(tempfile.mkdtemp(dir=self.folder))
        skipped = self.repository.materialise(revision.commit, self.repository.prefix, into, plain=(FOLDER,))
        side = resolved(revision, into / self.manifest.name, enforced=enforced)
        return replace(side, notes=(*side.notes, *(f"submodule {path} is left out" for path in skipped)))

    def valid(self, revision: Revision) -> Side:
        """The base, or where its manifest does not validate the nearest earlier one that does."""
        first = self.read(revision, enforced=False)
        if not first.blueprints and not first.problems:
            note = f"there is no {self.manifest.name} at {revision.label}: compared with nothing"
            return replace(first, notes=(*first.notes, note))
        if not first.problems:
            return first
        for commit in self.repository.history(revision.commit, self.manifest.name, _ANCESTORS):
            side = self.read(replace(revision, commit=commit), enforced=False) if commit != revision.commit else first
            if not side.problems:
                note = (
                    f"the manifest at {revision.label} does not validate: compared with {side.revision.label} before it"
                )
                return replace(side, notes=(*side.notes, note))
        note = f"the manifest at {revision.label} does not validate, and none before it: everything counts as new"
        return replace(first, notes=(*first.notes, note))


def resolved(revision: Revision, manifest: Path, *, enforced: bool = True) -> Side:
    """The manifest as it lies on disk, with everything that `validate` would say of it.

    Without `enforced` nothing is said of what holds its scopes: of what was is not asked what holds it today.
    """
    from bedplate.release.check import validate

    folder = manifest.parent
    side = Side(revision, folder)
    if manifest.is_symlink():
        fix = "commit the file itself"
        return replace(side, problems=(Problem("BP001", f"{manifest.name} is a link", Where(manifest.name), fix=fix),))
    if not manifest.exists():
        return side
    try:
        found = validate(manifest, enforced=enforced)
    except BedplateError as error:
        return replace(side, problems=tuple(_placeless(problem, folder) for problem in error.problems))
    contents = contents_of(found.loaded, found.inputs, folder, revision.label)
    return replace(
        side,
        revision=replace(revision, build=found.inputs.digest),
        blueprints={b.stage: b for b in found.blueprints},
        contents={b.stage: of_stage(contents, found.loaded, b.stage, b.lines) for b in found.blueprints},
    )


def _placeless(problem: Problem, folder: Path) -> Problem:
    """The problem without the temporary folder that the revision was read in."""
    texts = [text.replace(f"{folder}/", "") for text in (problem.summary, problem.detail, problem.fix)]
    return replace(problem, summary=texts[0], detail=texts[1], fix=texts[2])
