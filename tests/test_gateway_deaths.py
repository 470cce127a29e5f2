"""Turns when something dies: the agent, its connection, the gateway, the disk, and what a retry then gets."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from bedplate.blueprint.model import Limits
from bedplate.runtime.gateway.modelface import asked_tokens
from gateway_support import Job, Running, blueprint, running


async def echo(job: Job) -> None:
    await job.answer(f"you said {job.input}")


def error_of(reply: Any) -> str:
    return str(reply.json()["error"]["code"])


async def test_agent_dies_and_the_turn_runs_again(tmp_path: Path) -> None:
    """Where the agent dies after calls without effect, the turn runs again once, with another capability."""

    async def agent(job: Job) -> None:
        await job.tool("desk___look", path="docs/a.md")
        if len(run.jobs) == 1:
            await job.report({"type": "text", "delta": "half"})  # ends without a result: it died
        else:
            await job.answer("whole")

    async with running(tmp_path) as run:
        run.serve(agent)
        reply = await run.ask("x")
        assert reply.json()["output"] == "whole"
        first, second = run.jobs
        assert first.document["turn"] == second.document["turn"]
        assert first.document["capability"] != second.document["capability"]
        row = run.store.turn(reply.json()["turnId"])
        assert row is not None
        assert row.attempt == 2


async def test_connection_of_the_agent_breaks(tmp_path: Path) -> None:
    """An agent whose connection breaks in the middle of its report is dead, and the turn runs again."""
    begun = asyncio.Event()

    async def body() -> Any:
        yield b'{"type":"text","delta":"so"}\n'
        begun.set()
        await asyncio.sleep(60)

    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        path = f"/agent/turns/{job.document['turn']}"
        reporting = asyncio.create_task(job.http.post(path, content=body(), headers=job.auth))
        await begun.wait()
        reporting.cancel()
        again = await run.take()
        await again.answer("whole")
        assert (await asking).json()["output"] == "whole"


async def test_agent_dies_twice(tmp_path: Path) -> None:
    """An agent that dies in both attempts fails the turn."""

    async def agent(job: Job) -> None:
        await job.report({"type": "text", "delta": "half"})

    async with running(tmp_path) as run:
        run.serve(agent)
        reply = await run.ask("x")
        assert (reply.status_code, error_of(reply)) == (502, "BP416")


async def test_agent_dies_after_an_effect(tmp_path: Path) -> None:
    """After a call that may have had an effect the turn is not repeated, and the error names the call."""

    async def agent(job: Job) -> None:
        await job.tool("desk___send", text="x")
        await job.report(b"")

    async with running(tmp_path) as run:
        run.serve(agent)
        reply = await run.ask("x")
        assert (reply.status_code, error_of(reply)) == (502, "BP415")
        assert "desk.send" in reply.json()["error"]["message"]
        assert len(run.jobs) == 1


async def test_agent_process_gone(tmp_path: Path) -> None:
    """When the supervisor says that an agent died, the turn that it took runs again on the next one."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        first = await run.take()
        run.gateway.turns.agent_gone(1)
        assert await first.tool_status() == 401
        second = await run.take()
        assert first.document["turn"] == second.document["turn"]
        assert (await first.answer("from the grave")).status_code == 401
        await second.answer("alive")
        assert (await asking).json()["output"] == "alive"


async def test_idempotent_retry(tmp_path: Path) -> None:
    """The same key gets the same answer from one turn, while it runs and afterwards; another question is refused."""

    async def agent(job: Job) -> None:
        await job.tool("desk___look", path="docs/a.md")
        await asyncio.sleep(0.1)
        await job.answer("from docs/a.md")

    key = {"Idempotency-Key": "k1"}
    async with running(tmp_path) as run:
        run.serve(agent)
        both = await asyncio.gather(run.ask("x", headers=key), run.ask("x", headers=key))
        later = await run.ask("x", headers=key)
        bodies = [r.json() for r in (*both, later)]
        assert bodies[0] == bodies[1] == bodies[2]
        assert len(run.jobs) == 1
        other = await run.ask("y", headers=key)
        assert (other.status_code, error_of(other)) == (409, "BP405")
        foreign = await run.ask("x", headers=key, userId="bob")
        assert foreign.json()["turnId"] != bodies[0]["turnId"]


