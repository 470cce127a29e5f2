"""The runner: what is asked, in which sessions, and what becomes of questions without an answer."""

from __future__ import annotations

import asyncio
import random

import pytest

from bedplate.evals import AskFailed, AskReply, AskRequest, Progress, ToolCallSeen, run
from bedplate.evals.gates import faults
from evals_support import dataset, echo, failing, numbered, results, suite


async def test_each_case_is_asked_each_repeat() -> None:
    """Every case is asked as often as the suite says, each time in a session and as a user of its own."""
    asked: list[AskRequest] = []

    async def ask(request: AskRequest) -> AskReply:
        asked.append(request)
        return await echo(request)

    done = await run(suite(repeats=3), numbered(4), ask, timeout=7.0)
    assert len(done.samples) == len(asked) == 12
    assert len({request.session for request in asked}) == len({request.user for request in asked}) == 12
    assert all(len(request.session) >= 33 and request.timeout == 7.0 for request in asked)
    assert all(sample.passed for sample in done.samples)


async def test_order_does_not_depend_on_who_answers_first() -> None:
    """Results stand by case and repeat, whatever the order in which answers come."""
    chance = random.Random(7)

    async def ask(request: AskRequest) -> AskReply:
        await asyncio.sleep(chance.random() / 50)
        return await echo(request)

    done = await results(numbered(10), ask, repeats=2, concurrency=8)
    assert [(s.case.name, s.repeat) for s in done.samples] == [(f"c{i}", r) for i in range(10) for r in (1, 2)]


async def test_concurrency_is_a_bound() -> None:
    """No more questions are open at once than allowed, and as many as allowed."""
    now = highest = 0

    async def ask(request: AskRequest) -> AskReply:
        nonlocal now, highest
        now += 1
        highest = max(highest, now)
        await asyncio.sleep(0.005)
        now -= 1
        return await echo(request)

    await results(numbered(12), ask, concurrency=3)
    assert highest == 3


async def test_turns_share_a_session_and_the_last_is_graded() -> None:
    """Turns are asked in one session, one after another; tokens and tools add up, the last answer is graded."""
    sessions: list[str] = []

    async def ask(request: AskRequest) -> AskReply:
        sessions.append(request.session)
        call = ToolCallSeen("docs.search")
        return AskReply(f"heard {request.input}", f"t{len(sessions)}", 0.1 * len(sessions), 10, 1, (call,))

    data = dataset([{"inputs": ["one", "two"], "evaluators": [{"Exact": "heard two"}, {"Tokens": 22}]}])
    (sample,) = (await results(data, ask)).samples
    assert sample.passed
    assert len(set(sessions)) == 1
    assert sample.reply is not None
    assert (sample.reply.tokens, len(sample.reply.tool_calls), sample.reply.latency_s) == (22, 2, 0.2)
    assert sample.trace_ids == ("t1", "t2")


async def test_an_agent_failure_is_a_zero_at_once() -> None:
    """A question that the agent fails is not asked again and has 0 from every grader."""
    asked: list[str] = []

    def fails(request: AskRequest) -> bool:
        asked.append(request.input)
        return True

    (sample,) = (await results(numbered(1), failing(fails))).samples
    assert len(asked) == 1
    assert not sample.passed
    assert sample.error is not None
    assert [grade.score for grade in sample.grades] == [0]


async def test_an_infrastructure_fault_is_tried_again_in_a_new_session() -> None:
    """A fault of the infrastructure costs nothing if the second attempt succeeds."""
    sessions: list[str] = []

    def fails(request: AskRequest) -> bool:
        sessions.append(request.session)
        return len(sessions) == 1

    done = await results(numbered(1), failing(fails, "infrastructure"))
    (sample,) = done.samples
    assert sample.passed
    assert sample.attempts == 2
    assert len(set(sessions)) == 2
    assert faults(done) == 0


async def test_a_fault_that_stays_is_counted() -> None:
    """A question lost twice to the infrastructure is a zero and counts as a fault."""
    done = await results(numbered(4), failing(lambda r: r.input == "word2", "infrastructure"))
    assert faults(done) == 0.25
    assert [sample.passed for sample in done.samples] == [True, True, False, True]


async def test_an_ask_that_never_returns_is_given_up() -> None:
    """A question whose time is long over ends as the agent's failure and does not hang the run."""

    async def ask(_: AskRequest) -> AskReply:
        await asyncio.sleep(60)
        raise AssertionError

    (sample,) = (await results(numbered(1), ask, timeout=-4.99)).samples
    assert sample.error is not None
    assert sample.error.kind == "agent"


async def test_another_error_ends_the_run() -> None:
    """An error that is not AskFailed reaches the caller as it is, and no question is left running."""
    ended: list[str] = []

    async def ask(request: AskRequest) -> AskReply:
        if request.input == "word1":
            raise ValueError("a bug")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(request.input)
        raise AskFailed("agent", "")

    with pytest.raises(ValueError, match="a bug"):
        await results(numbered(3), ask, concurrency=3)
    assert sorted(ended) == ["word0", "word2"]


async def test_progress_counts_up() -> None:
    """The progress callback is called once a sample, counting to the total."""
    seen: list[Progress] = []
    await results(numbered(3), progress=seen.append, repeats=2)
    assert [(p.done, p.total) for p in seen] == [(i, 6) for i in range(1, 7)]


async def test_the_clock_is_the_callers() -> None:
    """Start and duration come from the clock that is passed in."""
    times = iter([100.0, 107.5])
    done = await results(numbered(1), clock=lambda: next(times))
    assert (done.started, done.seconds) == (100.0, 7.5)
