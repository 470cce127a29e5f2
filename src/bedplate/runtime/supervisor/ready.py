"""Asks a process's own port for `GET /path` until it answers 200."""

from __future__ import annotations

import socket

from bedplate.runtime.supervisor.loop import Callback, Loop, Timer

_AGAIN = 0.05  # seconds between two tries


class HttpReady:
    """Calls `done` once; `cancel` before that ends it."""

    def __init__(self, loop: Loop, port: int, path: str, done: Callback) -> None:
        self._loop, self._port, self._path, self._done = loop, port, path, done
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None
        self._connect()

    def cancel(self) -> None:
        """Stop asking."""
        if self._timer:
            self._timer.cancel()
        self._close()

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.connect_ex(("127.0.0.1", self._port))
        self._loop.watch(self._socket.fileno(), self._ask, write=True)

    def _ask(self) -> None:
        assert self._socket is not None
        request = f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: close\r\n\r\n"
        try:
            self._socket.send(request.encode())
        except OSError:
            self._retry()
        else:
            self._loop.watch(self._socket.fileno(), self._answered)

    def _answered(self) -> None:
        assert self._socket is not None
        try:
            line = self._socket.recv(64)
        except OSError:
            line = b""
        if line.split(b" ")[1:2] == [b"200"]:
            self._close()
            self._done()
        else:
            self._retry()

    def _retry(self) -> None:
        self._close()
        self._timer = self._loop.later(_AGAIN, self._connect)

    def _close(self) -> None:
        if self._socket:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
