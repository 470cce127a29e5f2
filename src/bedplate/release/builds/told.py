"""What differs between the builds of a stage and no other section of its plan or review tells.

Goes in: two sides with the stage's merged manifests, the changes and findings that are told already. Comes out:
`FileChange`s: code, datasets, packages, the lock, and fields of the manifest that no resource shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bedplate.access.findings import Finding
from bedplate.blueprint.digest import canonical
from bedplate.blueprint.lock import Lock
from bedplate.blueprint.lock import read as read_lock
from bedplate.manifest.load import LoadedManifest
from bedplate.problems import BedplateError
from bedplate.release.builds.cases import CaseChange, case_changes
from bedplate.release.builds.compare import (
    FileChange,
    Side,
    changed_paths,
    file_change,
    line_of,
    lock_action,
    lock_file,
    role_of,
)
from bedplate.release.builds.roles import Role
from bedplate.release.plan import Change
from bedplate.release.relocking import changes as pin_changes
from bedplate.release.relocking import told as words
from bedplate.release.wording import differences

OF_ANOTHER = "of another stage"
"""What a file of the build is that this stage does not use."""
_OWN = ("target", "from", "approvals")
"""What a stage says of itself and not of the agent."""


_UNORDERED = ("scopes", "never")


def of_stage(side: Side, loaded: LoadedManifest, stage: str, lines: Mapping[str, int]) -> Side:
    """The side with the manifest as it is for one stage: its overlay merged in, of `stages` its own fields only.

    `lines` are those of the merged manifest, by dotted path.
    """
    declared = (loaded.document.get("stages") or {}).get(stage) or {}
    own = {key: value for key, value in declared.items() if key in _OWN}
    merged = {key: value for key, value in loaded.stages[stage].source.data.items() if key != "stages"}
    written = {path: where.line for path, where in loaded.lines.items()}
    document = {**merged, **({"stages": {stage: own}} if own else {})}
    return replace(side, document=document, lines={**written, **lines})


def untold(old: Side, new: Side, changes: Iterable[Change], findings: Iterable[Finding]) -> tuple[FileChange, ...]:
    """What is left to tell once `changes` and `findings` are. Files that are equal by their hash are not opened."""
    if old.digest == new.digest:
        return ()
    told = frozenset((*_told_by_changes(changes), *_told_by_findings(findings)))
    return (*_files(old, new, told), *_pins(old, new), *_fields(old, new, told))


def _pins(old: Side, new: Side) -> Iterator[FileChange]:
    """The lock, where it differs, with the pins that do. One that is none is told where manifests are checked."""
    for found in lock_file(lock_action(old.lock, new.lock)):
        try:
            differ = pin_changes(_lock(old), _lock(new))
        except BedplateError:
            differ = ()
        yield replace(found, what=f"{found.what}: {words(differ)}") if differ else found


def _lock(side: Side) -> Lock:
    """The lock of a side, empty where it has none. Raises BedplateError where it is none."""
    return read_lock(side.read(side.lock).decode("utf-8-sig")) if side.lock else Lock()


def _told_by_changes(changes: Iterable[Change]) -> Iterator[str]:
    """Paths of the manifest that the changes speak of."""
    for change in changes:
        yield from (detail.path for detail in change.details)
        if change.kind == "index":
            yield f"data.{change.name}"


def _told_by_findings(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"tools.{finding.subject}.scopes"
        if "`never`" in finding.reason:
            yield "never"


def _is_told(path: str, told: Collection[str]) -> bool:
    """Whether this field is told, or one in it, or one that it is in."""
    return any(f"{path}.".startswith(f"{other}.") or other.startswith(f"{path}.") for other in told)


def _files(old: Side, new: Side, told: Collection[str]) -> Iterator[FileChange]:
    cases = case_changes(old, new)
    for path, action in changed_paths(old, new):
        is_a = role_of(path, old, new)
        if is_a and is_a.kind in ("document", "instructions") and _is_told(is_a.place, told):
            continue
        found = file_change(path, action, old, new, is_a)
        yield replace(found, what=f"{found.what}{_asks(is_a, cases)}" if is_a else OF_ANOTHER)


def _asks(is_a: Role, cases: Mapping[str, CaseChange]) -> str:
    counted = {cases[name].words for name in is_a.of if name in cases} if is_a.kind == "dataset" else set()
    return "".join(f": {words}" for words in counted)


def _fields(old: Side, new: Side, told: Collection[str]) -> Iterator[FileChange]:
    """Fields of the manifest that no resource shows, such as `runtime` or a default that is now written out."""
    for path, was, becomes in differences(_plain(old.document), _plain(new.document)):
        if not _is_told(path, told):
            yield FileChange(new.manifest, "changed", what=f"{path}: {was} → {becomes}", where=line_of(path, new))


def _plain(value: Any, unordered: bool = False) -> Any:
    """The manifest with lists sorted where their order means nothing."""
    match value:
        case Mapping():
            return {key: _plain(inner, unordered or key in _UNORDERED) for key, inner in value.items()}
        case list():
            items = [_plain(inner, unordered) for inner in value]
            return sorted(items, key=canonical) if unordered else items
        case _:
            return value
