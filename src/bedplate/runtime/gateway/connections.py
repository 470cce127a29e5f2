"""Connections of a face, bounded in number and patience, so that whoever is behind one face cannot starve the other.

Goes in: what uvicorn's protocol sees. Comes out: connections that end when they wait too long. It reads no request.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from dataclasses import dataclass
from typing import Any

import h11
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_DESCRIPTORS = 65_536
"""What the process asks for at most: some programs that it starts walk through all that they may have."""
LOG_EVERY = 10.0
_NO_MORE = "socket.accept() out of system resource"

log = logging.getLogger("bedplate.gateway")


@dataclass(frozen=True)
class Bounds:
    """What connections of one face may do; times in seconds. Of a request's body nothing is asked without `body`."""

    most: int
    """Connections at a time. For one more, that which the gateway waits for longest is closed."""
    idle: int = 10
    """From an answer to the next request; a little more than clients commonly keep a connection for."""
    head: float = 10.0
    """From the first byte of a request, or from the connection, to the end of its head."""
    read: float = 60.0
    """For which a peer may leave an answer unread that does not fit into its buffers."""
    body: float | None = 30.0
    """From the end of a request's head to the end of its body."""
    pace: float = 5.0
    """In which at least `PACE_BYTES` of a body come, or its end."""


PACE_BYTES = 1024
REST_WITHIN = 1.0
"""Seconds for the rest of a request that is refused already: its sender could not read the answer otherwise."""


class Places:
    """The connections of one face that the gateway waits for, in the order in which it began to."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._idle: dict[Bounded, None] = {}
        self._slow: dict[Bounded, None] = {}
        self._full = Seldom()

    def idle(self, connection: Bounded) -> None:
        """It has no request, or only a part of a head, or the rest of a request that is answered already."""
        self._slow.pop(connection, None)
        self._idle.setdefault(connection)

    def slow(self, connection: Bounded) -> None:
        """Its peer sends the body of a request, or does not read."""
        self._idle.pop(connection, None)
        self._slow.setdefault(connection)

    def busy(self, connection: Bounded) -> None:
        """Its request is here and being answered, or it has ended: it makes room for nobody."""
        self._idle.pop(connection, None)
        self._slow.pop(connection, None)

    def make(self) -> bool:
        """Close the longest idle one, or else the slowest where bodies have to come in time; whether there was one."""
        self._full.warn(
            "%d connections to one face are open, further ones take the place of idle ones", self.bounds.most
        )
        waiting = self._idle or (self._slow if self.bounds.body is not None else {})
        victim = next(iter(waiting), None)
        if victim is not None:
            victim.leave()
        return victim is not None


class Bounded(H11Protocol):
    """A connection that must send each request in time. Where a face is full, idle ones make room for new ones."""

    def __init__(self, *, places: Places, **more: Any) -> None:
        super().__init__(**more)
        bounds = places.bounds
        self._places, self._came, self._refused = places, 0, False
        self._head, self._body, self._pace, self._rest, self._unread = self._alarms = tuple(
            _Alarm(self, seconds) for seconds in (bounds.head, bounds.body, bounds.pace, REST_WITHIN, bounds.read)
        )
        self._app, self.app = self.app, self._noted

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Count it, and wait for its first request."""
        if len(self.connections) >= self._places.bounds.most and not self._places.make():
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take it, and see what is still to come."""
        super().data_received(data)
        self._came += len(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The next request may have begun to come meanwhile; until it does, its time has not begun."""
        super().on_response_complete()
        self._watch(between=not self.conn.trailing_data[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        self._places.busy(self)
        for alarm in self._alarms:
            alarm.clear()

    def pause_writing(self) -> None:
        """The peer does not read."""
        super().pause_writing()
        self._unread.set()
        self._watch()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._unread.clear()
        self._watch()

    def leave(self) -> None:
        """Make room, at once."""
        self.connections.discard(self)
        self._places.busy(self)
        self.transport.abort()

    async def _noted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; who is refused for its key keeps no connection."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._refused = True
                if self.conn.their_state is h11.DONE:
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, noting)

    def _watch(self, *, between: bool = False) -> None:
        """See what the peer has to send. The clocks run on while it sends bit by bit; only a whole part stops them."""
        if self.transport.is_closing():
            return
        theirs, answered = self.conn.their_state, self.conn.our_state is h11.DONE
        if theirs is h11.IDLE or answered:
            self._expect_request(between=between and not answered)
        elif theirs is h11.SEND_BODY:
            self._expect_body()
        else:
            self._head.clear()
            self._body.clear()
            self._pace.clear()
            (self._places.slow if self._unread.runs else self._places.busy)(self)

    def _expect_request(self, *, between: bool) -> None:
        """Also while the rest of one that is answered comes, which counts with the next."""
        self._body.clear()
        self._pace.clear()
        self._places.idle(self)
        if not between:
            self._head.set()
        if self._refused and self.conn.their_state is h11.IDLE:
            self.transport.close()
        elif self._refused:
            self._rest.set()

    def _expect_body(self) -> None:
        if self._head.runs or self._came >= PACE_BYTES:
            self._came = 0
            self._pace.clear()
        self._head.clear()
        self._places.slow(self)
        if self._places.bounds.body is not None:
            self._body.set()
            self._pace.set()


class _Alarm:
    """Breaks a connection off after a time (None: never) unless it is cleared; set again it does not begin anew."""

    def __init__(self, connection: H11Protocol, seconds: float | None) -> None:
        self._connection, self._seconds = connection, seconds
        self._timer: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._timer is not None

    def set(self) -> None:
        if self._timer is None and self._seconds is not None:
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
