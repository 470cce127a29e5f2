"""The control socket: one JSON object a line in, one answer a line out, in order."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from bedplate.runtime.supervisor.loop import Loop

LONGEST = 32 * 1024 * 1024  # bytes of one request

Request = dict[str, Any]
Handler = Callable[[Request, Callable[[dict[str, Any]], None]], None]


class Control:
    """Accepts clients on a listening socket and puts their requests to `handler`."""

    def __init__(self, loop: Loop, listener: socket.socket, handler: Handler) -> None:
        self._loop, self._listener, self._handler = loop, listener, handler
        self._clients: set[Client] = set()
        listener.setblocking(False)
        loop.watch(listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self._clients.add(Client(self._loop, connection, self._handler, self._clients.discard))

    def close(self) -> None:
        """Send what is still to be sent, then hang up on everyone."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for client in list(self._clients):
            client.finish()


class Client:
    """One connection. A request is read while no other is being answered."""

    def __init__(self, loop: Loop, connection: socket.socket, handler: Handler, gone: Callable[[Client], None]) -> None:
        self._loop, self._connection, self._handler, self._gone = loop, connection, handler, gone
        self._incoming, self._outgoing = bytearray(), bytearray()
        self._lines: deque[bytes] = deque()
        self._answering = self._closed = False
        connection.setblocking(False)
        loop.watch(connection.fileno(), self._read)

    def _read(self) -> None:
        try:
            data = self._connection.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self._incoming += data
        if not data or len(self._incoming) > LONGEST:
            return self._close()
        *lines, rest = bytes(self._incoming).split(b"\n") if b"\n" in data else (bytes(self._incoming),)
        self._incoming = bytearray(rest)
        self._lines += lines
        return self._next()

    def _next(self) -> None:
        if self._answering or self._closed or not self._lines:
            return None
        self._answering = True
        line = self._lines.popleft()
        try:
            request = json.loads(line)
        except ValueError:
            return self._answer({"ok": False, "code": "BP304", "error": "a request is one JSON object a line"})
        return self._handler(request if isinstance(request, dict) else {}, self._answer)

    def _answer(self, answer: dict[str, Any]) -> None:
        if self._closed:
            return
        self._outgoing += json.dumps(answer).encode() + b"\n"
        self._write()
        self._answering = False
        self._next()

    def _write(self) -> None:
        try:
            del self._outgoing[: self._connection.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            return self._close()
        if self._outgoing:
            return self._loop.watch(self._connection.fileno(), self._write, write=True)
        return self._loop.watch(self._connection.fileno(), self._read)

    def finish(self) -> None:
        """The supervisor ends: send the rest within a second and close."""
        if self._outgoing:
            self._connection.settimeout(1.0)
            try:
                self._connection.sendall(self._outgoing)
            except OSError:
                self._outgoing.clear()
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._gone(self)
