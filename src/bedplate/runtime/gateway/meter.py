"""What a turn has used, held against its limits. Goes in: what happened. Comes out: usage, or the limit it broke.

A model request counts from the moment it is allowed: by estimate until its answer tells, so that requests side by side
see each other and one that nobody reads to its end is not free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bedplate.blueprint.model import Limits
from bedplate.runtime.gateway import faults


@dataclass(frozen=True)
class Spent:
    """What model requests used: tokens, and US dollars. `cost` None: no price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    def __add__(self, other: Spent) -> Spent:
        known = [c for c in (self.cost, other.cost) if c is not None]
        cost = sum(known) if known else None
        return Spent(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens, cost)

    @property
    def tokens(self) -> int:
        """In and out together."""
        return self.input_tokens + self.output_tokens


@dataclass(eq=False)
class ModelRequest:
    """A model request under way: what it counts for so far."""

    spent: Spent


@dataclass
class Meter:
    """Counts over all attempts of one turn. `lines` gives the manifest's line of each limit, for the messages."""

    limits: Limits
    lines: Mapping[str, int]
    requests: int = 0
    tool_calls: int = 0
    settled: Spent = Spent()
    _under_way: set[ModelRequest] = field(default_factory=set)

    @classmethod
    def restored(cls, limits: Limits, lines: Mapping[str, int], usage: Mapping[str, Any], tool_calls: int) -> Meter:
        """Goes on from a `usage()` that was stored; `tool_calls` are counted from the calls that were recorded."""
        spent = Spent(usage.get("inputTokens", 0), usage.get("outputTokens", 0), usage.get("cost"))
        return cls(limits, lines, usage.get("requests", 0), tool_calls, spent)

    def ask_model(self, expected: Spent) -> ModelRequest:
        """Count a model request, `expected` for now, before it is made.

        Raises BedplateError BP410, BP412 or BP413 where it may not be made, and counts nothing.
        """
        self._within("requests", self.requests + 1, self.limits.requests)
        self._check(self.spent + expected)
        if self.limits.cost is not None and (self.spent.cost or 0.0) >= self.limits.cost:
            raise self._over("cost", self.limits.cost)
        self.requests += 1
        request = ModelRequest(expected)
        self._under_way.add(request)
        return request

    def so_far(self, request: ModelRequest, spent: Spent) -> None:
        """Count anew what a request under way has used. Raises BP412 or BP413 where the turn is past its limit."""
        request.spent = spent
        self._check(self.spent)

    def settle(self, request: ModelRequest, spent: Spent) -> None:
        """A request is over, and this is what it used. Raises BP412 or BP413 where that was too much."""
        self._under_way.remove(request)
        self.settled += spent
        self._check(self.spent)

    def call_tool(self) -> None:
        """Count a tool call, denied ones too. Raises BedplateError BP411."""
        self._within("toolCalls", self.tool_calls + 1, self.limits.tool_calls)
        self.tool_calls += 1

    @property
    def spent(self) -> Spent:
        """By all requests, those under way included."""
        return sum((request.spent for request in self._under_way), self.settled)

    def usage(self) -> dict[str, float]:
        """As callers see it. `cost` in US dollars stands there where it is known."""
        spent = self.spent
        used: dict[str, float] = {
            "requests": self.requests,
            "toolCalls": self.tool_calls,
            "inputTokens": spent.input_tokens,
            "outputTokens": spent.output_tokens,
        }
        return used if spent.cost is None else {**used, "cost": round(spent.cost, 6)}

    def _check(self, spent: Spent) -> None:
        self._within("tokens", spent.tokens, self.limits.tokens)
        self._within("cost", spent.cost or 0.0, self.limits.cost)

    def _within(self, name: str, value: float, limit: float | None) -> None:
        if limit is not None and value > limit:
            raise self._over(name, limit)

    def _over(self, name: str, limit: float) -> Exception:
        line = self.lines.get(f"limits.{name}")
        return faults.over_limit(name, limit, f"agent.yaml:{line}" if line else "")
