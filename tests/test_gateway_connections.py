"""Connections that never send a whole request, too many of them, and a process without descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bedplate.runtime.gateway.connections import Bounds
from bedplate.runtime.gateway.serving import AGENT, CALLERS, Server
from gateway_support import KEY, listener
from test_gateway_process import Process

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost:"
ENDLESS = asyncio.Event()
"""Set when the answer of `/endless` has ended."""


async def _said(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _endless(_: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)
        finally:
            ENDLESS.set()

    return StreamingResponse(body())


@asynccontextmanager
async def served(**bounds: Any) -> AsyncIterator[int]:
    """A face that answers `GET` at once and `POST` with the size of the body; gives its port."""
    ENDLESS.clear()
    ok = Route("/", lambda _: PlainTextResponse("ok"))
    app = Starlette(routes=[ok, Route("/", _said, methods=["POST"]), Route("/endless", _endless)])
    server = Server(app, face := listener(), Bounds(**{"most": 512, **bounds}))
    port = int(face.getsockname()[1])
    await server.begin()
    try:
        yield port
    finally:
        server.force_exit = True
        await server.end()


async def drip(writer: asyncio.StreamWriter, byte: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(0.05)


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the other side has closed."""
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass


@pytest.mark.parametrize(
    ("sent", "dripped"),
    [
        (b"", b""),
        (HALF, b""),
        (HALF, b"x"),
        (GET + HALF, b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b"x"),
    ],
)
async def test_half_a_request(sent: bytes, dripped: bytes) -> None:
    """A connection that sends no whole head in time is closed, however busily it sends; so is an endless body."""
    async with served(head=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        dripping = asyncio.create_task(drip(writer, dripped)) if dripped else None
        began = time.monotonic()
        await ended(reader)
        assert time.monotonic() - began > 0.2
        if dripping:
            dripping.cancel()
        writer.close()


async def test_patience_where_it_is_due() -> None:
    """A slow body is read to its end, and a connection between two requests stays open."""
    async with served(head=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        assert (await reader.readuntil(b"\r\n\r\n5")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_answer_that_nobody_reads() -> None:
    """A peer that does not read is given up, and what is streamed to it ends."""
    async with served(read=0.3) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            await ENDLESS.wait()
        writer.close()


async def test_one_connection_too_many() -> None:
    """In a full face the connection that is idle for longest makes room; one that is being answered never does."""
    async with served(most=3) as port:
        busy = await asyncio.open_connection("127.0.0.1", port)
        busy[1].write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await busy[0].read(10)
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        idle[0][1].write(GET)
        assert await idle[0][0].readuntil(b"ok")
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{port}/")).text == "ok"
            await ended(idle[1][0])
        idle[0][1].write(GET)
        assert await idle[0][0].readuntil(b"ok")
        assert await busy[0].read(10)
        for _, each in (busy, *idle):
            each.close()


async def test_a_face_full_of_work_takes_no_more() -> None:
    """Where every connection is being answered, further ones are closed at once."""
    async with served(most=2) as port:
        busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in busy:
            writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.read(10)
        reading = [asyncio.create_task(drained(reader)) for reader, _ in busy]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await ended(reader)
        for task in reading:
            task.cancel()
        for each in (writer, busy[0][1], busy[1][1]):
            each.close()


async def drained(reader: asyncio.StreamReader) -> None:
    while await reader.read(1_000_000):
        pass


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"


@pytest.mark.parametrize(
    ("bounds", "dripped"), [({"pace": 0.3}, b""), ({"pace": 0.3}, b"x"), ({"body": 0.5}, b"x" * 200)]
)
async def test_half_a_body(bounds: dict[str, float], dripped: bytes) -> None:
    """A body must make progress, and be there in time."""
    async with served(**bounds) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST)
        dripping = asyncio.create_task(drip(writer, dripped)) if dripped else None
        began = time.monotonic()
        await ended(reader)
        assert 0.2 < time.monotonic() - began < 1.5
        if dripping:
            dripping.cancel()
        writer.close()


@pytest.fixture
def process(tmp_path: Path) -> Any:
    made = Process(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.stop(signal.SIGKILL)
    made.outer.close()
    made.inner.close()


def ping(process: Process) -> int:
    return httpx2.get(process.url(process.outer) + "/ping", trust_env=False, timeout=5).status_code


def half_sent(process: Process, count: int) -> list[socket.socket]:
    """As an agent: many connections with half a request each."""
    made = [socket.create_connection(process.inner.getsockname(), timeout=5) for _ in range(count)]
    for each in made:
        with contextlib.suppress(ConnectionError):
            each.send(HALF)
    return made


def test_agent_cannot_starve_the_callers(process: Process) -> None:
    """Hundreds of half-sent requests of an agent take a bounded number of descriptors, and callers are answered."""
    process.start(descriptors=(100, 4096))
    assert process.process is not None
    with contextlib.ExitStack() as stack:
        for each in half_sent(process, 400):
            stack.enter_context(each)
        assert [ping(process) for _ in range(5)] == [200] * 5
        held = len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))
        assert AGENT.most < held < AGENT.most + 60
        assert resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE) == (4096, 4096)


