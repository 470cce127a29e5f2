"""What differs between two builds, in the manifest's words. Pure but for reading the files that differ.

Goes in: two sides, each a build of the store or the working tree. Comes out: fields of the manifest by path with old
and new value, files that were added, removed or changed and what they are, and whether the lock differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bedplate.blueprint.lock import LOCK_NAME
from bedplate.blueprint.model import FileRef
from bedplate.release.builds.roles import Role, role
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
    """A file that differs. Lines are counted for text of moderate size only, else None; moved ones do not count.

    `what` is the file in the manifest's words (`code of tool quote`), "" where it names none; `where` is the line that
    names it. Of a stage's plan and review, `agent.yaml` is such a file for each field that nothing else tells.
    """

    path: str
    action: Action
    added_lines: int | None = None
    removed_lines: int | None = None
    what: str = ""
    where: str = ""

    @property
    def symbol(self) -> str:
        """`+ ~ -`."""
        return {"added": "+", "changed": "~", "removed": "-"}[self.action]

    @property
    def lines(self) -> str:
        """`+2 −1 lines`; "" where none were counted."""
        counted = ((self.added_lines, "+"), (self.removed_lines, "−"))
        moved = [f"{sign}{n}" for n, sign in counted if n]
        return f"{' '.join(moved)} {'line' if moved in (['+1'], ['−1']) else 'lines'}" if moved else ""


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

    @property
    def lock_file(self) -> tuple[FileChange, ...]:
        """The lock as a file, where it differs."""
        return lock_file(self.lock)

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON values (schema `bedplate.dev/build-diff/v1`)."""
        return {"schema": "bedplate.dev/build-diff/v1", "ok": True, **asdict(self)}


def compare(old: Side, new: Side) -> BuildDiff:
    """What `new` has that `old` has not, and the other way round."""
    if old.digest == new.digest:
        return BuildDiff(old.digest, new.digest, (), (), "")
    return BuildDiff(
        old.digest, new.digest, tuple(_fields(old, new)), tuple(_files(old, new)), lock_action(old.lock, new.lock)
    )


def _fields(old: Side, new: Side) -> Iterator[FieldChange]:
    for path, was, becomes in differences(old.document, new.document):
        yield FieldChange(path, was, becomes, line_of(path, new))


def line_of(path: str, side: Side) -> str:
    """`agent.yaml:LINE` of the deepest part of a path that is written; "" where none is."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if line := side.lines.get(".".join(parts[:end])):
            return f"{side.manifest}:{line}"
    return ""


def _files(old: Side, new: Side) -> Iterator[FileChange]:
    for path, action in changed_paths(old, new):
        yield file_change(path, action, old, new, role_of(path, old, new))


def changed_paths(old: Side, new: Side) -> Iterator[tuple[str, Action]]:
    """Files that differ, by their hashes: none is opened."""
    for path in sorted({*old.files, *new.files}):
        before, after = old.files.get(path), new.files.get(path)
        if before is None or after is None:
            yield path, "removed" if before else "added"
        elif before.sha256 != after.sha256:
            yield path, "changed"


def role_of(path: str, old: Side, new: Side) -> Role | None:
    """What a file is; of one that is gone, what it was."""
    return role(path, new.document if path in new.files else old.document)


def file_change(path: str, action: Action, old: Side, new: Side, is_a: Role | None) -> FileChange:
    """The change of one file, with its lines counted."""
    added, removed = _lines(old, old.files.get(path), new, new.files.get(path))
    what, where = (is_a.what, line_of(is_a.place, new)) if is_a else ("", "")
    return FileChange(path, action, added, removed, what, where)


def lock_action(old: FileRef | None, new: FileRef | None) -> Action | Literal[""]:
    """What happened to the lock; "" for nothing."""
    match old, new:
        case None, FileRef():
            return "added"
        case FileRef(), None:
            return "removed"
        case FileRef(sha256=was), FileRef(sha256=becomes) if was != becomes:
            return "changed"
        case _:
            return ""


def lock_file(action: Action | Literal[""]) -> tuple[FileChange, ...]:
    """The lock as a file, where it differs."""
    return (FileChange(LOCK_NAME, action, what="lock"),) if action else ()


def _lines(old: Side, before: FileRef | None, new: Side, after: FileRef | None) -> tuple[int | None, int | None]:
    """Lines that were added and removed; None for each where that cannot be said."""
    if max(ref.size for ref in (before, after) if ref) > _COUNTED:
        return None, None
    try:
        was = Counter((old.read(before) if before else b"").decode("utf-8").splitlines())
        becomes = Counter((new.read(after) if after else b"").decode("utf-8").splitlines())
    except UnicodeDecodeError:
        return None, None
    return (becomes - was).total(), (was - becomes).total()
