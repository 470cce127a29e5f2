"""Asks in a real gateway: a call waits for a person, is made once just as agreed, and the conversation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bedplate.access import Ask, Budget, Condition, Grant, ScopeSet, Spans
from gateway_support import Job, Running, blueprint, running
from test_gateway_budgets import Till

OVER_50 = Ask((Condition(("amount",), "decimal", Spans(((500_001, None),))),))


def asking(*budgets: Budget) -> Any:
    return blueprint(
        scopes=ScopeSet((Grant("small", "desk", "call", "pay", "agent.yaml:7", ask=OVER_50, budgets=budgets),))
    )


async def turn(run: Running, do: Callable[[Job], Awaitable[Any]], **asked: Any) -> tuple[Any, dict[str, Any]]:
    """One turn whose agent does something and then answers: what came of it, and the caller's answer."""
    waiting = asyncio.create_task(
        run.ask(**asked)
        if "text" in asked
        else run.http.post("/invocations", json=asked, headers={"Authorization": "Bearer key-of-the-stage"})
    )
    job = await run.take()
    done = await do(job)
    await job.answer("I have asked.")
    return done, (await waiting).json()


def pay(amount: Any) -> Callable[[Job], Awaitable[dict[str, Any]]]:
    async def call(job: Job) -> dict[str, Any]:
        return await job.tool("desk___pay", amount=amount)

    return call


async def asked(run: Running, amount: Any = 70) -> dict[str, Any]:
    """A call that waits now: the answer of its turn."""
    _, answer = await turn(run, pay(amount), text="Pay ada back.")
    return answer


async def test_a_call_in_the_ask_range_waits_and_ends_the_turn_as_input_required(tmp_path: Path) -> None:
    """It is not made; the agent is told so, and the caller gets the exact arguments."""
    till = Till()
    async with running(tmp_path, asking(), till) as run:
        told, answer = await turn(run, pay(70), text="Pay ada back.")
        assert told["isError"]
        assert told["content"][0]["text"].startswith('approval_required: desk.pay {"amount": 70} waits')
        assert answer["status"] == "input_required"
        (ask,) = answer["asks"]
        assert (ask["tool"], ask["operation"], ask["arguments"]) == ("desk", "pay", {"amount": 70})
        assert told["structuredContent"]["approval_required"] == ask
        assert till.sent == []
        below, fine = await turn(run, pay(50), text="And this one.")
        assert (below["content"][0]["text"], fine["status"]) == ("paid", "completed")


async def test_what_is_approved_is_made_once_and_the_conversation_goes_on(tmp_path: Path) -> None:
    """The resumed turn is in the same session, is told of the approval, and may make the very call once."""
    till = Till()
    async with running(tmp_path, asking(), till) as run:
        answer = await asked(run)
        run.store.decide_ask(answer["asks"][0]["id"], approve=True, decider="eve")

        async def go_on(job: Job) -> list[str]:
            assert job.input.startswith('desk.pay {"amount": 70} is approved')
            assert [m["kind"] for m in job.document["history"]] == ["request", "response"]
            return [(await pay(70)(job))["content"][0]["text"] for _ in range(2)]

        texts, after = await turn(run, go_on, resume=answer["asks"][0]["id"])
        assert texts[0] == "paid"
        assert texts[1].startswith("approval_required")
        assert after["sessionId"] == answer["sessionId"]
        assert till.sent == ["70"]
        rows = [(row.effect, row.reason) for row in run.store.audit_rows() if row.tool == "desk" and row.kind == "tool"]
        assert rows[1] == ("allow", f"{answer['asks'][0]['id']} approved by eve")


@pytest.mark.parametrize("amount", [70.01, 71, "70", 700])
async def test_an_approval_is_for_its_very_arguments(tmp_path: Path, amount: Any) -> None:
    """Another amount, however near, asks anew."""
    till = Till()
    async with running(tmp_path, asking(), till) as run:
        answer = await asked(run)
        run.store.decide_ask(answer["asks"][0]["id"], approve=True, decider="eve")
        told, after = await turn(run, pay(amount), resume=answer["asks"][0]["id"])
        assert told["content"][0]["text"].startswith("approval_required")
        assert after["asks"][0]["id"] != answer["asks"][0]["id"]
        assert till.sent == []


