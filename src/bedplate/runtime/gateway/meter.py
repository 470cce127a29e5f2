"""What a turn has used, held against its limits. Goes in: what happened. Comes out: `Usage`, or the limit it broke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bedplate.blueprint.model import Limits
from bedplate.runtime.gateway import faults


@dataclass
class Meter:
    """Counts over all attempts of one turn. `lines` gives the manifest's line of each limit, for the messages."""

    limits: Limits
    lines: Mapping[str, int]
    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    def ask_model(self) -> None:
        """Count a model call before it is made. Raises BedplateError BP410, BP412 or BP413 where it may not be."""
        self._within("requests", self.requests + 1, self.limits.requests)
        self._within("tokens", self.tokens + 1, self.limits.tokens)
        if self.limits.cost is not None and (self.cost or 0.0) >= self.limits.cost:
            raise self._over("cost", self.limits.cost)
        self.requests += 1

    def answered(self, input_tokens: int, output_tokens: int, cost: float | None) -> None:
        """Count what an answer used, cost in US dollars. Raises BP412 or BP413 where that was too much."""
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost
        self._within("tokens", self.tokens, self.limits.tokens)
        self._within("cost", self.cost or 0.0, self.limits.cost)

    def call_tool(self) -> None:
        """Count a tool call, denied ones too. Raises BedplateError BP411."""
        self._within("toolCalls", self.tool_calls + 1, self.limits.tool_calls)
        self.tool_calls += 1

    @property
    def tokens(self) -> int:
        """In and out together."""
        return self.input_tokens + self.output_tokens

    def usage(self) -> dict[str, float]:
        """As callers see it. `cost` in US dollars stands there where it is known."""
        used: dict[str, float] = {
            "requests": self.requests,
            "toolCalls": self.tool_calls,
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
        }
        return used if self.cost is None else {**used, "cost": round(self.cost, 6)}

    def _within(self, name: str, value: float, limit: float | None) -> None:
        if limit is not None and value > limit:
            raise self._over(name, limit)

    def _over(self, name: str, limit: float) -> Exception:
        line = self.lines.get(f"limits.{name}")
        return faults.over_limit(name, limit, f"agent.yaml:{line}" if line else "")
