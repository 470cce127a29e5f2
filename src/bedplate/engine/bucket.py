"""The files of a stack in a bucket that several machines share, with the guarantees that a folder has on one.

Goes in: bytes. Comes out: the same bytes. Nothing but conditional writes is relied on:

    lock.json                       the lease: written where the version is the one that was read, never deleted
    journal/<lease>/<8 digits>      the journal of one lease, one object an append, each written where none is
    state.json  state.json.bak      replaced where the version is the one that was read
    history/<8 digits>              one object an update

Whoever takes over an expired lease writes a fence first: the object that the old holder would write next. If that one
was only slow, its next append meets the fence and it stops (BP250), before it calls a provider. A lease that was given
back needs none. Clocks decide only how soon a lease may be taken over, never who may write.
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bedplate.engine.api import StackRef
from bedplate.engine.history import whoami
from bedplate.engine.journal import Log
from bedplate.engine.lock import LEASE_SECONDS, locked
from bedplate.engine.objects import Conflict, Objects, create_once, no_conditions, open_objects, replace_once, unusable
from bedplate.engine.places import BACKUP, LOCK, STATE, Files
from bedplate.engine.state import timestamp
from bedplate.problems import BedplateError, Problem

_FENCE = b'{"fence"'
_FENCE_SECONDS = 30 * 86400


class Bucket:
    """A `Place` on objects. One of these serves one command: it remembers the versions that it has read."""

    shared = True
    whole_below = math.inf
    """A journal that stays would be an object for each append, and each of them a round trip for every reader."""

    def __init__(self, objects: Objects, keys: Path, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.label, self.keys, self._objects = objects.label, keys, objects
        self._seconds = lease_seconds
        self._lease: _Lease | None = None
        self._state: bytes | None = None
        self._tag = ""
        self._dead: list[str] = []
        self._lines: list[str] = []
        self._fences: list[str] = []

    @contextmanager
    def held(self, purpose: str, clock: Callable[[], float]) -> Iterator[None]:
        """Hold the lease. Raises BedplateError BP210 where somebody else does."""
        lease = _Lease(self._objects, purpose, clock, self._seconds)
        lease.take()
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            lease.give_back()

    def read(self) -> Files:
        """Read the journal that a run has left or is writing, and the state."""
        for _ in range(10):
            try:
                journal = self._read_journal()
            except KeyError:
                continue  # its run has ended while we read
            found = self._objects.get(STATE)
            self._state, self._tag = (found.data, found.tag) if found else (None, "")
            remains = found is None and self._objects.get(BACKUP) is not None
            return Files(self._state, journal, remains=remains)
        raise unusable(self.label, "the journal changes faster than it can be read")

    def _read_journal(self) -> bytes:
        leases: dict[str, list[str]] = {}
        for key in self._objects.keys("journal/"):
            leases.setdefault(key.split("/")[1], []).append(key)
        self._dead, self._lines, self._fences = [], [], []
        for _, keys in sorted(leases.items(), reverse=True):
            parts = {key: self._part(key) for key in keys}
            lines = {key: data for key, data in parts.items() if not data.startswith(_FENCE)}
            self._lines += lines
            self._fences += [key for key in keys if key not in lines]
            half_removed = lines and not keys[0].endswith("/00000001") and b'"folded"' in list(lines.values())[-1]
            if lines and not half_removed:
                self._dead = keys
                return b"".join(lines.values())
        return b""

    def _part(self, key: str) -> bytes:
        found = self._objects.get(key)
        if found is None:
            raise KeyError(key)
        return found.data

    def backup(self) -> bytes | None:
        """The state before the last update, or a copy of the state where there was none before."""
        found = self._objects.get(BACKUP)
        return found.data if found else None

    def replace(self, data: bytes, *, over_damage: bool = False) -> None:
        """Replace the version that was read. Raises BedplateError BP250 where there is another one by now."""
        first = self._state is None or (over_damage and self.backup() is None)
        if self._state is not None and not over_damage:
            self._objects.put(BACKUP, self._state)
        try:
            if self._tag:
                self._tag = replace_once(self._objects, STATE, data, self._tag)
            else:
                self._tag = create_once(self._objects, STATE, data)
        except Conflict as error:
            raise _lost(self.label) from error
        self._state = data
        if first:
            self._objects.put(BACKUP, data)

    def past(self) -> bytes:
        """Nothing: journals are removed."""
        return b""

    def mark(self, mark: str) -> None:
        """Never called: no journal stays."""
        raise AssertionError(mark)

    def open_log(self, keep: int = 0) -> Log:
        """A journal of this lease."""
        if self._lease is None or keep:
            raise AssertionError("only the holder of the lease writes a journal")
        return _SlotLog(self._objects, self._lease)

    def close_log(self, size: int, line: bytes) -> None:  # noqa: ARG002 - an object is written whole, or not at all
        """Add the line behind everything in the dead run's journal, its fence included."""
        folder, _, last = self._dead[-1].rpartition("/")
        try:
            create_once(self._objects, f"{folder}/{int(last) + 1:08}", line)
        except Conflict as error:
            raise _lost(self.label) from error
        self._lines.append(f"{folder}/{int(last) + 1:08}")

    def drop_log(self) -> None:
        """Remove the dead run's journal, the first object first, so that what is left of it is known for that."""
        for key in [*self._lines, *filter(self._outdated, self._fences)]:
            self._objects.delete(key)
        self._dead, self._lines = [], []

    def _outdated(self, fence: str) -> bool:
        """Whether whoever a fence keeps out is gone for good, being so old. A lease's name begins with its time."""
        now = self._lease.id if self._lease else "0-"
        return int(now.partition("-")[0]) - int(fence.split("/")[1].partition("-")[0]) > _FENCE_SECONDS * 1000

    def set_aside(self, *, journal: bool) -> str:
        """Copy it to `damaged/…`, and remove the journal."""
        name = f"damaged/{len(self._objects.keys('damaged/')) + 1:08}"
        self._objects.put(name, self._read_journal() if journal else self._state or b"")
        if journal:
            self.drop_log()
        return f"{self.label}/{name}"

    def erase(self) -> None:
        """Remove the backup. The state stays, without a resource: a delete knows no condition."""
        self._objects.delete(BACKUP)

    def updates(self) -> tuple[bytes, ...]:
        """One object each."""
        return tuple(self._part(key).rstrip(b"\n") for key in self._objects.keys("history/"))

    def note(self, update: Callable[[int, bytes], bytes | None]) -> None:
        """Write the next object."""
        keys = self._objects.keys("history/")
        number = int(keys[-1].rpartition("/")[2]) if keys else 0
        line = update(number + 1, self._part(keys[-1]) if keys else b"")
        if line is None:
            return
        try:
            create_once(self._objects, f"history/{number + 1:08}", line)
        except Conflict as error:
            raise _lost(self.label) from error


