"""The files of a stack: `state.json`, its backup, and the journal on top of it.

Goes in: a stack's folder. Comes out: its `Snapshot` as it is at this instant, and changes made durable before they are
relied on. Damaged files are refused with the way to mend them, never guessed at.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.journal import Journal, Record, fsync_folder, read_journal, write_all, write_failed
from bedplate.engine.secrets import KEY_FILE, Keyring
from bedplate.engine.state import (
    Change,
    Snapshot,
    decode_change,
    decode_deployment,
    encode_deployment,
)
from bedplate.problems import BedplateError, Problem, Where

STATE, BACKUP, JOURNAL = "state.json", "state.json.bak", "journal.jsonl"


@dataclass(frozen=True)
class Loaded:
    """What stands on disk: the snapshot with the journal applied, the keys, and the digest of `state.json`."""

    snapshot: Snapshot
    keys: Keyring
    digest: str
    interrupted: bool
    exists: bool


def load(folder: Path, environment: Mapping[str, str], *, decrypt: bool = True) -> Loaded:
    """Read state and journal. Secrets are masked without `decrypt`.

    Raises BedplateError: BP211 damaged, BP212 another version, BP214 no key, BP215 journal of another state.
    """
    for attempt in range(5):
        record, data = read_journal(folder / JOURNAL), _read(folder / STATE)
        digest = hashlib.sha256(data).hexdigest() if data is not None else ""
        if record is None or digest in {record.base, record.folded}:
            return _loaded(folder, environment, record, data, digest, decrypt)
        # A run that is folding right now replaced one file between our two reads: look again.
        time.sleep(0.02 * (attempt + 1))
    raise BedplateError(
        Problem(
            "BP215",
            "journal.jsonl does not belong to state.json",
            where=Where(str(folder / JOURNAL)),
            detail="state.json was altered or replaced after an update that was interrupted.",
            fix="put back the state.json of that time, or move journal.jsonl away to go on without what it records",
        )
    )


def _loaded(
    folder: Path,
    environment: Mapping[str, str],
    record: Record | None,
    data: bytes | None,
    digest: str,
    decrypt: bool,
) -> Loaded:
    deployment = {} if data is None else _parse(folder / STATE, data)
    replay = record if record and digest != record.folded else None
    providers = deployment.get("secrets_providers") or (replay.secrets if replay else None)
    keys = Keyring(folder, providers, environment)
    used = keys if decrypt else None
    try:
        snapshot = decode_deployment(deployment, used)
        for change in replay.changes if replay else ():
            snapshot.apply(decode_change(change, used))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(folder / STATE, f"{type(error).__name__}: {error}") from error
    return Loaded(snapshot, keys, digest, record is not None, data is not None or replay is not None)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    version = document.get("version") if isinstance(document, dict) else None
    if version is None or not isinstance(document.get("deployment"), dict):
        raise _damaged(path, "it is JSON, but not a Pulumi deployment")
    if version != 3:
        raise BedplateError(
            Problem(
                "BP212",
                f"state.json has version {version}, and this Bedplate reads version 3",
                where=Where(str(path)),
                fix="use the Bedplate that wrote it, or export the state from there as version 3",
            )
        )
    deployment: dict[str, Any] = document["deployment"]
    return deployment


def _damaged(path: Path, detail: str) -> BedplateError:
    backup = path.with_name(BACKUP)
    fix = f"the state before the last update is in {backup}; compare, then copy it to {STATE}"
    if not backup.exists():
        fix = "restore it from your own backup, or remove what it describes by hand and delete the file"
    return BedplateError(Problem("BP211", f"{path.name} is damaged", where=Where(str(path)), detail=detail, fix=fix))


class Ledger:
    """The snapshot of a running update. A change is in the journal before it is in memory.

    Without storage (a preview) changes stay in memory.
    """

    def __init__(self, loaded: Loaded, journal: Journal | None) -> None:
        self.snapshot, self._journal = loaded.snapshot, journal
        self._lock = threading.Lock()

    def record(self, *changes: Change) -> None:
        """Make changes durable, then visible. Raises BedplateError BP213."""
        if self._journal is not None:
            self._journal.append(changes)
        with self._lock:
            for change in changes:
                self.snapshot.apply(change)


class Storage:
    """The open files of one update. `ledger` is what the update works on; `fold` ends it."""

    def __init__(self, folder: Path, version: str, clock: Callable[[], float], environment: Mapping[str, str]) -> None:
        self._folder, self._version, self._clock = folder, version, clock
        loaded = load(folder, environment)
        if loaded.interrupted:
            digest = self._adopt(loaded)
        else:
            # What is left here at most is a first line cut short: nothing was begun.
            (folder / JOURNAL).unlink(missing_ok=True)
            digest = loaded.digest
        self._keys = loaded.keys
        self.interrupted, self.exists = loaded.interrupted, loaded.exists
        self._journal = Journal(folder / JOURNAL, digest, loaded.keys)
        self.ledger = Ledger(loaded, self._journal)

    def _adopt(self, loaded: Loaded) -> str:
        """Fold the journal of a run that died."""
        data = self._encode(loaded.snapshot, loaded.keys)
        digest = hashlib.sha256(data).hexdigest()
        self._replace(data, before=lambda: _append_folded(self._folder / JOURNAL, digest))
        (self._folder / JOURNAL).unlink()
        return digest

    def fold(self) -> None:
        """Write what happened into `state.json`. Touches nothing where nothing happened."""
        if not self._journal.used:
            return
        data = self._encode(self.ledger.snapshot, self._keys)
        digest = hashlib.sha256(data).hexdigest()
        try:
            self._replace(data, before=lambda: self._journal.folded(digest))
        except BaseException:
            # The journal stays: it holds what could not be written.
            self._journal.close(remove=False)
            raise
        self._journal.close(remove=True)

    def erase(self) -> None:
        """Remove the state of a stack that has no resources left."""
        self.fold()
        for name in (STATE, BACKUP, KEY_FILE):
            (self._folder / name).unlink(missing_ok=True)
        fsync_folder(self._folder)

    def _encode(self, snapshot: Snapshot, keys: Keyring) -> bytes:
        document = encode_deployment(snapshot, keys, self._version, self._clock())
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

    def _replace(self, data: bytes, before: Callable[[], None]) -> None:
        path = self._folder / STATE
        temporary = path.with_name(STATE + ".tmp")
        try:
            _write_file(temporary, data)
            before()
            self._back_up(path)
            temporary.replace(path)
            fsync_folder(self._folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise write_failed(path, error) from error

    def _back_up(self, path: Path) -> None:
        if not path.exists():
            return
        link = path.with_name(BACKUP + ".tmp")
        link.unlink(missing_ok=True)
        os.link(path, link)
        link.replace(path.with_name(BACKUP))
        # Renaming a link onto another link of the same file does nothing: after a crash right here it is still there.
        link.unlink(missing_ok=True)


def _write_file(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _append_folded(path: Path, digest: str) -> None:
    # A line cut short by the crash is ended first, or the new one would be glued to it.
    data = path.read_bytes()
    keep = data.rfind(b"\n") + 1
    fd = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(fd, keep)
        os.lseek(fd, keep, os.SEEK_SET)
        write_all(fd, json.dumps({"folded": digest}).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
