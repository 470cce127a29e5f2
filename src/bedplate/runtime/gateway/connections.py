"""Connections of a face, bounded in number and patience, so that whoever is behind one face cannot starve the other.

Goes in: what uvicorn's protocol sees. Comes out: connections that end when they wait too long. It reads no request.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_DESCRIPTORS = 65_536
"""What the process asks for at most: some programs that it starts walk through all that they may have."""
LOG_EVERY = 10.0
_NO_MORE = "socket.accept() out of system resource"

log = logging.getLogger("bedplate.gateway")


class Bounded(H11Protocol):
    """A connection that must send the head of each request in time; one too many of a face is closed at once.

    A request's body may take its time, as an agent's report does, but only until it is answered.
    """

    def __init__(self, *, most: int, head_within: float, read_within: float, full: Seldom, **more: Any) -> None:
        super().__init__(**more)
        self._most, self._full = most, full
        self._slow, self._stuck = _Alarm(self, head_within), _Alarm(self, read_within)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Count it, and wait for its first request."""
        if len(self.connections) >= self._most:
            self._full.warn("%d connections to one face are open, further ones are closed", self._most)
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take it, and see whether a head is still to come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The next head may have begun to come meanwhile."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        self._slow.clear()
        self._stuck.clear()

    def pause_writing(self) -> None:
        """The peer does not read."""
        super().pause_writing()
        self._stuck.set()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stuck.clear()

    def _watch(self) -> None:
        """The clock runs on while the peer sends bit by bit; only a whole head stops it."""
        if self.conn.their_state is not h11.IDLE and self.conn.our_state is not h11.DONE:
            self._slow.clear()
        else:
            self._slow.set()


class _Alarm:
    """Breaks a connection off after a time, unless it is cleared before; set again it does not begin anew."""

    def __init__(self, connection: H11Protocol, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        if self._timer is None:
            self._timer = self._connection.loop.call_later(self._seconds, self._connection.transport.abort)

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Seldom:
    """Warnings that whoever causes them cannot fill the log with."""

    def __init__(self) -> None:
        self._next, self._kept = 0.0, 0

    def warn(self, message: str, *args: object) -> None:
        """Say it, if nothing was said in the last 10 seconds."""
        now = time.monotonic()
        if now < self._next:
            self._kept += 1
            return
        more = f" (and {self._kept} times before)" if self._kept else ""
        self._next, self._kept = now + LOG_EVERY, 0
        log.warning(message + more, *args)


def raise_descriptors() -> None:
    """Let this process have as many descriptors as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def tell_accept_errors_seldom(loop: asyncio.AbstractEventLoop) -> None:
    """asyncio tries again after a second, and reports each connection of its backlog that it could not accept."""
    seldom = Seldom()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == _NO_MORE:
            seldom.warn("a connection cannot be accepted: %s", context.get("exception"))
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