class _SlotLog:
    """Appends objects `journal/<lease>/<number>`, each in a place where none is."""

    def __init__(self, objects: Objects, lease: _Lease) -> None:
        self._objects, self._lease, self._written = objects, lease, 0

    def append(self, data: bytes) -> None:
        """Write the next object. Raises BedplateError BP250 where the lease is over, or the place is fenced."""
        self._lease.require()
        try:
            create_once(self._objects, self._key(self._written + 1), data)
        except Conflict as error:
            raise _lost(self._objects.label) from error
        self._written += 1

    def close(self, *, remove: bool) -> None:
        """Remove the objects, the first one first."""
        for number in range(1, self._written + 1 if remove else 1):
            self._objects.delete(self._key(number))

    def _key(self, number: int) -> str:
        return f"journal/{self._lease.id}/{number:08}"


class _Lease:
    """The lease: taken, renewed by a thread, given back."""

    def __init__(self, objects: Objects, purpose: str, clock: Callable[[], float], seconds: float) -> None:
        self._objects, self._clock, self._seconds = objects, clock, seconds
        self.id = f"{int(clock() * 1000):014}-{uuid.uuid4().hex}"
        user, _, host = whoami().partition("@")
        self._owner = {
            "id": self.id,
            "pid": os.getpid(),
            "host": host or socket.gethostname(),
            "user": user,
            "purpose": purpose,
            "started": timestamp(clock()),
        }
        self._tag, self._good_until, self._lost = "", 0.0, False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="bedplate-lease")

    def take(self) -> None:
        """Take the lease, a free one or one that has expired. Raises BedplateError BP210, BP251, BP255."""
        for _ in range(10):
            asked = _awake()
            with suppress(Conflict):
                data = self._document()
                self._tag = self._take(data)
                self._good_until = asked + self._seconds
                self._require_conditions(data)
                self._thread.start()
                return
        raise unusable(self._objects.label, "too many others want the lease at once")

    def _take(self, data: bytes) -> str:
        found = self._objects.get(LOCK)
        if found is None:
            return create_once(self._objects, LOCK, data)
        try:
            owner: Mapping[str, Any] = json.loads(found.data)
            if not owner["released"]:
                if float(owner["expires_at"]) > self._clock():
                    raise locked(self._objects.label, owner)
                self._fence(str(owner["id"]))
        except (ValueError, KeyError, TypeError) as error:
            raise unusable(self._objects.label, f"{LOCK} in it is none of ours") from error
        return replace_once(self._objects, LOCK, data, found.tag)

    def _fence(self, lease: str) -> None:
        """Write the object that the old holder would write next, so that it cannot. The fence stays."""
        keys = self._objects.keys(f"journal/{lease}/")
        number = int(keys[-1].rpartition("/")[2]) if keys else 0
        last = self._objects.get(keys[-1]) if keys else None
        if last is not None and last.data.startswith(_FENCE):
            return
        # A slow holder that gets there first has written a line that counts: the next run of the loop is behind it.
        create_once(self._objects, f"journal/{lease}/{number + 1:08}", json.dumps({"fence": self.id}).encode())

    def _require_conditions(self, data: bytes) -> None:
        # A storage that ignores conditions would let two runs in, and nobody would ever be told.
        try:
            self._objects.create(LOCK, data)
        except Conflict:
            return
        raise no_conditions(self._objects.label)

    def _document(self, *, released: bool = False) -> bytes:
        expires = self._clock() + self._seconds
        times = {"expires": timestamp(expires), "expires_at": expires, "nonce": uuid.uuid4().hex}
        return json.dumps({**self._owner, **times, "released": released}).encode()

    def require(self) -> None:
        """Go on only while the lease is ours for certain. Raises BedplateError BP250."""
        if self._lost or _awake() > self._good_until:
            raise _lost(self._objects.label)

    def _renew(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            asked = _awake()
            try:
                self._tag = replace_once(self._objects, LOCK, self._document(), self._tag)
                self._good_until = asked + self._seconds
            except Conflict:
                self._lost = True
                return
            except BedplateError:
                # The bucket is away for a while: the lease holds until it expires, and `require` knows when that is.
                continue

    def give_back(self) -> None:
        """Let the next one in at once. A bucket that is away does so when the lease expires."""
        self._stop.set()
        self._thread.join()
        with suppress(Conflict, BedplateError):
            replace_once(self._objects, LOCK, self._document(released=True), self._tag)


def _awake() -> float:
    """Seconds of a clock that also runs while the machine sleeps, where the system has one (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _lost(label: str) -> BedplateError:
    fix = "run `bedplate plan` to see what stands, then the command again"
    what = f"this run no longer holds the stack in {label}: another one has taken it over"
    return BedplateError(Problem("BP250", what, fix=fix))


def open_bucket(url: str, stack: StackRef) -> Bucket:
    """The stack's place in the bucket at `s3://bucket/prefix`. Raises BedplateError BP251, BP254."""
    return Bucket(open_objects(url, f"{stack.project}/{stack.name}"), stack.folder)
