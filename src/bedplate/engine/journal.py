"""The write-ahead journal: what runs have begun and ended since `state.json` was written.

Goes in: changes. Comes out: one durable line for each group of them, and the changes again for whoever reads the state.
Lines are JSON, `["<sum>",{…}]`: the sum is the first 16 hex digits of SHA-256 over the sum before it and the bytes of
the entry, so that a line which was altered, lost or moved is found. Each run has a section. Its first entry names the
state that the journal stands on (`base`, SHA-256 of `state.json`), the run, and the last sum of the section before it
(`after`); its own sum begins anew, so that a section can be read behind one that is damaged. Its last entry is `ended`
where the journal stays, or `folded`, which names the state that everything above it was written into, so that a crash
between the two files can be told from a file that somebody altered.

What a step costs is its own line, however large the state is. Where the lines are kept is a `Log`'s affair (`places`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bedplate.engine.secrets import Keyring
from bedplate.problems import BedplateError, Problem, Where

_START = len('["0123456789abcdef",')
_HEAD = b'{"journal":'


class Log(Protocol):
    """The open journal of one run, wherever it is kept."""

    def append(self, data: bytes) -> None:
        """Add whole lines and return when they are durable. Raises BedplateError: BP213, or BP250 for a lost lease."""

    def close(self, *, remove: bool) -> None:
        """End the log, and remove it where its content stands in the state."""


class Journal:
    """What one run appends to its log. Used by one thread at a time. A run that changes nothing writes nothing."""

    def __init__(
        self, log: Log, base: str, run: Mapping[str, Any], keys: Keyring, before: Record | None = None
    ) -> None:
        self._log, self._keys = log, keys
        self._head = {"journal": 3, "base": base, "after": before.sum if before else "", "run": dict(run)}
        self.size = before.size if before else 0
        self.sum = ""
        self._written_keys = keys.providers
        self._broken: BedplateError | None = None
        self.used = False

    def append(self, groups: list[list[Any]]) -> None:
        """Write groups of encoded changes, and return when they are durable. Raises BedplateError BP213 or BP250."""
        entries: list[dict[str, Any]] = []
        if self._keys.providers is not self._written_keys:
            entries.append({"secrets": self._keys.providers})
            self._written_keys = self._keys.providers
        self._write([*entries, *({"changes": raw} for raw in groups)])

    def ended(self, update: Mapping[str, Any]) -> None:
        """Say that the run is over and that its changes stay in the journal."""
        self._write([{"ended": dict(update)}])

    def folded(self, digest: str, update: Mapping[str, Any]) -> None:
        """Say that everything above now stands in the state with this digest, which takes its place next."""
        self._write([{"folded": digest, "update": dict(update)}])

    def close(self, *, remove: bool) -> None:
        """Close the log, and remove it where its content stands in the state. A step that ends later is refused."""
        self._broken = self._broken or BedplateError(Problem("BP250", "this run has ended and may change nothing more"))
        self._log.close(remove=remove)

    def _write(self, entries: list[dict[str, Any]]) -> None:
        if self._broken is not None:
            raise self._broken
        total, data = self.sum, b""
        for entry in entries if self.used else [self._head, *entries]:
            line, total = _line(total, entry)
            data += line
        self._append(data)
        self.sum, self.used = total, True

    def _append(self, data: bytes) -> None:
        try:
            self._log.append(data)
        except BedplateError as error:
            # Nothing can be promised from here on, so nothing more is begun.
            self._broken = error
            raise
        self.size += len(data)


@dataclass(frozen=True)
class Record:
    """A journal as read: raw changes, not decrypted. `size` is where its last whole line ends, `sum` that line's."""

    base: str
    run: Mapping[str, Any]
    folded: Mapping[str, Mapping[str, Any]]
    """Digests of the states that it was written into, each with the update to note in the history."""
    ended: Mapping[str, Any] | None
    """The update that the last run has become; None where it died."""
    marks: frozenset[str]
    """The sums at which runs have ended."""
    secrets: Any
    changes: tuple[list[Any], ...]
    size: int
    sum: str

    def closing(self, digest: str, update: Mapping[str, Any]) -> bytes:
        """The line by which another run says that it has folded this journal."""
        return _line(self.sum, {"folded": digest, "update": dict(update)})[0]