async def test_an_approval_is_for_its_session(tmp_path: Path) -> None:
    """Neither another session of the user nor another user can use it."""
    till = Till()
    async with running(tmp_path, asking(), till) as run:
        answer = await asked(run)
        run.store.decide_ask(answer["asks"][0]["id"], approve=True, decider="eve")
        for more in ({}, {"userId": "mallory"}):
            told, _ = await turn(run, pay(70), text="Pay.", **more)
            assert told["content"][0]["text"].startswith("approval_required")
        assert till.sent == []
        other = await run.http.post(
            "/invocations",
            json={"resume": answer["asks"][0]["id"], "userId": "mallory"},
            headers={"Authorization": "Bearer key-of-the-stage"},
        )
        assert (other.status_code, other.json()["error"]["code"]) == (404, "BP423")


async def test_what_is_refused_is_not_made_and_the_agent_hears_why(tmp_path: Path) -> None:
    """The same call is denied with the person's words."""
    till = Till()
    async with running(tmp_path, asking(), till) as run:
        answer = await asked(run)
        run.store.decide_ask(answer["asks"][0]["id"], approve=False, decider="eve", comment="not without a receipt")
        told, after = await turn(run, pay(70), resume=answer["asks"][0]["id"])
        assert "eve refused it" in told["content"][0]["text"]
        assert "not without a receipt" in told["content"][0]["text"]
        assert (after["status"], till.sent) == ("completed", [])


async def test_what_nobody_has_decided_cannot_go_on(tmp_path: Path) -> None:
    """Resuming too early is told, and changes nothing."""
    async with running(tmp_path, asking(), Till()) as run:
        answer = await asked(run)
        early = await run.http.post(
            "/invocations",
            json={"resume": answer["asks"][0]["id"]},
            headers={"Authorization": "Bearer key-of-the-stage"},
        )
        assert (early.status_code, early.json()["error"]["code"]) == (409, "BP422")


async def test_asks_and_approvals_survive_the_gateway(tmp_path: Path) -> None:
    """A gateway that is started again knows what waits and what was approved, and the session's history."""
    till, plan = Till(), asking()
    async with running(tmp_path, plan, till) as run:
        answer = await asked(run)
    async with running(tmp_path, plan, till) as run:
        run.store.decide_ask(answer["asks"][0]["id"], approve=True, decider="eve")
    async with running(tmp_path, plan, till) as run:
        told, after = await turn(run, pay(70), resume=answer["asks"][0]["id"])
        assert (told["content"][0]["text"], after["sessionId"]) == ("paid", answer["sessionId"])
    assert till.sent == ["70"]


async def test_the_same_call_twice_is_one_ask(tmp_path: Path) -> None:
    """An agent that insists gets the same ask again, not a second one."""
    async with running(tmp_path, asking(), Till()) as run:

        async def twice(job: Job) -> None:
            await pay(70)(job)
            await pay(70)(job)

        _, answer = await turn(run, twice, text="Pay.")
        assert len(answer["asks"]) == 1


async def test_of_approved_calls_at_once_one_is_made(tmp_path: Path) -> None:
    """Twenty calls side by side use one approval once."""
    till = Till()
    async with running(tmp_path, asking(), till) as run:
        answer = await asked(run)
        run.store.decide_ask(answer["asks"][0]["id"], approve=True, decider="eve")

        async def many(job: Job) -> None:
            await asyncio.gather(*(pay(70)(job) for _ in range(15)))

        await turn(run, many, resume=answer["asks"][0]["id"])
        assert till.sent == ["70"]


async def test_budgets_hold_for_what_is_approved_too(tmp_path: Path) -> None:
    """An approval does not raise a limit, and is not used up where the limit stops the call."""
    till = Till()
    async with running(tmp_path, asking(Budget(1_000_000, 3600, ("amount",))), till) as run:
        await turn(run, pay(40), text="Pay.")
        answer = await asked(run)
        run.store.decide_ask(answer["asks"][0]["id"], approve=True, decider="eve")
        told, _ = await turn(run, pay(70), resume=answer["asks"][0]["id"])
        assert "the limit of scope small is reached" in told["content"][0]["text"]
        assert till.sent == ["40"]
        found = run.store.ask_by_id(answer["asks"][0]["id"])
        assert found is not None
        assert found.status == "approved"


async def test_a_repeated_question_gets_the_same_answer(tmp_path: Path) -> None:
    """Under the same idempotency key a turn that waits is answered as it was."""
    async with running(tmp_path, asking(), Till()) as run:
        headers = {"Idempotency-Key": "k"}
        _, first = await turn(run, pay(70), text="Pay.", headers=headers)
        again = (await run.ask("Pay.", headers=headers)).json()
        assert (again["status"], again["asks"]) == ("input_required", first["asks"])
