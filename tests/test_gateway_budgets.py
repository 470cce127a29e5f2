"""Budgets of scopes in a real gateway: calls and sums, for a stage, a user or a session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate.access import Budget, Grant, ScopeSet
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, ToolResult
from gateway_support import Desk, blueprint, running


class Till(Desk):
    """`pay(amount)` pays out."""

    def _all(self) -> tuple[Operation, ...]:
        return (Operation("pay", "Pay.", {"type": "object"}, "call"),)

    def question(self, operation: str, arguments: Arguments) -> Question:
        return Question("call", operation)

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        self.sent.append(str(arguments.get("amount")))
        await asyncio.sleep(0)
        return ToolResult("paid")


def scopes(*grants: Grant) -> ScopeSet:
    return ScopeSet(grants)


def limited(*budgets: Budget, name: str = "small") -> Grant:
    return Grant(name, "desk", "call", "pay", "agent.yaml:7", budgets=budgets)


async def paid(run: Any, amounts: list[Any], *, user: str = "ada", session: str | None = None) -> list[str]:
    """Pay each amount in one turn of the user; the texts of the answers."""
    asking = asyncio.create_task(run.ask("x", userId=user, **({"sessionId": session} if session else {})))
    job = await run.take()
    told = [(await job.tool("desk___pay", amount=amount))["content"][0]["text"] for amount in amounts]
    await job.answer("done")
    await asking
    return told


@pytest.mark.parametrize(
    ("budgets", "amounts", "allowed", "reason"),
    [
        ((Budget(2, 60),), [1, 1, 1], 2, "0 of 2 calls left in 1 min; enough again in"),
        ((Budget(5_000_000, 86_400, ("amount",)),), [300, 150.5, 49.5, 0.01], 3, "0 of 500 amount left in 1 d"),
        ((Budget(5_000_000, 86_400, ("amount",)),), [500.0001], 0, "500 of 500 amount left in 1 d"),
        ((Budget(5_000_000, 86_400, ("amount",)),), [-1], 0, "amount must be a number of at least 0"),
        ((Budget(5_000_000, 86_400, ("amount",)),), ["1"], 0, "amount must be a number of at least 0"),
        ((Budget(9, 60), Budget(10_000, 60, ("amount",))), [1, 1], 1, "0 of 1 amount left"),
    ],
)
async def test_no_more_is_allowed_than_the_budget(
    tmp_path: Path, budgets: tuple[Budget, ...], amounts: list[Any], allowed: int, reason: str
) -> None:
    """What the budget has no room for is denied with what is left, and is not made."""
    till = Till()
    async with running(tmp_path, blueprint(scopes=scopes(limited(*budgets))), till) as run:
        told = await paid(run, amounts)
        assert [text == "paid" for text in told] == [True] * allowed + [False] * (len(amounts) - allowed)
        assert reason in told[-1]
        assert len(till.sent) == allowed
        effects = [row.effect for row in run.store.audit_rows() if row.tool == "desk"]
        assert effects == ["allow"] * allowed + ["deny"] * (len(amounts) - allowed)


@pytest.mark.parametrize(("per", "granted"), [("stage", 2), ("user", 4), ("session", 6)])
async def test_a_budget_is_for_a_stage_a_user_or_a_session(tmp_path: Path, per: Any, granted: int) -> None:
    """Two users with a session more: each has what its budget says, and nobody can name themselves another one."""
    till = Till()
    async with running(tmp_path, blueprint(scopes=scopes(limited(Budget(2, 60, per=per)))), till) as run:
        for user, session in (("ada", None), ("ada", None), ("bob", None)):
            await paid(run, [1, 1, 1], user=user, session=session)
        assert len(till.sent) == granted


async def test_calls_at_once_do_not_pass_the_budget(tmp_path: Path) -> None:
    """Of fifty calls side by side five are made."""
    till, plenty = Till(), blueprint(scopes=scopes(limited(Budget(5, 60))))
    plenty = replace(plenty, limits=replace(plenty.limits, tool_calls=100))
    async with running(tmp_path, plenty, till) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        await asyncio.gather(*(job.tool("desk___pay", amount=1) for _ in range(50)))
        await job.answer("done")
        await asking
        assert len(till.sent) == 5


async def test_a_budget_outlives_the_gateway(tmp_path: Path) -> None:
    """A gateway that is started again counts on from what is on disk."""
    till, small = Till(), blueprint(scopes=scopes(limited(Budget(3, 3600))))
    for _ in range(2):
        async with running(tmp_path, small, till) as run:
            await paid(run, [1, 1])
    assert len(till.sent) == 3


async def test_another_scope_without_a_budget_allows_what_a_used_up_one_does_not(tmp_path: Path) -> None:
    """The highest decision of all scopes counts, and a scope without a budget is used first."""
    free = Grant("free", "desk", "call", "pa*")
    till = Till()
    async with running(tmp_path, blueprint(scopes=scopes(limited(Budget(1, 60)), free)), till) as run:
        assert await paid(run, [1, 1, 1]) == ["paid"] * 3
        assert {row.grant for row in run.store.audit_rows() if row.tool == "desk"} == {"free"}


async def test_of_two_budgets_the_second_is_used_when_the_first_is_short(tmp_path: Path) -> None:
    """Two scopes that both allow a call allow it as often as both together."""
    two = scopes(limited(Budget(1, 60), name="first"), limited(Budget(2, 60), name="second"))
    till = Till()
    async with running(tmp_path, blueprint(scopes=two), till) as run:
        assert [text == "paid" for text in await paid(run, [1, 1, 1, 1])] == [True, True, True, False]
