"""Decisions of the gateway: one request put to the scopes, and what it takes from their budgets.

Goes in: a turn and what its agent wants. Comes out: `Decision`. Budgets are counted outside the scopes: of the grants
that allow a request those without a budget go first, and a grant whose budget is used up allows nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bedplate.access import Budget, Decision, Effect, Grant, Request, ScopeSet, decide, may_use
from bedplate.access.decide import CONSENT, effect
from bedplate.access.values import UNIT, given, read
from bedplate.runtime.gateway.memory_tool import NAME as MEMORY
from bedplate.runtime.gateway.turn import Turn
from bedplate.runtime.tools.api import Question
from bedplate.store import Shortage, Store, Use


class Decider:
    """Decides for one stage."""

    def __init__(self, scopes: ScopeSet, store: Store) -> None:
        self._scopes = scopes
        self._store = store

    def look(self, turn: Turn, tool: str, operation: str, question: Question, arguments: Mapping[str, Any]) -> Decision:
        """What the scopes say, budgets apart.

        Where the object shows only while the call runs: whether any is granted.
        """
        scopes = self._scopes
        if standing := self._store.frozen():
            return Decision(Effect.DENY, reason=standing.words)
        if not question.any_object:
            return decide(scopes, _request(turn, tool, operation, question, arguments))
        if not may_use(scopes, tool, operation, question.verb):
            return Decision(Effect.DENY, reason=f"no scope of {tool} grants {question.verb}")
        grant = next(g for g in scopes.grants if (g.tool, g.verb) == (tool, question.verb))
        return Decision(Effect.ALLOW, grant.id, grant.where)

    def permit(
        self, turn: Turn, tool: str, operation: str, question: Question, arguments: Mapping[str, Any], ref: str
    ) -> Decision:
        """The decision on a call about to be made. What is allowed has been taken from its budgets, under `ref`.

        A call whose object shows only while it runs counts against every budget of the tool for the verb.
        """
        found = self.look(turn, tool, operation, question, arguments)
        if found.effect is not Effect.ALLOW:
            return found
        if question.any_object:
            mine = tuple(g for g in self._scopes.grants if (g.tool, g.verb) == (tool, question.verb))
            short = self._reserve(mine, turn, arguments, ref)
            return found if short is None else Decision(Effect.DENY, reason=short)
        request = _request(turn, tool, operation, question, arguments)
        return self._by_grant(request, turn, ref)

    def agreed(
        self, turn: Turn, tool: str, operation: str, question: Question, arguments: Mapping[str, Any], ref: str
    ) -> Decision:
        """The decision on a call that a person has agreed to: budgets still hold, and have been taken under `ref`."""
        request = _request(turn, tool, operation, question, arguments)
        asking = [grant for grant in self._scopes.grants if effect(grant, request) is Effect.ASK]
        return self._first(asking, request, turn, ref)

    def give_back(self, ref: str) -> None:
        """Nothing was sent after all."""
        self._store.give_back(ref)

    def _by_grant(self, request: Request, turn: Turn, ref: str) -> Decision:
        allowing = [grant for grant in self._scopes.grants if effect(grant, request) is Effect.ALLOW]
        found = self._first(allowing, request, turn, ref)
        asking = next((g for g in self._scopes.grants if effect(g, request) is Effect.ASK), None)
        if found.effect is Effect.DENY and asking:
            return Decision(Effect.ASK, asking.id, asking.where, CONSENT)
        return found

    def _first(self, grants: list[Grant], request: Request, turn: Turn, ref: str) -> Decision:
        """By the first of the grants that has room left in its budgets, those without any first."""
        shortages: list[str] = []
        for grant in sorted(grants, key=lambda g: bool(g.budgets)):
            short = self._reserve((grant,), turn, request.args, ref)
            if short is None:
                return Decision(Effect.ALLOW, grant.id, grant.where)
            shortages.append(short)
        return Decision(Effect.DENY, grants[0].id, grants[0].where, shortages[0])

    def _reserve(self, grants: tuple[Grant, ...], turn: Turn, args: Mapping[str, Any], ref: str) -> str | None:
        """Take from every budget of the grants; why that cannot be, where it cannot."""
        uses: dict[str, Use] = {}
        for grant in grants:
            for budget in grant.budgets:
                amount = _amount(budget, args)
                if amount is None:
                    return f"{'.'.join(budget.path)} must be a number of at least 0, since its sum is limited"
                name = f"{grant.id}/{'.'.join(budget.path) or 'calls'}/{budget.window}/{self._whose(budget, turn)}"
                uses[name] = Use(name, amount, budget.amount * (1 if budget.path else UNIT), budget.window)
        short = self._store.reserve(tuple(uses.values()), ref) if uses else None
        return None if short is None else _said(short)

    def _whose(self, budget: Budget, turn: Turn) -> str:
        match budget.per:
            case "stage":
                return ""
            case "user":
                return self._store.pseudonym(turn.row.agent, turn.row.user)
            case "session":
                return turn.row.session


def _request(turn: Turn, tool: str, operation: str, question: Question, arguments: Mapping[str, Any]) -> Request:
    return Request(
        tool,
        operation,
        question.verb,
        question.object,
        principal=turn.row.user,
        kind="memory" if tool == MEMORY else "tool",
        args=arguments,
        session=turn.claims,
    )


def _amount(budget: Budget, args: Mapping[str, Any]) -> int | None:
    """What one call takes, in ten-thousandths: of a call or of the sum. None for what cannot be counted."""
    if not budget.path:
        return UNIT
    found = read("decimal", given(budget.path, args))
    return found if isinstance(found, int) and found >= 0 else None


def _said(short: Shortage) -> str:
    name, what, window, _ = short.use.budget.rsplit("/", 3)
    left, limit = (f"{number / UNIT:g}" for number in (short.left, short.use.limit))
    again = "" if short.again is None else f"; enough again in {_span(short.again - time.time())}"
    return f"the limit of scope {name} is reached: {left} of {limit} {what} left in {_span(int(window))}{again}"


def _span(seconds: float) -> str:
    """`20 s`, `5 min`, `3 h`, `2 d`: rounded up, so that it is never too soon."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or seconds == size:
            return f"{-(-seconds // size):.0f} {unit}"
    return f"{max(1, -(-seconds // 1)):.0f} s"
