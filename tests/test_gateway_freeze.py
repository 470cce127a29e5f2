"""The kill switch in a real gateway: at once everything is denied, visibly, and nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway_support import running

QUESTION = {"messages": [{"role": "user", "content": "x"}]}


async def test_a_frozen_stage_takes_no_question(tmp_path: Path) -> None:
    """Callers are told by whom and why, and are answered again once it is thawed."""
    async with running(tmp_path) as run:
        run.store.freeze("eve", "it leaks")
        refused = await run.ask("x")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "BP424"
        assert "the stage is frozen by eve: it leaks" in refused.json()["error"]["message"]
        run.store.thaw("eve")
        run.serve(lambda job: job.answer("fine"))
        assert (await run.ask("x")).json()["output"] == "fine"


async def test_a_turn_that_runs_can_do_nothing_more(tmp_path: Path) -> None:
    """Tools, memory and the model are denied to it from one moment to the next."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        assert not (await job.tool("desk___send", text="a"))["isError"]
        run.store.freeze("eve", "it leaks")
        for name, arguments in (
            ("desk___send", {"text": "b"}),
            ("desk___look", {"path": "docs/a.md"}),
            ("memory___recall", {"query": "a"}),
            ("memory___remember", {"fact": "My name is Eve"}),
        ):
            told = await job.tool(name, **arguments)
            assert told["isError"], name
            assert "the stage is frozen by eve: it leaks" in told["content"][0]["text"], name
        assert run.desk.sent == ["default:a"]
        assert (await job.post("/v1/chat/completions", QUESTION)).json()["error"]["code"] == "BP424"
        assert (await asking).json()["error"]["code"] == "BP424"
        assert run.model.asked == []


async def test_an_answer_of_the_model_breaks_off(tmp_path: Path) -> None:
    """What the model still says when the stage is frozen reaches nobody."""
    async with running(tmp_path) as run:
        run.model.hold, run.model.hold_at = asyncio.Event(), 1
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        talking = asyncio.create_task(job.post("/v1/chat/completions", QUESTION))
        while not run.model.asked:
            await asyncio.sleep(0.01)
        run.store.freeze("eve", "")
        run.model.hold.set()
        assert (await talking).json()["error"]["code"] == "BP424"
        await job.answer("done")
        await asking


async def test_a_turn_that_waits_is_not_begun(tmp_path: Path) -> None:
    """A question that was queued before is refused where an agent would take it."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        while not run.store.running_turns():
            await asyncio.sleep(0.01)
        run.store.freeze("eve", "")
        reply = await run.agent.post("/agent/next")
        assert reply.status_code != 200
        assert (await asking).json()["error"]["code"] == "BP424"


@pytest.mark.parametrize("times", [1, 2])
async def test_freezing_is_in_the_audit_trail(tmp_path: Path, times: int) -> None:
    """Who froze and who thawed is recorded once each, and who froze first stands."""
    async with running(tmp_path) as run:
        for number in range(times):
            assert run.store.freeze(f"eve{number}", "x").who == "eve0"
        assert run.store.thaw("bob")
        assert not run.store.thaw("bob")
        assert [(row.kind, row.principal) for row in run.store.audit_rows()] == [("freeze", "eve0"), ("thaw", "bob")]
        assert run.store.audit_verify() is None