async def test_failed_turn_stays_failed_for_its_key(tmp_path: Path) -> None:
    """A failed turn answers its key with the same error."""

    async def agent(job: Job) -> None:
        await job.report({"type": "error", "code": "oops", "message": "no idea"})

    key = {"Idempotency-Key": "k1"}
    async with running(tmp_path) as run:
        run.serve(agent)
        first, second = await run.ask("x", headers=key), await run.ask("x", headers=key)
        assert (first.status_code, error_of(first)) == (502, "BP419")
        assert first.json()["error"]["message"] == second.json()["error"]["message"]
        assert len(run.jobs) == 1


async def _cut_off(run: Running, effect: bool, key: str | None) -> None:
    """Begin a turn and leave it in the middle, as a killed gateway does."""
    headers = {"Idempotency-Key": key} if key else {}
    asking = asyncio.create_task(run.ask("x", headers=headers))
    job = await run.take()
    await job.tool("desk___send" if effect else "desk___look", **({"text": "x"} if effect else {"path": "docs/a"}))
    asking.cancel()


async def test_restart_runs_the_turn_again(tmp_path: Path) -> None:
    """A gateway that died in a turn with a key runs it again when it is back, in the same trace."""
    async with running(tmp_path) as run:
        await _cut_off(run, effect=False, key="k1")
        left = run.store.running_turns()[0]
    async with running(tmp_path) as run:
        run.serve(echo)
        body = (await run.ask("x", headers={"Idempotency-Key": "k1"})).json()
        assert (body["output"], body["turnId"], body["traceId"]) == ("you said x", left.id, left.trace_id)
        assert run.jobs[0].document["traceparent"].split("-")[1] == left.trace_id
        row = run.store.turn(left.id)
        assert row is not None
        assert row.attempt == 2


@pytest.mark.parametrize(("effect", "key", "code"), [(True, "k1", "BP415"), (False, None, "BP418")])
async def test_restart_settles_what_is_not_repeated(tmp_path: Path, effect: bool, key: str | None, code: str) -> None:
    """A turn with an effect, or one that nobody can ask for again, is failed by the next gateway."""
    async with running(tmp_path) as run:
        await _cut_off(run, effect, key)
        left = run.store.running_turns()[0]
    async with running(tmp_path) as run:
        row = run.store.turn(left.id)
        assert row is not None
        assert row.status == "failed"
        assert (row.error or "").startswith(code)
        if key:
            assert error_of(await run.ask("x", headers={"Idempotency-Key": key})) == code


async def test_restart_does_not_renew_the_limits(tmp_path: Path) -> None:
    """What a turn used before its gateway died is used: requests, tokens, cost, tool calls and its time."""
    plan = blueprint(limits=Limits(requests=3, tool_calls=2, timeout=20))
    question: Any = {"messages": [{"role": "user", "content": "x" * 400}]}
    async with running(tmp_path, plan) as run:
        asking = asyncio.create_task(run.ask("x", headers={"Idempotency-Key": "k1"}))
        first = await run.take()
        await first.tool("desk___look", path="docs/a")
        await first.post("/v1/chat/completions", question)
        run.model.hold = asyncio.Event()
        reading = asyncio.create_task(first.post("/v1/chat/completions", question))
        async with asyncio.timeout(5):
            while len(run.model.asked) < 2:
                await asyncio.sleep(0.01)
        left = shutil.copytree(tmp_path, tmp_path / "left")  # what a kill would leave at this moment
        for task in (asking, reading):
            task.cancel()
    async with running(left, plan) as run:
        asking = asyncio.create_task(run.ask("x", headers={"Idempotency-Key": "k1"}))
        second = await run.take()
        document = second.document
        assert (document["requests"], document["tool_calls"]) == (1, 1)
        assert document["deadline"] == first.document["deadline"]
        await second.tool("desk___look", path="docs/a")
        await second.post("/v1/chat/completions", question)
        await second.answer("y")
        tokens = 10 + asked_tokens(question) + 10  # answered, cut off in the middle, answered
        cost = 0.01 + 0.001 * asked_tokens(question) + 0.01
        usage = (await asking).json()["usage"]
        assert usage == {
            "requests": 3, "toolCalls": 2, "inputTokens": tokens, "outputTokens": 10, "cost": pytest.approx(cost)
        }  # fmt: skip


