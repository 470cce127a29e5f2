"""`access diff`: what the agent of one side may do beyond that of another, whatever the sides are.

Goes in: two references: a manifest's file, a git revision, or a stage of the manifest. Comes out: findings for each
pair of stages. Nothing of a side is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bedplate.access.findings import Finding, compare
from bedplate.access.judges import judge
from bedplate.access.reach import Reach
from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.reach import documents, reach
from bedplate.manifest.project import MANIFEST_NAME
from bedplate.problems import BedplateError, ExitCode, Problem
from bedplate.review.git import Repository
from bedplate.review.model import Revision
from bedplate.review.sides import Reader, Side, resolved

SCHEMA = "bedplate.dev/access-diff/v1"
Verdict = Literal["same", "narrower", "wider", "unproved"]
_KINDS = ("file", "git", "stage")


@dataclass(frozen=True)
class Pair:
    """Two stages compared: their names, "" where a side has none, and the findings in the order of their ids."""

    old: str
    new: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest of the findings; what is unproved counts as wider, but is said to be unproved."""
        effects = {finding.effect for finding in self.findings}
        return next((effect for effect in ("wider", "unproved", "narrower") if effect in effects), "same")


@dataclass(frozen=True)
class AccessDiff:
    """The whole comparison. `old` and `new` say what was compared."""

    agent: str
    old: str
    new: str
    pairs: tuple[Pair, ...]

    @property
    def exit(self) -> ExitCode:
        """3 where anything is wider or unproved."""
        widens = any(pair.verdict in {"wider", "unproved"} for pair in self.pairs)
        return ExitCode.NEEDS_APPROVAL if widens else ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON values (schema `bedplate.dev/access-diff/v1`)."""
        pairs = [
            {
                "old": pair.old,
                "new": pair.new,
                "verdict": pair.verdict,
                "findings": [
                    {"id": f"A{n}", **asdict(f), "digest": f.digest(self.agent, pair.new)}
                    for n, f in enumerate(pair.findings, 1)
                ],
            }
            for pair in self.pairs
        ]
        return {
            "schema": SCHEMA,
            "ok": self.exit is ExitCode.OK,
            "agent": self.agent,
            "old": self.old,
            "new": self.new,
            "pairs": pairs,
        }


def access_diff(manifest: Path, old: str, new: str, stage: str | None = None) -> AccessDiff:
    """Compare. `stage` names the stage of sides that are no stage themselves; without it all are compared by name.

    Raises BP791 to BP793 for a revision that cannot be read, BP870 for a reference that means nothing or two things,
    BP871 for a stage that a side does not have, and what `validate` says of a side.
    """
    with tempfile.TemporaryDirectory(prefix="bedplate-access-") as folder:
        before, after = sides_of(manifest, Path(folder).resolve(), old, new)
        pairs = tuple(_pairs(before, after, stage))
        agent = next(iter((after.blueprints or before.blueprints).values())).name
    return AccessDiff(agent, before.label, after.label, pairs)


def sides_of(manifest: Path, folder: Path, old: str, new: str) -> tuple[Reference, Reference]:
    """Both sides, read; `folder` is empty and holds what is read of a repository. Raises as `access_diff` does."""
    reader = _References(manifest / MANIFEST_NAME if manifest.is_dir() else manifest, folder)
    return reader.side(old), reader.side(new)


@dataclass(frozen=True)
class Reference:
    """One side, read. `stage` is set where the reference itself names one."""

    label: str
    blueprints: Mapping[str, Blueprint]
    stage: str = ""

    def of(self, stage: str) -> Blueprint:
        """Raises BP871."""
        if stage not in self.blueprints:
            known = ", ".join(self.blueprints) or "none"
            raise BedplateError(Problem("BP871", f"{self.label} has no stage {stage}", fix=f"it has: {known}"))
        return self.blueprints[stage]


@dataclass(frozen=True)
class _References:
    """Reads references; `manifest` is the one that stages and revisions are of."""

    manifest: Path
    folder: Path

    def side(self, text: str) -> Reference:
        kind, separator, name = text.partition(":")
        if not separator or kind not in _KINDS:
            kind, name = self._guessed(text), text
        match kind:
            case "file":
                path = Path(name) / MANIFEST_NAME if Path(name).is_dir() else Path(name)
                return _reference(resolved(Revision("", name), path.absolute(), enforced=False), name)
            case "stage":
                found = resolved(Revision("", name), self.manifest.absolute(), enforced=False)
                side = _reference(found, f"stage {name}")
                side.of(name)
                return Reference(side.label, side.blueprints, name)
            case _:
                return self._revision(name)

    def _guessed(self, text: str) -> str:
        """What a reference without its kind is. Raises BP870 where that is nothing, or more than one thing."""
        meant = [kind for kind, is_one in self._meanings(text) if is_one]
        if len(meant) == 1:
            return meant[0]
        if not meant:
            fix = "give a manifest, a stage of it, or a branch, tag or commit"
            raise BedplateError(Problem("BP870", f"{text} is no file, no stage and no revision", fix=fix))
        fix = f"write {' or '.join(f'{kind}:{text}' for kind in meant)}"
        raise BedplateError(Problem("BP870", f"{text} can mean a {' or a '.join(meant)}", fix=fix))

    def _meanings(self, text: str) -> Iterator[tuple[str, bool]]:
        yield "file", Path(text).exists()
        yield "stage", self.manifest.is_file() and text in _stages(self.manifest)
        yield "git", self._is_revision(text)

    def _is_revision(self, text: str) -> bool:
        try:
            Repository(self.manifest.parent).commit(text)
        except BedplateError as error:
            if error.problems[0].code in {"BP791", "BP792"}:
                return False
            raise
        return True

    def _revision(self, name: str) -> Reference:
        repository = Repository(self.manifest.parent)
        commit = repository.commit(name)
        side = Reader(repository, self.manifest, self.folder).read(Revision(commit, name), enforced=False)
        return _reference(side, f"{name} ({commit[:12]})" if not commit.startswith(name) else commit[:12])


def _stages(manifest: Path) -> tuple[str, ...]:
    from bedplate.manifest.load import examine

    return tuple(examine(manifest).stages)


def _reference(side: Side, label: str) -> Reference:
    if side.problems:
        raise BedplateError(*side.problems)
    if not side.blueprints:
        raise BedplateError(Problem("BP001", f"there is no manifest at {label}", fix="name the file with -f"))
    return Reference(label, side.blueprints)


def _pairs(old: Reference, new: Reference, stage: str | None) -> Iterator[Pair]:
    named = stage or old.stage or new.stage
    if named:
        yield _pair(old.of(old.stage or named), new.of(new.stage or named))
        return
    for name, blueprint in new.blueprints.items():
        yield _pair(old.blueprints.get(name), blueprint)
    for name, blueprint in old.blueprints.items():
        if name not in new.blueprints:
            yield Pair(name, "", compare(reach(blueprint), Reach(), documents(blueprint), oracle=judge()))


def _pair(old: Blueprint | None, new: Blueprint) -> Pair:
    known = {**(documents(old) if old else {}), **documents(new)}
    found = compare(reach(old) if old else None, reach(new), known, oracle=judge())
    return Pair(old.stage if old else "", new.stage, found)
