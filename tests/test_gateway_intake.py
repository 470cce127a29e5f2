"""What an agent sends is taken in so that callers are answered meanwhile, and memory is bounded."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bedplate.runtime.gateway.inner import MODEL_LIMIT
from bedplate.runtime.gateway.intake import ROOM
from gateway_support import KEY, Job, Running, running
from test_gateway_process import Process

COMPLETIONS = "/v1/chat/completions"


async def begun(run: Running, job: Job, told: str) -> asyncio.StreamWriter:
    """A request that tells its size, sends a little of its body and waits."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(run.inner.rpartition(":")[2]))
    head = f"POST {COMPLETIONS} HTTP/1.1\r\nHost: x\r\nAuthorization: {job.auth['Authorization']}\r\n{told}\r\n\r\n"
    writer.write(head.encode() + b"1\r\n{\r\n")
    return writer


@pytest.mark.parametrize("told", [f"Content-Length: {MODEL_LIMIT}", "Transfer-Encoding: chunked"])
async def test_bodies_on_their_way_are_bounded(tmp_path: Path, told: str) -> None:
    """Past the room for bodies a request is refused, whether they tell their size or not; it is free when they end."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        writers = [await begun(run, job, told) for _ in range(ROOM // MODEL_LIMIT)]
        await asyncio.sleep(0.1)
        refused = await job.post(COMPLETIONS, {"messages": []})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "BP421")
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await job.post(COMPLETIONS, {"messages": []})).status_code == 200
        await job.answer("done")
        assert (await asking).status_code == 200


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.stop(signal.SIGKILL)
    made.outer.close()
    made.inner.close()


async def test_callers_are_answered_while_an_agent_sends_what_takes_long_to_read(process: Process) -> None:
    """Large requests of an agent, many at a time and again and again, hold callers up for little longer than one."""
    await asyncio.to_thread(process.start)
    slow = json.dumps([[]] * 1_000_000, separators=(",", ":")).encode()
    options: Any = {"trust_env": False, "timeout": 60, "headers": {"Authorization": f"Bearer {KEY}"}}
    async with (
        httpx2.AsyncClient(base_url=process.url(process.outer), **options) as caller,
        httpx2.AsyncClient(base_url=process.url(process.inner), **options) as agent,
    ):
        asking = asyncio.create_task(caller.post("/invocations", json={"input": "x"}))
        job = Job(agent, (await agent.post("/agent/next")).json())

        refused: list[int] = []

        async def hammer() -> None:
            while True:
                refused.append((await agent.post(COMPLETIONS, content=slow, headers=job.auth)).status_code)

        hammers = [asyncio.create_task(hammer()) for _ in range(8)]
        await asyncio.sleep(0.5)
        waited = []
        for _ in range(20):
            began = time.monotonic()
            assert (await caller.get("/ping")).status_code == 200
            waited.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
        for task in (*hammers, asking):
            task.cancel()
        assert set(refused) == {400}
        assert sorted(waited)[10] < 0.3
