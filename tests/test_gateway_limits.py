"""Limits of a turn hold whatever its agent does: hangs up, asks side by side, or asks for more than is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedplate.blueprint.model import Limits, ModelSpec
from bedplate.problems import BedplateError, Problem
from bedplate.runtime.gateway.modelface import PICTURE, asked_tokens, prices
from bedplate.runtime.models.prices import price as listed
from bedplate.runtime.models.providers import PROVIDERS
from gateway_support import Job, Running, blueprint, running

QUESTION = {"messages": [{"role": "user", "content": "x" * 400}]}
ASKED = asked_tokens(QUESTION)
STREAMED = {**QUESTION, "stream": True}
COMPLETIONS = "/v1/chat/completions"


def error_of(reply: Any) -> str:
    return str(reply.json()["error"]["code"])


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def hang_up(run: Running, job: Job, hold_at: int) -> None:
    """Ask for a stream whose model falls silent before a word, and leave it there."""
    run.model.hold, run.model.hold_at = asyncio.Event(), hold_at
    before = len(run.model.asked)
    async with asyncio.timeout(5):
        if hold_at:
            async with job.http.stream("POST", COMPLETIONS, json=STREAMED, headers=job.auth) as reply:
                await anext(reply.aiter_bytes())
        else:
            asking = asyncio.create_task(job.post(COMPLETIONS, STREAMED))
            await until(lambda: len(run.model.asked) > before)
            asking.cancel()


@pytest.mark.parametrize(("hold_at", "wrote"), [(0, 0), (1, 2)])
async def test_hanging_up_is_not_free(tmp_path: Path, hold_at: int, wrote: int) -> None:
    """An agent that leaves a model's answer is charged for its prompt and what was said, in tokens and dollars."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        await hang_up(run, job, hold_at)
        await until(lambda: run.store.running_turns()[0].usage.get("outputTokens") == wrote)
        await job.answer("done")
        read, usage = asked_tokens(STREAMED), (await asking).json()["usage"]
        assert (usage["requests"], usage["inputTokens"], usage["outputTokens"]) == (1, read, wrote)
        assert usage["cost"] == pytest.approx(0.001 * read + 0.002 * wrote)


async def test_hanging_up_does_not_avoid_the_cost_limit(tmp_path: Path) -> None:
    """However early an agent hangs up, `limits.cost` ends its turn after the prompts that it pays for."""
    limits = Limits(cost=0.001 * ASKED * 2.5, timeout=10)
    async with running(tmp_path, blueprint(limits=limits)) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        await hang_up(run, job, 0)
        await hang_up(run, job, 1)
        assert error_of(await job.post(COMPLETIONS, QUESTION)) == "BP413"
        assert error_of(await asking) == "BP413"
        assert len(run.model.asked) == 2


@pytest.mark.parametrize(
    ("code", "counted"), [("BP470", ASKED), ("BP476", ASKED), ("BP479", ASKED), ("BP475", 0), ("BP477", 0)]
)
async def test_requests_without_an_answer(tmp_path: Path, code: str, counted: int) -> None:
    """What a model may have read is counted though no answer came; what was refused unread is not."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        run.model.broken = BedplateError(Problem(code, "no answer"))
        assert error_of(await job.post(COMPLETIONS, QUESTION)) == code
        await job.answer("done")
        usage = (await asking).json()["usage"]
        assert usage["requests"] == 1
        assert usage["inputTokens"] == counted


@pytest.mark.parametrize(
    ("limits", "code", "reached"),
    [
        (Limits(requests=3), "BP410", 3),
        (Limits(tokens=ASKED * 3 + 10), "BP412", 3),
        (Limits(cost=0.001 * ASKED * 3.5), "BP413", 3),
    ],
)
async def test_requests_side_by_side(tmp_path: Path, limits: Limits, code: str, reached: int) -> None:
    """Requests at the same time see each other: no more reach the model than the limit allows together."""
    async with running(tmp_path, blueprint(limits=limits)) as run:
        run.model.hold = asyncio.Event()
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        replies = [asyncio.create_task(job.post(COMPLETIONS, QUESTION)) for _ in range(8)]
        assert error_of(await asking) == code
        run.model.hold.set()
        assert {r.status_code for r in await asyncio.gather(*replies)} == {429, 401}
        assert len(run.model.asked) == reached


async def test_tool_calls_side_by_side(tmp_path: Path) -> None:
    """Tool calls at the same time see each other, too."""
    async with running(tmp_path, blueprint(limits=Limits(tool_calls=3))) as run:
        run.desk.hold = asyncio.Event()
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        calls = [asyncio.create_task(job.tool("desk___send", text=str(n))) for n in range(8)]
        assert error_of(await asking) == "BP411"
        run.desk.hold.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert len(run.desk.sent) <= 3


@pytest.mark.parametrize(("limits", "code"), [(Limits(tokens=ASKED + 200), "BP412"), (Limits(cost=0.5), "BP413")])
async def test_long_answer(tmp_path: Path, limits: Limits, code: str) -> None:
    """An answer that goes past the limit is ended there, not when the model has said everything."""
    async with running(tmp_path, blueprint(limits=limits)) as run:
        run.model.words = "four " * 2000
        run.model.hold, run.model.hold_at = asyncio.Event(), 1999
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        reply = await job.post(COMPLETIONS, STREAMED)
        assert code in reply.text
        assert error_of(await asking) == code


async def test_prompt_that_does_not_fit(tmp_path: Path) -> None:
    """A request larger than what is left of the tokens is never sent."""
    async with running(tmp_path, blueprint(limits=Limits(tokens=ASKED - 1))) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        assert error_of(await job.post(COMPLETIONS, QUESTION)) == "BP412"
        assert error_of(await asking) == "BP412"
        assert run.model.asked == []


async def test_stream_of_a_turn_that_ended(tmp_path: Path) -> None:
    """When the turn has ended, an answer that still streams ends with it."""
    async with running(tmp_path) as run:
        run.model.words = "one two three"
        run.model.hold, run.model.hold_at = asyncio.Event(), 1
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        streaming = asyncio.create_task(job.post(COMPLETIONS, STREAMED))
        await until(lambda: run.model.asked)
        await job.answer("done")
        run.model.hold.set()
        assert "BP430" in (await streaming).text
        assert (await asking).json()["usage"]["inputTokens"] == asked_tokens(STREAMED)


def test_prices_are_those_of_whole_answers() -> None:
    """Estimates are priced by each model's own price; where none is known there is none."""
    spec = ModelSpec("openai:gpt-4o", fallback=("bedplate:extractive", "openai:unheard-of"))
    price = prices(spec)
    assert price("openai:gpt-4o", 1000, 10) == listed(PROVIDERS["openai"], "gpt-4o", 1000, 10)
    assert price("bedplate:extractive", 1000, 10) == 0.0
    assert price("openai:unheard-of", 1000, 10) is None


def test_pictures_are_counted_by_their_number() -> None:
    """A picture's bytes are not read as text; anything else that looks like one is."""
    url = "data:image/png;base64," + "A" * 1_000_000
    picture = {"type": "image_url", "image_url": {"url": url}}
    one = asked_tokens({"messages": [{"role": "user", "content": [picture]}]})
    assert PICTURE < one < PICTURE + 100
    assert asked_tokens({"messages": [{"role": "user", "content": url}]}) > 250_000
