"""What tests of tools share: call contexts, a launcher without a sandbox, servers on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from bedplate.access import Decision, Effect
from bedplate.runtime.sandbox import Launch
from bedplate.runtime.tools.api import CallContext, Question


def plain(argv: Sequence[str], readable: Sequence[Path], environment: Mapping[str, str]) -> Launch:
    """A launch without any sandbox."""
    return Launch(tuple(argv), dict(environment))


def context(allowed: Callable[[Question], bool] = lambda _: True, seconds: float = 30.0) -> CallContext:
    """A call of somebody, decided by `allowed`."""

    def decide(question: Question) -> Decision:
        return Decision(Effect.ALLOW if allowed(question) else Effect.DENY)

    return CallContext("somebody", {}, time.time() + seconds, decide)


@asynccontextmanager
async def served(app: Any, port: int = 0) -> AsyncIterator[str]:
    """An ASGI application on a loopback port, free or given; gives its address."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        await task
        listener.close()


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until `true`, or fail."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
