"""Serving the two faces: the callers' socket, and each agent's listener as it arrives.

Goes in: descriptors of the supervisor. Comes out: running uvicorn servers, all in one process and event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from bedplate.runtime.gateway.connections import Bounded, Bounds, Places

CALLERS = Bounds(most=512)
AGENT = Bounds(most=128, idle=75, body=None)
"""Bedplate's own agent opens 32 connections at most. Its reports are bodies that last as long as their turns."""

log = logging.getLogger("bedplate.gateway")


class Server(uvicorn.Server):
    """One listening socket. Signals are the gateway's business, not one server's."""

    def __init__(self, app: ASGIApp, listener: socket.socket, bounds: Bounds = CALLERS) -> None:
        """`bounds`: of all its connections together, and of each."""
        protocol: Any = partial(Bounded, places=Places(bounds))
        super().__init__(
            uvicorn.Config(
                app, lifespan="off", log_config=None, access_log=False, ws="none", http=protocol, server_header=False,
                loop="asyncio", timeout_graceful_shutdown=1, timeout_keep_alive=bounds.idle, backlog=1024,
            )
        )  # fmt: skip
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves signals alone."""
        yield

    async def begin(self) -> None:
        """Serve from now on. Raises RuntimeError where the socket cannot be served."""
        self._task = asyncio.create_task(self.serve(sockets=[self._listener]))
        while not self.started:
            if self._task.done():
                raise RuntimeError(f"cannot serve {self._listener}") from self._task.exception()
            await asyncio.sleep(0.005)

    async def end(self) -> None:
        """Accept nothing more and finish what runs, for at most 1 second."""
        self.should_exit = True
        if self._task is not None:
            await self._task


class AgentFaces:
    """Keeps one server for each living agent, as the supervisor tells over its socket pair."""

    def __init__(self, app_for: Callable[[int], ASGIApp], on_gone: Callable[[int], None]) -> None:
        self._app_for = app_for
        self._on_gone = on_gone
        self._servers: dict[int, Server] = {}
        self._channel: socket.socket | None = None
        self._endings: set[asyncio.Task[None]] = set()

    def attach(self, descriptor: int) -> None:
        """Follow the supervisor's messages on `descriptor`, a unix socket that keeps message bounds."""
        self._channel = socket.socket(fileno=descriptor)
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(descriptor, self._told)

    def _told(self) -> None:
        assert self._channel is not None
        data, descriptors, _, _ = socket.recv_fds(self._channel, 4096, 8)
        if not data:  # the supervisor is gone, and this process with it
            self._detach()
            return
        try:
            message = json.loads(data)
        except ValueError:
            log.error("the supervisor sent what is no JSON")
            message = {}
        match message, descriptors:
            case {"agent": int(instance)}, [descriptor]:
                self._keep(self._serve(instance, socket.socket(fileno=descriptor)))
            case {"agent_gone": int(instance)}, []:
                self._keep(self._stop(instance))
            case _:
                for descriptor in descriptors:
                    os.close(descriptor)

    async def _serve(self, instance: int, listener: socket.socket) -> None:
        listener.setblocking(False)
        server = Server(self._app_for(instance), listener, AGENT)
        self._servers[instance] = server
        await server.begin()

    async def _stop(self, instance: int) -> None:
        self._on_gone(instance)
        server = self._servers.pop(instance, None)
        if server is not None:
            await server.end()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._endings.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._endings.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("an agent's listener cannot be served", exc_info=task.exception())

    def _detach(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None

    async def end(self) -> None:
        """Stop serving agents."""
        self._detach()
        await asyncio.gather(*(server.end() for server in self._servers.values()), *self._endings)
