"""Cases of checks of access as data: tools, data and grants in one line each; for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.access import Argument, Ask, Budget, Condition, Grant, Never, Operation, Present, ScopeSet
from bedplate.access.facts import DataFacts, Facts, ToolFacts

FOLDER = Path(__file__).parent / "cases" / "access"


def cases(name: str) -> list[Any]:
    """The cases of one file, each under its id."""
    return [pytest.param(case, id=case["id"]) for case in yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))]


def _labels(entry: dict[str, Any]) -> Any:
    return frozenset(entry["labels"]) if "labels" in entry else None


def facts(case: dict[str, Any]) -> Facts:
    """The tools and data of a case."""
    tools = [ToolFacts(**{**entry, "labels": _labels(entry)}) for entry in case["tools"]]
    data = [DataFacts(**{**entry, "labels": _labels(entry)}) for entry in case.get("data", ())]
    return Facts(tuple(tools), tuple(data))


def _grant(entry: Any) -> Grant:
    written = {"is": entry} if isinstance(entry, str) else entry
    tool, verb, pattern, *ask = written["is"].split()
    conditions = tuple(Condition(tuple(p.split(".")), "string", Present(True)) for p in written.get("where", ()))
    asked = tuple(c for c in conditions if ".".join(c.path) in written.get("ask", ()))
    return Grant(
        f"{tool}-{verb}",
        tool,
        verb,
        pattern,
        conditions=conditions,
        only=tuple(written["where"]) if written.get("only") else None,
        ask=Ask(always=True) if ask else Ask(asked) if asked else None,
        budgets=(Budget(written["limit"], 60),) if "limit" in written else (),
    )


def _operation(entry: Any) -> Operation:
    """`tool.name`, or that with its method, its URL and the names of its arguments."""
    if isinstance(entry, str):
        return Operation(*entry.split("."))
    tool, name = entry["is"].split(".")
    arguments = tuple(Argument((argument,), "string") for argument in entry.get("arguments", ()))
    return Operation(tool, name, arguments, method=entry["method"], url=entry["url"])


def scopes(case: dict[str, Any]) -> ScopeSet:
    """The grants, prohibitions and operations of a case."""
    operations = tuple(map(_operation, case.get("operations", ())))
    never = tuple(Never(pattern) for pattern in case.get("never", ()))
    return ScopeSet(tuple(map(_grant, case["grants"])), never, operations)
