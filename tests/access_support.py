"""Scope sets as cases write them: grants with typed tests, asks and limits, and pinned operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.access import (
    Argument,
    Ask,
    Budget,
    Claim,
    Condition,
    Grant,
    Never,
    Operation,
    Present,
    ScopeSet,
    Spans,
    Subset,
    Texts,
    grant_id,
)
from bedplate.access.conditions import network, number

NUMBERS = ("integer", "decimal", "boolean", "time")


def scope_set(described: Mapping[str, Any] | None) -> ScopeSet:
    """`{grants: [...], never: [...], operations: {tool: {name: {...}}}}`; None is the empty one."""
    described = described or {}
    grants = tuple(grant_of(g, f"agent.yaml:{i}") for i, g in enumerate(described.get("grants", ()), 1))
    never = tuple(Never(pattern, "agent.yaml:99") for pattern in described.get("never", ()))
    operations = tuple(
        operation_of(tool, name, of)
        for tool, named in described.get("operations", {}).items()
        for name, of in named.items()
    )
    return ScopeSet(grants, never, operations)


def grant_of(described: Mapping[str, Any], line: str) -> Grant:
    """`{tool, call: PATTERN, id?, where?, ask?, only?, limit?}`; a list `[tool, verb, pattern]` is one without more."""
    if isinstance(described, list):
        tool, verb, pattern = described
        return Grant(grant_id(tool, verb, pattern), tool, verb, pattern, line)
    known = {"tool", "id", "where", "ask", "only", "limit"}
    verb = next(key for key in described if key not in known)
    tool, pattern = described.get("tool", "t"), described[verb]
    asked = described.get("ask")
    ask = None if asked is None else Ask(always=True) if asked is True else Ask(conditions(asked))
    only = tuple(described["only"]) if "only" in described else None
    budgets = tuple(Budget(**{**b, "path": tuple(b.get("path", ()))}) for b in described.get("limit", ()))
    # As in a manifest, scopes that differ have ids that differ: one id is one budget.
    name = described.get("id", grant_id(tool, verb, f"{pattern} {line}" if budgets else pattern))
    return Grant(name, tool, verb, pattern, line, conditions(described.get("where", {})), only, ask, budgets)


def conditions(described: Mapping[str, Any]) -> tuple[Condition, ...]:
    """`{customer.id: {claim: customer}, amount: {decimal: [[0, 100]]}}`; several tests of a path are a conjunction."""
    return tuple(
        Condition(tuple(path.split(".")), kind_of(kind), meaning(kind, value))
        for path, of in described.items()
        for kind, value in of.items()
    )


def kind_of(kind: str) -> Any:
    """`claim` and `given` are tests of strings unless `integer-claim` or `decimal-given` says more."""
    return kind.rpartition("-")[0] or "string" if kind.rpartition("-")[2] in {"claim", "given"} else kind


def meaning(kind: str, value: Any) -> Any:
    """A test; numbers are values or pairs of bounds, `null` for none."""
    match kind.rpartition("-")[2]:
        case "claim":
            return Claim(value)
        case "given":
            return Present(value)
        case "string":
            return Texts(tuple(value))
        case "strings":
            return Subset(tuple(value))
        case "ip":
            return Spans(tuple(sorted(network(text) for text in value)))
        case _:
            return Spans(tuple(span(kind, item) for item in value))


def span(kind: Any, item: Any) -> tuple[int | None, int | None]:
    """The span of a value or of a pair."""
    low, high = item if isinstance(item, list) else (item, item)
    return (None if low is None else number(kind, low), None if high is None else number(kind, high))


def operation_of(tool: str, name: str, described: Mapping[str, Any]) -> Operation:
    """`{args: {n: decimal!, mode: {string: [a, b]}}, closed?, pin?, method?, url?}`; `!`: required; `any`: no kind."""
    arguments = []
    for path, of in described.get("args", {}).items():
        values: tuple[str, ...] = ()
        if isinstance(of, Mapping):
            ((of, listed),) = of.items()
            values = tuple(listed)
        kind = of.rstrip("!")
        arguments.append(Argument(tuple(path.split(".")), None if kind == "any" else kind, of.endswith("!"), values))
    closed, pin = described.get("closed", False), described.get("pin", "")
    return Operation(tool, name, tuple(arguments), closed, pin, described.get("method", ""), described.get("url", ""))