def begun(process: Process, said: bytes, count: int = 600) -> list[socket.socket]:
    """Callers that send this and then neither more nor anything else."""
    made = []
    for _ in range(count):
        made.append(socket.create_connection(process.outer.getsockname(), timeout=5))
        made[-1].send(said)
    return made


HEAD = "POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n{{"


@pytest.mark.parametrize(
    "said", [b"", b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", HEAD.format("wrong").encode(), HEAD.format(KEY).encode()]
)
def test_callers_cannot_starve_each_other(process: Process, said: bytes) -> None:
    """Hundreds of connections that do nothing, or have sent half a body, with a key or without, keep no caller out."""
    process.start(descriptors=(4096, 4096))
    assert process.process is not None
    with contextlib.ExitStack() as stack:
        for each in begun(process, said):
            stack.enter_context(each)
        time.sleep(0.5)
        began = time.monotonic()
        assert [asked(process) for _ in range(5)] == [400] * 5
        assert time.monotonic() - began < 3
        assert len(list(Path(f"/proc/{process.process.pid}/fd").iterdir())) < CALLERS.most + 60


def asked(process: Process) -> int:
    """The status of what only a caller with the key gets."""
    headers = {"Authorization": f"Bearer {KEY}"}
    url = process.url(process.outer) + "/invocations"
    return httpx2.post(url, json={"nothing": ""}, headers=headers, trust_env=False, timeout=5).status_code


@pytest.mark.parametrize("rest", [b"", b"x" * 999])
def test_a_wrong_key_keeps_no_connection(process: Process, rest: bytes) -> None:
    """Who is refused gets the answer, and is hung up on: when all of the body has come, else after a moment."""
    process.start()
    with socket.create_connection(process.outer.getsockname(), timeout=5) as caller:
        caller.send(HEAD.format("wrong").encode())
        assert caller.recv(1000).startswith(b"HTTP/1.1 401")
        caller.send(rest)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while caller.recv(1000):
                pass
        assert time.monotonic() - began < (0.5 if rest else 3)
    answer = httpx2.post(process.url(process.outer) + "/invocations", json={"input": "x"}, trust_env=False)
    assert (answer.status_code, answer.headers.get("connection", "close")) == (401, "close")


def test_without_descriptors(process: Process) -> None:
    """A gateway that has no descriptors left says so rarely, does not spin, and answers as soon as some are free."""
    process.start(descriptors=(90, 90))
    assert process.process is not None
    many = half_sent(process, 100)
    time.sleep(1.5)
    before = cpu(process.process.pid)
    time.sleep(1.5)
    assert cpu(process.process.pid) - before < 0.75
    for each in many:
        each.close()
    assert ping(process) == 200
    assert process.stop(signal.SIGTERM) == 0
    assert 1 <= process.told.count(b"cannot be accepted") <= 2  # a slow machine may take the 10 seconds to the next


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
