"""Lines that are chained by hashes: what `releases.jsonl` and `releases.head` must look like. Pure.

Goes in: the bytes of both files. Comes out: the entries, or BP770 naming the line that was changed, moved, removed or
cut off. The chain shows later edits by whoever does not also rewrite the head; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.blueprint.digest import canonical
from bedplate.problems import BedplateError, Problem, Where

GENESIS = "sha256:" + "0" * 64
"""What the first line follows."""
_OWN = {"seq": int, "previous": str, "kind": str, "release": int, "time": str}


@dataclass(frozen=True)
class Entry:
    """One line. `time` is RFC 3339 in UTC, `digest` the hash of the line, `previous` that of the one before it."""

    seq: int
    previous: str
    kind: str
    release: int
    time: str
    body: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Head:
    """The last line that is known to be complete: its number (0 for none) and hash."""

    seq: int = 0
    digest: str = GENESIS

    def to_bytes(self) -> bytes:
        """The content of `releases.head`."""
        return canonical({"seq": self.seq, "hash": self.digest}) + b"\n"


@dataclass(frozen=True)
class Chain:
    """Verified entries, and how many bytes they take: what stands behind is a line whose writing was interrupted."""

    entries: tuple[Entry, ...]
    size: int

    @property
    def head(self) -> Head:
        """The head that belongs to these entries."""
        return Head(self.entries[-1].seq, self.entries[-1].digest) if self.entries else Head()


def next_line(head: Head, kind: str, release: int, time: str, body: Mapping[str, Any]) -> bytes:
    """The line that follows `head`, with its newline. Raises ValueError where `body` uses a key of the line itself."""
    if taken := sorted(_OWN.keys() & body.keys()):
        raise ValueError(f"a record's body may not hold {', '.join(taken)}")
    own = {"seq": head.seq + 1, "previous": head.digest, "kind": kind, "release": release, "time": time}
    return canonical({**body, **own}) + b"\n"


def parse_head(data: bytes | None, path: Path) -> Head | None:
    """`releases.head` as read; None where there is no file. Raises BP770."""
    if data is None:
        return None
    try:
        document = json.loads(data)
        head = Head(document["seq"], document["hash"])
    except (ValueError, KeyError, TypeError) as error:
        raise broken(path, 0, "releases.head cannot be read") from error
    if head.to_bytes() != data or type(head.seq) is not int or head.seq < 1:
        raise broken(path, 0, "releases.head is not as it was written")
    return head


def verify(data: bytes, head: Head | None, path: Path) -> Chain:
    """The entries of a log. Raises BP770.

    One line behind the head is right where it follows it: its writer died before it could move the head.
    """
    *lines, _ = data.split(b"\n")
    entries = tuple(entry_of(line, number, path) for number, line in enumerate(lines, 1))
    if head is None and len(entries) > 1:
        raise broken(path, 0, "releases.head is missing")
    known = head or Head()
    _check_ends(entries, known, path, torn=not data.endswith(b"\n") and bool(data))
    _check_links(entries, known, path)
    return Chain(entries, sum(len(line) + 1 for line in lines))


def entry_of(line: bytes, number: int, path: Path) -> Entry:
    """A line of the log, without its newline. Raises BP770."""
    try:
        document = json.loads(line)
        own = {key: document.pop(key) for key in _OWN}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise broken(path, number, f"line {number} is no record of a release") from error
    if not all(type(own[key]) is kind for key, kind in _OWN.items()):
        raise broken(path, number, f"line {number} is no record of a release")
    if own["seq"] != number:
        detail = f"line {number} has the number {own['seq']}: lines before it were removed, added or moved"
        raise broken(path, number, detail)
    return Entry(**own, body=document, digest="sha256:" + hashlib.sha256(line).hexdigest())


def _check_ends(entries: Sequence[Entry], head: Head, path: Path, *, torn: bool) -> None:
    """The log ends where the head says, or one line behind it."""
    count, missing = len(entries), head.seq - len(entries)
    if missing > 0 and torn:
        raise broken(path, count + 1, f"line {count + 1} is cut off; releases.head knows it whole")
    if missing > 0:
        raise broken(path, count, f"it ends after line {count}; releases.head knows {head.seq}")
    if missing < -1:
        raise broken(path, head.seq + 2, f"releases.head ends at line {head.seq}, and there are {count}")


def _check_links(entries: Sequence[Entry], head: Head, path: Path) -> None:
    """From the head backwards: each line vouches for the one before it, so the first that differs was changed."""
    wanted = head.digest
    for entry in reversed(entries):
        if entry.seq > head.seq:
            if entry.previous != head.digest:
                raise broken(path, entry.seq, f"line {entry.seq} does not follow the line that releases.head knows")
            continue
        if entry.digest != wanted:
            after = "releases.head" if entry.seq == head.seq else f"line {entry.seq + 1}"
            raise broken(path, entry.seq, f"line {entry.seq} is not the one that {after} follows")
        wanted = entry.previous
    if head.seq and wanted != GENESIS:
        raise broken(path, 1, "line 1 follows a line that is not there")


def broken(path: Path, line: int, detail: str) -> BedplateError:
    """BP770. `line` 0 names the whole file."""
    fix = f"put {path.name} and releases.head back from a backup, or move both away to begin the history anew"
    summary = f"the record of releases of stage {path.parent.name} is damaged"
    return BedplateError(Problem("BP770", summary, Where(path.name, line), detail=detail, fix=fix))