class DamagedJournal(BedplateError):
    """BP211 for a journal; `whole` is what can be read of it."""

    def __init__(self, label: str, number: int, detail: str, whole: Record | None) -> None:
        self.whole = whole
        where = Where(label, number)
        fix = "`bedplate state repair` goes on with what can be read of it and keeps the whole file beside it"
        super().__init__(Problem("BP211", "the journal is damaged", where=where, detail=detail, fix=fix))


def read_journal(data: bytes, label: str) -> Record | None:
    """The journal that runs have left, or None where nothing was begun. A last line cut short was never acted on.

    Raises BedplateError BP211 (`DamagedJournal`) for a line that is not what was written.
    """
    *lines, tail = data.split(b"\n")
    if tail and (_is_whole(tail) or _is_whole(tail[:-1])):
        # All of the line is there and only its end is wrong, which no cut can do but just before the end.
        lines.append(tail)
    found = _Read()
    for number, line in enumerate(lines, 1):
        if not found.take(line):
            whole = _whole(found, lines[number - 1 :])
            raise DamagedJournal(label, number, "the line is not what was written", whole)
    return found.record(min(found.size, len(data)))


@dataclass
class _Read:
    """The entries of a journal so far."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    sum: str = ""
    size: int = 0

    def take(self, line: bytes, *, gap: bool = False) -> bool:
        """Take the next line; False for one that is not what was written. Behind a `gap` only a section may begin."""
        begins = line.startswith(_HEAD, _START)
        if not begins and (gap or not self.entries):
            return False
        entry = _entry("" if begins else self.sum, line)
        if entry is None or (begins and not self._fits(entry, gap)):
            return False
        self.entries.append(entry)
        self.sum, self.size = line[2:18].decode(), self.size + len(line) + 1
        if "ended" in entry:
            self.marks.add(self.sum)
        return True

    def _fits(self, head: Mapping[str, Any], gap: bool) -> bool:
        same = not self.entries or head["base"] == self.entries[0]["base"]
        return same and (gap or head.get("after", "") == self.sum)

    def record(self, size: int) -> Record | None:
        """What it says."""
        if not self.entries:
            return None
        return Record(
            base=str(self.entries[0]["base"]),
            run=next(entry["run"] for entry in reversed(self.entries) if "base" in entry),
            folded={entry["folded"]: entry["update"] for entry in self.entries if "folded" in entry},
            ended=self.entries[-1].get("ended"),
            marks=frozenset(self.marks),
            secrets=next((e["secrets"] for e in reversed(self.entries) if "secrets" in e), None),
            changes=tuple(change for entry in self.entries for change in entry.get("changes", ())),
            size=size,
            sum=self.sum,
        )


def _whole(found: _Read, lines: list[bytes]) -> Record | None:
    """What can be read in spite of the damage: what stands before it, and the runs that began after it."""
    before, gap = found.size, True
    for line in lines:
        gap = not found.take(line, gap=gap)
    return found.record(before)


def _line(before: str, entry: Mapping[str, Any]) -> tuple[bytes, str]:
    body = json.dumps(entry, separators=(",", ":")).encode()
    total = _sum(before, body)
    return b'["%s",%s]\n' % (total.encode(), body), total


def _entry(before: str, line: bytes) -> dict[str, Any] | None:
    body = line[_START:-1]
    if line != b'["%s",%s]' % (_sum(before, body).encode(), body):
        return None
    found: dict[str, Any] = json.loads(body)
    return found


def _sum(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()[:16]


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), list)
    except ValueError:
        return False
