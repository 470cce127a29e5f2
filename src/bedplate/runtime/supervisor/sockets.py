"""Sockets of the supervisor: ports on loopback, unix sockets under long paths, descriptors sent and received."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAX_PATH = 100  # sun_path holds 108 bytes with its end


class PortInUse(OSError):
    """A port that another process holds; `holder` names it where /proc tells."""

    def __init__(self, port: int, holder: str) -> None:
        super().__init__(f"port {port} is in use" + (f" by {holder}" if holder else ""))
        self.port = port
        self.holder = holder


def listen_loopback(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes a free one. Raises PortInUse."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortInUse(port, holder_of(port)) from error
    return listener


def listen_unix(path: Path) -> socket.socket:
    """A listening unix socket at `path` (0600), whatever the path's length; a stale one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        with _short(path) as name:
            listener.bind(name)
    finally:
        os.umask(old)
    listener.listen(64)
    return listener


def connect_unix(path: Path, timeout: float) -> socket.socket:
    """A connection to the unix socket at `path`. Raises OSError where nothing listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with _short(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def receive_descriptor(connection: socket.socket) -> int | None:
    """The one descriptor that arrived on `connection`, or None where it was closed without one."""
    room = socket.CMSG_SPACE(4)
    _, ancillary, _, _ = connection.recvmsg(16, room)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            return numbers[0]
    return None


def holder_of(port: int) -> str:
    """The process that listens on `port`: `name (pid N)`, or "" where /proc does not tell."""
    inode = _listening_inode(port)
    if inode is None:
        return ""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) == wanted for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # it ended, or belongs to someone else
            continue
    return ""


def _listening_inode(port: int) -> str | None:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None
