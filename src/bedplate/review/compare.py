"""The comparison: two revisions of a manifest, and everything that it names, to a `Review`.

Goes in: the manifest's path in a git repository, revisions, eval results. Comes out: findings, changes and evidence for
every stage of either side. Revisions are written into a temporary folder, read there and deleted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bedplate.access.findings import Finding
from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.reach import documents
from bedplate.manifest.project import MANIFEST_NAME
from bedplate.problems import BedplateError, Problem
from bedplate.release.approvals import Approval, approved, read_approvals, slug, standing
from bedplate.release.behaviour import Document, suites_of
from bedplate.release.builds.cases import CaseChange, case_changes
from bedplate.release.builds.compare import FileChange
from bedplate.release.builds.told import OF_ANOTHER, untold
from bedplate.release.cost import cost_of
from bedplate.release.enforcing import matrix_of
from bedplate.release.plan import Change
from bedplate.release.reaching import Reaching, reaching
from bedplate.review.evidence import ignored, loosened
from bedplate.review.git import Repository
from bedplate.review.infrastructure import Infrastructure, is_record
from bedplate.review.model import Kind, Review, Revision, Row, Ruling, StageReview
from bedplate.review.sides import Reader, Side

_ORDER = {"wider": 0, "unproved": 1, "narrower": 2}


@dataclass(frozen=True)
class Request:
    """What to compare. Without `head` the current commit is meant, with `working_tree` the files as they are on disk.

    `evals` and `base_evals` are eval results, newest first; `now` is Unix time, by which approvals expire.
    """

    manifest: Path
    base: str
    head: str | None = None
    working_tree: bool = False
    evals: Sequence[Document] = ()
    base_evals: Sequence[Document] = ()
    now: float = field(default_factory=time.time)


def review(request: Request) -> Review:
    """Compare. Raises BedplateError where a revision cannot be read at all (BP791 to BP793)."""
    if request.manifest.is_dir():
        request = replace(request, manifest=request.manifest / MANIFEST_NAME)
    repository = Repository(request.manifest.parent)
    head = repository.commit(request.head or "HEAD")
    base = repository.merge_base(repository.commit(request.base), head)
    with tempfile.TemporaryDirectory(prefix="bedplate-review-") as folder:
        reader = Reader(repository, request.manifest, Path(folder).resolve())
        new = reader.working_tree() if request.working_tree else reader.read(Revision(head, request.head or "HEAD"))
        old = reader.valid(Revision(base, request.base))
        return _Comparison(request, repository.prefix + request.manifest.name, old, new).review()


@dataclass(frozen=True)
class _Comparison:
    request: Request
    file: str
    old: Side
    new: Side

    def review(self) -> Review:
        """Everything, stage by stage; of a head that is not valid its problems only."""
        problems = self.new.problems or self._nothing_there()
        known = next(iter({**self.old.blueprints, **self.new.blueprints}.values()), None)
        found = Review(known.name if known else "", self.file, self.old.revision, self.new.revision)
        found = replace(found, notes=(*self.old.notes, *self.new.notes))
        if problems:
            return replace(found, problems=problems)
        try:
            approvals = {name: read_approvals(self.new.folder, name) for name in self.new.blueprints}
        except BedplateError as error:
            return replace(found, problems=error.problems)
        return self._compared(found, approvals)

    def _nothing_there(self) -> tuple[Problem, ...]:
        if self.new.blueprints:
            return ()
        name = self.request.manifest.name
        return (
            Problem("BP001", f"there is no {name} at {self.new.revision.label}", fix="start one with `bedplate init`"),
        )

    def _compared(self, found: Review, approvals: Mapping[str, Sequence[Approval]]) -> Review:
        infrastructure = Infrastructure(self.request.manifest.name)
        reached = {name: self._reached(blueprint) for name, blueprint in self.new.blueprints.items()}
        stages = [self._stage(b, infrastructure, reached[b.stage].findings) for b in self.new.blueprints.values()]
        gone = [
            StageReview(name, "removed", behaviour="gone")
            for name in self.old.blueprints
            if name not in self.new.blueprints
        ]
        rows = _rows(
            (finding, self._ruling(finding, self.new.blueprints[name], each.required, approvals[name]))
            for name, each in reached.items()
            for finding in each.findings
        )
        suites = {stage.name: stage.suites for stage in stages}
        notes = ignored(self.request.evals, tuple(self.new.blueprints.values()), suites)
        return replace(found, agent=self._agent(), rows=rows, stages=(*stages, *gone), notes=(*found.notes, *notes))

    def _agent(self) -> str:
        return next(iter(self.new.blueprints.values())).name

    def _baseline(self, blueprint: Blueprint) -> tuple[Blueprint | None, str]:
        """What a stage is compared with, and that in words where it is not the stage itself."""
        source = blueprint.promoted_from
        if blueprint.stage in self.old.blueprints:
            return self.old.blueprints[blueprint.stage], ""
        if source and source in self.old.blueprints:
            return self.old.blueprints[source], f"new stage, compared with {source} as it was"
        if source and not self.old.problems:
            return self.new.blueprints[source], f"new stage, compared with {source}, which is new too"
        return None, "nothing to compare with" if self.old.problems else "new stage"

    def _reached(self, blueprint: Blueprint) -> Reaching:
        old, _ = self._baseline(blueprint)
        return reaching(old, blueprint, {**(documents(old) if old else {}), **documents(blueprint)})

    def _stage(self, blueprint: Blueprint, infrastructure: Infrastructure, found: Sequence[Finding]) -> StageReview:
        baseline, words = self._baseline(blueprint)
        before = self.old.blueprints.get(blueprint.stage)
        changes, unchanged = infrastructure.compare(before, blueprint)
        files = self._files(blueprint.stage, changes, found)
        less = tuple(loosened(before, blueprint, self._cases(blueprint.stage))) if before else ()
        moved = before is None or before.digests.behaviour != blueprint.digests.behaviour
        if not moved and all(is_record(change) for change in changes):
            changes = ()
        told = moved or changes or files or less or found
        kind: Kind = "added" if before is None else "changed" if told else "same"
        was = baseline.digests.behaviour if baseline else ""
        return StageReview(
            name=blueprint.stage,
            kind=kind,
            baseline=words,
            changes=changes,
            unchanged=unchanged,
            behaviour="new" if before is None else "changed" if moved else "same",
            suites=suites_of(blueprint, (*self.request.evals, *self.request.base_evals), was),
            loosened=less,
            promoted_from=blueprint.promoted_from or "",
            cost=_cost(before, blueprint),
            files=files,
            enforcement=_gaps(blueprint),
        )

    def _files(self, stage: str, changes: Sequence[Change], found: Sequence[Finding]) -> tuple[FileChange, ...]:
        """What else differs in a stage that was there before; what only another stage has is told there."""
        if stage not in self.old.contents:
            return ()
        files = untold(self.old.contents[stage], self.new.contents[stage], changes, found)
        return tuple(file for file in files if file.what != OF_ANOTHER)

    def _cases(self, stage: str) -> Mapping[str, CaseChange]:
        old = self.old.contents.get(stage)
        return case_changes(old, self.new.contents[stage]) if old else {}

    def _ruling(self, finding: Finding, blueprint: Blueprint, required: int, approvals: Sequence[Approval]) -> Ruling:
        digest = finding.digest(blueprint.name, blueprint.stage)
        if finding.effect == "narrower" or not required:
            return Ruling(blueprint.stage, digest, "free")
        own = [a for a in approvals if a.agent == blueprint.name and a.finding == digest]
        agreed = {slug(a.approver): a.approver for a in own if standing(a, self.request.now) == "counts"}
        enough = approved(digest, own, required, self.request.now)
        return Ruling(blueprint.stage, digest, "approved" if enough else "needed", tuple(agreed.values()), required)


def _cost(old: Blueprint | None, new: Blueprint) -> str:
    """What the stage costs as far as it is known, and what it did where that was another sum."""
    words = [
        f"infrastructure {cost.infrastructure}, tokens {cost.tokens}" + (f", {cost.bound}" if cost.bound else "")
        for cost in (cost_of(blueprint) for blueprint in (old, new) if blueprint)
    ]
    return " → ".join(dict.fromkeys(words))


def _rows(found: Iterator[tuple[Finding, Ruling]]) -> tuple[Row, ...]:
    """One row for what is the same finding in several stages; what is wider first."""
    grouped: dict[tuple[str, ...], tuple[Finding, list[Ruling]]] = {}
    for finding, ruling in found:
        key = (finding.effect, finding.subject, finding.verb, finding.object, finding.behind, finding.reason)
        grouped.setdefault(key, (finding, []))[1].append(ruling)
    ordered = sorted(grouped.values(), key=lambda each: _ORDER[each[0].effect])
    return tuple(Row(f"A{n}", finding, tuple(rulings)) for n, (finding, rulings) in enumerate(ordered, 1))


def _gaps(blueprint: Blueprint) -> str:
    """What holds the scopes of a stage, where there is more to say than that all is held."""
    found = matrix_of(blueprint)
    return "" if found.calm else found.words
