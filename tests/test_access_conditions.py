"""Values, conditions, asks and pinned operations: by cases and by property."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from access_support import conditions, scope_set
from bedplate.access import Request, decide
from bedplate.access.conditions import number, read, said, spelled
from bedplate.access.values import DOMAINS

CASES = Path(__file__).parent / "cases" / "access"
VALUES = [
    (kind, *row) for kind, rows in yaml.safe_load((CASES / "values.yaml").read_text("utf-8")).items() for row in rows
]
SCOPES = yaml.safe_load((CASES / "scopes.yaml").read_text("utf-8"))


@pytest.mark.parametrize(("kind", "value", "means"), VALUES)
def test_a_value_is_read_in_one_way_or_not_at_all(kind: Any, value: Any, means: Any) -> None:
    """Each JSON value of the cases is the number or text given as its kind, or is no value of it."""
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat()
    assert read(kind, value) == (tuple(means) if isinstance(means, list) else means)


@given(st.sampled_from(sorted(DOMAINS)), st.data())
def test_what_is_spelled_reads_as_it_was(kind: Any, data: st.DataObject) -> None:
    """Every number of a kind has a spelling that reads as that number."""
    value = data.draw(st.integers(*DOMAINS[kind]))
    assert number(kind, spelled(kind, value)) == value


@given(st.floats() | st.decimals(allow_nan=False), st.sampled_from(sorted(DOMAINS)))
def test_decimals_are_exact_or_none(value: float | Decimal, kind: Any) -> None:
    """A float or decimal is a value of kind decimal only with exactly its shortest spelling's amount."""
    found = number(kind, value)
    if found is not None:
        assert kind == "decimal"
        assert Decimal(found) / 10_000 == (Decimal(repr(value)) if isinstance(value, float) else value)
    elif kind == "decimal" and math.isfinite(value):
        assert abs(value) > 9e14 or round(Decimal(str(value)), 4) != Decimal(str(value))


@pytest.mark.parametrize("case", SCOPES, ids=lambda c: c["name"])
def test_decisions_follow_the_conditions(case: dict[str, Any]) -> None:
    """Each request of the cases has the effect that the case says, with its grant, or a reason."""
    scopes = scope_set(case)
    for question in case["decide"]:
        operation = question.get("operation", "op")
        request = Request("t", operation, "call", operation, args=question["args"], session=question.get("session", {}))
        decision = decide(scopes, request)
        assert decision.effect.word == question["is"], question
        assert bool(decision.grant) == (question["is"] != "deny")
        assert bool(decision.reason) != decision.allowed


def test_a_refusal_says_what_the_grant_takes() -> None:
    """Where a grant names the operation and its arguments fail, the reason has the test and the line."""
    scopes = scope_set({"grants": [{"call": "pay", "where": {"amount": {"decimal": [[None, 100]]}}}]})
    reason = decide(scopes, Request("t", "pay", "call", "pay", args={"amount": 101})).reason
    assert reason == "no scope of t grants call on pay with these arguments: it takes amount ≤ 100 (agent.yaml:1)"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"a": {"decimal": [[None, 100]]}}, "a ≤ 100"),
        ({"a": {"decimal": [[50.0001, None]]}}, "a > 50"),
        ({"a": {"decimal": [[None, 49.9999]]}}, "a < 50"),
        ({"a": {"integer": [[1, 5]]}}, "a in 1..5"),
        ({"a": {"integer": [3, [5, None]]}}, "a in [3, 5..]"),
        ({"a": {"boolean": [True]}}, "a = true"),
        ({"a.b": {"string": ["x"]}}, "a.b = x"),
        ({"a": {"string": ["y", "x*"]}}, "a in [x*, y]"),
        ({"a": {"claim": "user"}}, "a = session user"),
        ({"a": {"strings": ["y", "x"]}}, "a all in [x, y]"),
        ({"a": {"given": False}}, "a not given"),
        ({"a": {"time": [["2026-01-01T00:00:00Z", None]]}}, "a ≥ 2026-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_conditions_read_well(written: Any, words: str) -> None:
    """Each test has words that a person reads."""
    assert [said(c) for c in conditions(written)] == [words]
