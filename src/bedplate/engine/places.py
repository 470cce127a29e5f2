"""Where the files of a stack are kept: a folder of this machine, or a bucket that several share (`bucket`).

Goes in: bytes. Comes out: the same bytes, durable and whole. A place knows nothing of what they mean; `storage` does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bedplate.engine.api import StackRef
from bedplate.engine.files import append_lines, fsync_folder, read_file, write_all, write_failed, write_file
from bedplate.engine.journal import Log
from bedplate.engine.lock import held

STATE, BACKUP, JOURNAL, HISTORY, LOCK = "state.json", "state.json.bak", "journal.jsonl", "history.jsonl", "lock.json"
SUMS: Final = "state.json.sha256"
PAST: Final = "journal.jsonl.bak"
"""The journal that made the state out of its backup."""
SMALL: Final = 16 * 1024
"""Bytes of a state that is not worth a journal of its own."""
_MARK: Final = b"# journal.jsonl "
VARIABLE: Final = "BEDPLATE_STATE"
"""Environment variable that names a bucket for the states, `s3://bucket/prefix`."""


@dataclass(frozen=True)
class Files:
    """State and journal as they are now. `intact` is False where the state is not the one that was written.

    `mark` is what the last run that ended said of its journal (`Place.mark`). `written` is the digest of the state that
    was written last, where that is kept.
    """

    state: bytes | None
    journal: bytes
    intact: bool = True
    mark: str = ""
    written: str = ""
    remains: bool = False
    """There is no state, though something beside it was left by one."""


class Place(Protocol):
    """The files of one stack. What changes them is called by the holder of the lock; reading takes no lock.

    `label` names the place to people; `shared` says that other machines use it, so that nothing may depend on a file
    of this one. A state of up to `whole_below` bytes is written whole after each run.
    Every method raises BedplateError where it cannot do what it says (BP213, BP250, BP251).
    """

    label: str
    keys: Path
    shared: bool
    whole_below: float

    def held(self, purpose: str, clock: Callable[[], float]) -> AbstractContextManager[None]:
        """Hold the lock. Raises BedplateError BP210 (exit code 6) where somebody else does."""

    def read(self) -> Files:
        """The journal, and then the state: in this order a run that ends in between cannot be missed."""

    def backup(self) -> bytes | None:
        """The state before the last update, or a copy of the state where there was none before; None if damaged."""

    def past(self) -> bytes:
        """The journal that made the state out of the backup, where it is kept."""

    def replace(self, data: bytes, *, over_damage: bool = False) -> None:
        """Put a new state in the place of the old one, which becomes the backup. All or nothing.

        Over a damaged one the backup stays. Where there is nothing to be the backup, a copy of the new state is.
        """

    def open_log(self, keep: int = 0) -> Log:
        """A journal for the holder of the lock, behind `keep` bytes; nothing is touched before the first line."""

    def mark(self, mark: str) -> None:
        """Note what must be found in the journal from now on, until the state is replaced."""

    def close_log(self, size: int, line: bytes) -> None:
        """Add a line behind the first `size` bytes of the journal that a dead run left."""

    def drop_log(self) -> None:
        """Remove the journal that a dead run left; what it says stands in the state."""

    def set_aside(self, *, journal: bool) -> str:
        """Keep the damaged state (or journal) under another name, which is returned. The journal is gone then.

        A backup that is damaged as well goes with its state.
        """

    def erase(self) -> None:
        """Remove the state of a stack that has no resources left. Its history stays."""

    def updates(self) -> tuple[bytes, ...]:
        """The history: a line for each update, the oldest first."""

    def note(self, update: Callable[[int, bytes], bytes | None]) -> None:
        """Add to the history the line, if any, that `update` makes of the next number and the last line there."""


class Folder:
    """A folder of this machine. `state.json.sha256` holds the sums of the state and of its backup, as `sha256sum` does.

    The sums are written before the state: at any instant they name what is there, the new state and the old one.
    """

    shared = False

    def __init__(self, folder: Path, whole_below: float = SMALL) -> None:
        self.label, self.keys, self._folder, self.whole_below = str(folder), folder, folder, whole_below

    def held(self, purpose: str, clock: Callable[[], float]) -> AbstractContextManager[None]:
        """Hold `lock.json`."""
        return held(self._folder / LOCK, purpose, clock)

    def read(self) -> Files:
        """Read the files. The sums name the journal as it is or was a moment ago: it only grows."""
        marks = [line for line in self._lines() if line.startswith(_MARK)]
        journal, state = read_file(self._folder / JOURNAL), read_file(self._folder / STATE)
        mark = marks[0].removeprefix(_MARK).decode(errors="replace") if marks else ""
        written = [line.split(b" ")[0] for line in self._lines() if line.endswith(b"  " + STATE.encode())]
        sum = written[0].decode(errors="replace") if written else ""
        remains = state is None and (bool(written) or any((self._folder / name).exists() for name in (BACKUP, PAST)))
        return Files(state, journal or b"", self._intact(state), mark, sum, remains)

    def _lines(self) -> list[bytes]:
        return (read_file(self._folder / SUMS) or b"").splitlines()

    def _intact(self, state: bytes | None) -> bool:
        sums = [line.split(b" ")[0] for line in self._lines() if not line.startswith(_MARK)]
        return state is None or not sums or _digest(state).encode() in sums

    def backup(self) -> bytes | None:
        """Read the backup, where it is the one that was written."""
        found = read_file(self._folder / BACKUP)
        return found if self._intact(found) else None

    def past(self) -> bytes:
        """Read the journal before this one."""
        return read_file(self._folder / PAST) or b""

    def replace(self, data: bytes, *, over_damage: bool = False) -> None:
        """Write beside it, sync, rename."""
        path = self._folder / STATE
        temporary, sums = path.with_name(STATE + ".tmp"), path.with_name(SUMS + ".tmp")
        try:
            write_file(temporary, data)
            backup = self.backup() if over_damage else read_file(path)
            if backup is None:
                # A copy and no link: whatever happens to the bytes of one leaves the other. Before the sums, so that
                # whatever names a state that is not there yet has it beside it.
                self._back_up(lambda made: write_file(made, data))
            write_file(sums, _sums(data, data if backup is None else backup))
            sums.replace(path.with_name(SUMS))
            if backup is not None and not over_damage:
                self._back_up(lambda made: os.link(path, made))
            temporary.replace(path)
            fsync_folder(self._folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            sums.unlink(missing_ok=True)
            raise write_failed(path, error) from error

    def _back_up(self, make: Callable[[Path], None]) -> None:
        temporary = self._folder / (BACKUP + ".tmp")
        temporary.unlink(missing_ok=True)
        make(temporary)
        temporary.replace(self._folder / BACKUP)
        # Renaming a link onto another link of the same file does nothing: after a crash right here it is still there.
        temporary.unlink(missing_ok=True)

    def open_log(self, keep: int = 0) -> Log:
        """A file that the first line makes, or goes on with."""
        return _FileLog(self._folder / JOURNAL, keep)

    def mark(self, mark: str) -> None:
        """A line beside the sums, as a comment."""
        path, temporary = self._folder / SUMS, self._folder / (SUMS + ".tmp")
        lines = [line for line in self._lines() if not line.startswith(_MARK)]
        try:
            write_file(temporary, b"\n".join([*lines, _MARK + mark.encode(), b""]))
            temporary.replace(path)
            fsync_folder(self._folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise write_failed(path, error) from error

    def close_log(self, size: int, line: bytes) -> None:
        """Append; a line cut short by the crash is ended first, or the new one would be glued to it."""
        path = self._folder / JOURNAL
        try:
            append_lines(path, line, size)
        except OSError as error:
            raise write_failed(path, error) from error

    def drop_log(self) -> None:
        """Keep the file as the journal of the past. One that holds nothing is removed."""
        _retire(self._folder / JOURNAL)

    def set_aside(self, *, journal: bool) -> str:
        """Give the file another name; an earlier one that was set aside stays."""
        path = self._folder / (JOURNAL if journal else STATE)
        numbers = (n for n in range(1, 10_000) if not path.with_name(f"{path.name}.damaged-{n}").exists())
        kept = path.with_name(f"{path.name}.damaged-{next(numbers)}")
        if journal:
            path.replace(kept)
        else:
            os.link(path, kept)  # a state is there at any instant
            backup = self._folder / BACKUP
            if self.backup() is None and backup.exists():
                backup.replace(kept.with_name(f"{kept.name}.bak"))
        fsync_folder(self._folder)
        return str(kept)

    def erase(self) -> None:
        """Remove all that belongs to the state, which goes last: nothing must name one that is gone.

        The key stays, for what was exported.
        """
        for name in (SUMS, BACKUP, PAST, STATE):
            (self._folder / name).unlink(missing_ok=True)
        fsync_folder(self._folder)

    def updates(self) -> tuple[bytes, ...]:
        """The whole lines of the file."""
        return tuple((read_file(self._folder / HISTORY) or b"").split(b"\n")[:-1])

    def note(self, update: Callable[[int, bytes], bytes | None]) -> None:
        """Append a line; one that a crash cut short is cut off."""
        path = self._folder / HISTORY
        lines = self.updates()
        line = update(len(lines) + 1, lines[-1] if lines else b"")
        if line is None:
            return
        try:
            append_lines(path, line, sum(len(line) + 1 for line in lines))
        except OSError as error:
            raise write_failed(path, error) from error


class _FileLog:
    """Appends to `journal.jsonl`, behind the first `size` bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._fd, self._size = path, -1, size

    def append(self, data: bytes) -> None:
        """Write and sync. What was written in part is cut off again: what follows it would be unreadable."""
        try:
            if self._fd < 0:
                self._fd = self._open()
            write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError as error:
            if self._fd >= 0:
                os.ftruncate(self._fd, self._size)
            raise write_failed(self._path, error) from error
        self._size += len(data)

    def _open(self) -> int:
        if self._size:
            # Also ends a last line that lacks its end, and cuts off one that was not written to its end.
            self._size += append_lines(self._path, b"", self._size)
            return os.open(self._path, os.O_WRONLY | os.O_APPEND)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fsync_folder(self._path.parent)
        return fd

    def close(self, *, remove: bool) -> None:
        """Close the file, and where its content stands in the state keep it as the journal of the past."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if remove:
            _retire(self._path)


def _retire(journal: Path) -> None:
    if journal.exists() and b"\n" in journal.read_bytes():
        journal.replace(journal.with_name(PAST))
    else:
        journal.unlink(missing_ok=True)


def place_of(stack: StackRef, environment: Mapping[str, str]) -> Place:
    """Where the stack's files are: the bucket of `BEDPLATE_STATE`, or its folder. Raises BedplateError BP251, BP254."""
    url = environment.get(VARIABLE, "")
    if not url:
        return Folder(stack.folder)
    from bedplate.engine.bucket import open_bucket

    return open_bucket(url, stack)


def _sums(data: bytes, backup: bytes) -> bytes:
    return f"{_digest(data)}  {STATE}\n{_digest(backup)}  {BACKUP}\n".encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
