"""What differs between two builds, in the manifest's words. Pure but for reading the files that differ.

Goes in: two sides, each a build of the store or the working tree. Comes out: fields of the manifest by path with old
and new value, files that were added, removed or changed, and whether the lock differs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bedplate.blueprint.model import FileRef
from bedplate.release.wording import differences

_COUNTED = 512 * 1024  # bytes up to which the lines of a file are compared
Action = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Side:
    """One of the two: `lines` has the line of each dotted path of its manifest, `read` gives a file's content."""

    label: str
    digest: str
    manifest: str
    document: Mapping[str, Any]
    lines: Mapping[str, int]
    files: Mapping[str, FileRef]
    lock: FileRef | None
    read: Callable[[FileRef], bytes]


@dataclass(frozen=True)
class FieldChange:
    """A field of the manifest by its path, with both values as it writes them, and its line in the newer one."""

    path: str
    old: str
    new: str
    where: str


@dataclass(frozen=True)
class FileChange:
    """A file that differs. Lines are counted for text of moderate size only, else None."""

    path: str
    action: Action
    added_lines: int | None = None
    removed_lines: int | None = None


@dataclass(frozen=True)
class BuildDiff:
    """Everything that differs; `lock` is "" where it does not."""

    old: str
    new: str
    fields: tuple[FieldChange, ...]
    files: tuple[FileChange, ...]
    lock: Action | Literal[""]

    @property
    def empty(self) -> bool:
        """Whether both are the same build."""
        return self.old == self.new

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON values (schema `bedplate.dev/build-diff/v1`)."""
        return {"schema": "bedplate.dev/build-diff/v1", "ok": True, **asdict(self)}


def compare(old: Side, new: Side) -> BuildDiff:
    """What `new` has that `old` has not, and the other way round."""
    if old.digest == new.digest:
        return BuildDiff(old.digest, new.digest, (), (), "")
    return BuildDiff(old.digest, new.digest, tuple(_fields(old, new)), tuple(_files(old, new)), _lock(old, new))


def _fields(old: Side, new: Side) -> Iterator[FieldChange]:
    for path, was, becomes in differences(old.document, new.document):
        yield FieldChange(path, was, becomes, _where(path, new))


def _where(path: str, side: Side) -> str:
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if line := side.lines.get(".".join(parts[:end])):
            return f"{side.manifest}:{line}"
    return ""


def _files(old: Side, new: Side) -> Iterator[FileChange]:
    for path in sorted({*old.files, *new.files}):
        before, after = old.files.get(path), new.files.get(path)
        if before is None and after is not None:
            yield FileChange(path, "added", *_moved(b"", new.read(after)))
        elif after is None and before is not None:
            yield FileChange(path, "removed", *_moved(old.read(before), b""))
        elif before is not None and after is not None and before.sha256 != after.sha256:
            yield FileChange(path, "changed", *_moved(old.read(before), new.read(after)))


def _lock(old: Side, new: Side) -> Action | Literal[""]:
    match old.lock, new.lock:
        case None, FileRef():
            return "added"
        case FileRef(), None:
            return "removed"
        case FileRef(sha256=was), FileRef(sha256=becomes) if was != becomes:
            return "changed"
        case _:
            return ""


def _moved(old: bytes, new: bytes) -> tuple[int | None, int | None]:
    """Lines that were added and removed; None for each where that cannot be said."""
    if max(len(old), len(new)) > _COUNTED:
        return None, None
    try:
        before, after = old.decode("utf-8").splitlines(), new.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None, None
    added = removed = 0
    for kind, start, end, first, last in difflib.SequenceMatcher(a=before, b=after).get_opcodes():
        if kind != "equal":
            removed, added = removed + end - start, added + last - first
    return added, removed