async def test_time_runs_while_no_gateway_does(tmp_path: Path) -> None:
    """A turn whose time was over before the next gateway came has failed for that."""
    plan = blueprint(limits=Limits(timeout=0.5))
    async with running(tmp_path, plan) as run:
        await _cut_off(run, effect=False, key="k1")
    await asyncio.sleep(0.5)
    async with running(tmp_path, plan) as run:
        assert error_of(await run.ask("x", headers={"Idempotency-Key": "k1"})) == "BP414"


async def test_drain(tmp_path: Path) -> None:
    """A gateway that is told to stop refuses new questions, and lets the running turn finish."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        stopping = asyncio.create_task(run.gateway.stop())
        await asyncio.sleep(0.05)
        refused = await run.ask("y")
        assert (refused.status_code, error_of(refused)) == (503, "BP407")
        await job.answer("just in time")
        await stopping
        assert (await asking).json()["output"] == "just in time"


async def test_agent_that_leaves_the_poll_gets_no_turn(tmp_path: Path) -> None:
    """A question that comes when a polling agent has just hung up goes to the next one."""
    async with running(tmp_path) as run:
        poll = asyncio.create_task(run.agent.post("/agent/next"))
        await asyncio.sleep(0.1)
        poll.cancel()
        asking = asyncio.create_task(run.ask("x"))
        async with asyncio.timeout(3):
            await (await run.take()).answer("here")
        assert (await asking).json()["output"] == "here"


async def test_forgotten_in_mid_turn(tmp_path: Path) -> None:
    """A person erased while their turn runs still gets the answer, and nothing of it is kept."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("My name is Ann.", userId="ann"))
        job = await run.take()
        run.store.forget("support", "ann")
        await job.answer("hello")
        assert (await asking).json()["output"] == "hello"
        counts = run.store.counts()
        assert (counts.messages, counts.facts) == (0, 0)


async def test_stream_of_a_turn_that_begins_anew(tmp_path: Path) -> None:
    """A reader of a stream is told to drop what was said before the agent died."""

    async def agent(job: Job) -> None:
        if len(run.jobs) == 1:
            await job.report({"type": "text", "delta": "half"})
        else:
            await job.answer("whole")

    async with running(tmp_path) as run:
        run.serve(agent)
        reply = await run.ask("x", stream=True)
        assert [line[7:] for line in reply.text.splitlines() if line.startswith("event")] == [
            "text", "reset", "text", "text", "result",
        ]  # fmt: skip


async def test_full_disk(tmp_path: Path) -> None:
    """Where the disk is full, the caller is told so at once, and the gateway goes on."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        pages = run.store.db.row("PRAGMA page_count")
        assert pages is not None
        run.store.db.run(f"PRAGMA max_page_count = {pages[0]}")
        told = await job.answer("a long answer " * 5000)
        assert error_of(told) == "BP464"
        async with asyncio.timeout(3):
            assert error_of(await asking) == "BP464"
        run.store.db.run("PRAGMA max_page_count = 1000000")
        run.serve(echo)
        assert (await run.ask("again")).json()["output"] == "you said again"
