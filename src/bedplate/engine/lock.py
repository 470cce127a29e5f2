"""The lease lock of a stack: one update at a time, and a name for whoever holds it.

Goes in: the stack's folder and what the lock is for. Comes out: the lock held, or `BP210` naming the owner. `flock`
decides on one machine: the kernel gives it back at the moment its owner dies, whatever kills it, so a dead owner's lock
is never in the way and never broken by two at once. The lease (renewed by a thread) decides between machines that share
the folder.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bedplate.engine.files import write_failed
from bedplate.engine.state import timestamp
from bedplate.problems import BedplateError, Problem, Where

LEASE_SECONDS = 60.0


@contextmanager
def held(path: Path, purpose: str, clock: Callable[[], float]) -> Iterator[None]:
    """Hold the lock at `path`. Raises BedplateError BP210 (exit code 6) where somebody else does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = _acquire(path, clock)
    except OSError as error:
        raise write_failed(path, error) from error
    stop = threading.Event()
    try:
        owner = _owner(purpose, clock())
        _write(fd, path, owner, clock())
        renewing = threading.Thread(target=_renew, args=(fd, path, owner, clock, stop), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            stop.set()
            renewing.join()
    finally:
        # Removed while still held: whoever opened the old file sees that it is no longer the one at this path.
        path.unlink(missing_ok=True)
        os.close(fd)


def _acquire(path: Path, clock: Callable[[], float]) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_current(fd, path):
                _refuse_foreign_lease(fd, path, clock())
                return fd
        except BlockingIOError:
            owner = _read_patiently(fd)
            os.close(fd)
            raise locked(path.parent.name, owner) from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def is_current(fd: int, path: Path) -> bool:
    """Whether the open file is the one at `path`, and not one that its last owner has removed."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _refuse_foreign_lease(fd: int, path: Path, now: float) -> None:
    owner = _read(fd)
    if not owner or owner.get("host") == socket.gethostname():
        return
    expires = owner.get("expires_at")
    if not isinstance(expires, int | float):
        raise _unknown(path)
    if expires > now:
        raise locked(path.parent.name, owner)


def _unknown(path: Path) -> BedplateError:
    return BedplateError(
        Problem(
            "BP210",
            f"the stack {path.parent.name} is locked by a file that does not say until when",
            where=Where(str(path)),
            detail="Another machine may hold the stack, and what it wrote was changed.",
            fix=f"when no machine that shares the folder runs anything, remove {path.name}",
        )
    )


def _owner(purpose: str, now: float) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "process_start": _process_start(),
        "host": socket.gethostname(),
        "user": _user(),
        "purpose": purpose,
        "started": timestamp(now),
    }


def _write(fd: int, path: Path, owner: Mapping[str, Any], now: float) -> None:
    expires = now + LEASE_SECONDS
    data = json.dumps({**owner, "expires": timestamp(expires), "expires_at": expires}).encode()
    try:
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
    except OSError as error:
        raise write_failed(path, error) from error


def _renew(fd: int, path: Path, owner: Mapping[str, Any], clock: Callable[[], float], stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 3):
        # A lease that cannot be renewed (disk full) still stands on this machine by flock.
        with suppress(BedplateError):
            _write(fd, path, owner, clock())


def _read(fd: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(fd, 65536, 0))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_patiently(fd: int) -> dict[str, Any]:
    # Its owner may hold the lock and not have written its name yet.
    for _ in range(10):
        if owner := _read(fd):
            return owner
        time.sleep(0.01)
    return {}


def locked(stack: str, owner: Mapping[str, Any]) -> BedplateError:
    """BP210 for a stack that `owner` holds, as its lock says."""
    known = {key: owner.get(key, "unknown") for key in ("pid", "user", "host", "purpose", "started")}
    who = f"process {known['pid']} of {known['user']} on {known['host']}" if owner else "another process"
    return BedplateError(
        Problem(
            "BP210",
            f"the stack {stack} is locked by {who}",
            detail=f"it runs `{known['purpose']}` since {known['started']}" if owner else "",
            fix="wait until it is done, or end that process; the lock goes with it",
        )
    )


def _process_start() -> str:
    try:
        # Field 22 of /proc/PID/stat, in clock ticks since boot; the name before it may hold spaces.
        return Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
