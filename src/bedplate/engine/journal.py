"""The write-ahead journal: what an update has begun and ended since `state.json` was written.

Goes in: changes. Comes out: one fsynced JSON line for each group of them, and the changes again when a run died. Its
first line names the state it stands on (`base`, SHA-256 of `state.json`); a last line `folded` names the state that it
was folded into, so that a crash between the two files can be told from a file that somebody altered.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.secrets import Keyring
from bedplate.engine.state import Change, encode_changes
from bedplate.problems import BedplateError, Problem, Where


def write_failed(path: Path, error: OSError) -> BedplateError:
    """The error for a file of the state that cannot be written: disk full, no permission."""
    return BedplateError(
        Problem(
            "BP213",
            f"cannot write {path.name}: {error.strerror or error}",
            where=Where(str(path)),
            detail="The state on disk is as it was; what the interrupted step did is in the journal.",
            fix="make room or mend the permissions, then run the same command again",
        )
    )


class Journal:
    """Appends to `journal.jsonl`. The file is made by the first line: a run that changes nothing leaves none."""

    def __init__(self, path: Path, base: str, keys: Keyring) -> None:
        self._path, self._base, self._keys = path, base, keys
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._size = 0
        self._written_keys = keys.providers
        self._broken: BedplateError | None = None

    @property
    def used(self) -> bool:
        """Whether anything was written."""
        return self._fd is not None

    def append(self, changes: Iterable[Change]) -> None:
        """Write changes and wait until they are on disk. Raises BedplateError BP213."""
        with self._lock:
            raw = encode_changes(changes, self._keys)
            if self._fd is None:
                self._line({"journal": 1, "base": self._base})
            if self._keys.providers is not self._written_keys:
                self._line({"secrets": self._keys.providers})
                self._written_keys = self._keys.providers
            self._line({"changes": raw})

    def folded(self, digest: str) -> None:
        """Say that everything above now stands in the state with this digest, which takes its place next."""
        with self._lock:
            if self._fd is not None:
                self._line({"folded": digest})

    def close(self, *, remove: bool) -> None:
        """Close the file, and remove it where its content stands in the state."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
        if remove:
            self._path.unlink(missing_ok=True)

    def _line(self, entry: dict[str, Any]) -> None:
        if self._broken is not None:
            raise self._broken
        data = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        try:
            if self._fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
                self._fd = os.open(self._path, flags, 0o600)
                fsync_folder(self._path.parent)
            write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError as error:
            self._broken = write_failed(self._path, error)
            self._cut()
            raise self._broken from error
        self._size += len(data)

    def _cut(self) -> None:
        # Half a line must not stay: what follows it would be unreadable.
        if self._fd is not None:
            os.ftruncate(self._fd, self._size)


@dataclass(frozen=True)
class Record:
    """A journal as read: raw changes, not decrypted."""

    base: str
    folded: str
    secrets: Any
    changes: tuple[list[Any], ...]


def read_journal(path: Path) -> Record | None:
    """The journal that a run left behind, or None. A last line cut short was never acted on and is left out.

    Raises BedplateError BP211 for a line in the middle that is no JSON.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    lines = data.split(b"\n")[:-1]
    try:
        entries = [json.loads(line) for line in lines]
        return _record(entries)
    except (ValueError, KeyError, TypeError) as error:
        number = next((n for n, line in enumerate(lines, 1) if not _is_json(line)), 1)
        raise BedplateError(
            Problem(
                "BP211",
                "journal.jsonl is damaged",
                where=Where(str(path), number),
                detail=str(error),
                fix="move journal.jsonl away to go on from state.json; look for what its last lines name by hand",
            )
        ) from error


def _record(entries: list[dict[str, Any]]) -> Record | None:
    if not entries:
        return None
    return Record(
        base=str(entries[0]["base"]),
        folded=str(entries[-1].get("folded", "")),
        secrets=next((e["secrets"] for e in reversed(entries) if "secrets" in e), None),
        changes=tuple(change for entry in entries for change in entry.get("changes", ())),
    )


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, or raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
