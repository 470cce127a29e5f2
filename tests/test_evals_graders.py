"""Graders: what score an answer gets."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.evals import AskReply, SampleError, ToolCallSeen, grade_all
from bedplate.evals.graders import zero
from evals_support import cases, dataset, reply

ROWS = cases("graders.yaml")
BY_SCORE_ONE = [row for row in ROWS if "evaluator" in row]


def _case(row: dict[str, Any]) -> Any:
    case: dict[str, Any] = {"inputs": "q"}
    if "expected" in row:
        case["expected_output"] = row["expected"]
    if "evaluator" in row:
        case["evaluators"] = [row["evaluator"]]
    return dataset([case]).cases[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_score(row: dict[str, Any]) -> None:
    """Each evaluator gives each answer the score that the case file says, with a reason."""
    (grade,) = grade_all(_case(row), reply(row["reply"]))
    assert grade.score == row["score"], grade.reason
    assert grade.reason


def test_every_evaluator_has_rows_on_both_sides() -> None:
    """The case file has a passing and a failing answer for every evaluator that is compared with an answer."""
    from bedplate.evals.specs import FORMS

    def names(keep: bool) -> set[str]:
        rows = [row["evaluator"] for row in BY_SCORE_ONE if (row["score"] == 1) is keep]
        return {row if isinstance(row, str) else next(iter(row)) for row in rows}

    assert names(True) >= set(FORMS) - {"Equals", "ContainsAll"}
    assert names(False) >= set(FORMS) - {"MaxDuration"}


def test_a_denied_attempt_at_a_forbidden_tool_counts() -> None:
    """Trying a forbidden tool fails the case even where the gateway denied the call."""
    case = _case({"evaluator": {"ForbiddenTools": ["refunds.*"]}})
    tried = AskReply("no", tool_calls=(ToolCallSeen("refunds.pay", {}, "deny"),))
    (grade,) = grade_all(case, tried)
    assert grade.score == 0
    assert "deny" in grade.reason


def test_a_pattern_without_end_is_stopped() -> None:
    """A pattern that would run for hours is given up within a second and counts as not found."""
    case = _case({"evaluator": {"Regex": "(a|aa|aaa)+(b|bb)+$"}})
    began = time.monotonic()
    (grade,) = grade_all(case, reply({"output": "a" * 4000 + "b" * 4000 + "c"}))
    assert grade.score == 0
    assert time.monotonic() - began < 5


@given(
    row=st.sampled_from(ROWS),
    output=st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)),
    tools=st.lists(st.sampled_from(["docs.search", "refunds.pay", ""])),
    sources=st.lists(st.text(max_size=8)),
)
@settings(max_examples=300)
def test_grades_stay_between_0_and_1(row: dict[str, Any], output: str, tools: list[str], sources: list[str]) -> None:
    """Whatever the agent answers, no grader raises and every score lies from 0 to 1."""
    graded = grade_all(_case(row), reply({"output": output, "tools": tools, "sources": sources}))
    assert all(0 <= grade.score <= 1 for grade in graded)


@pytest.mark.parametrize(
    "output", ["[" * 100_000, "9" * 10_000, '{"a":' * 5000, "1e999999", "\x00", "```\n", "```json\n```"]
)
def test_hostile_answers_are_graded(output: str) -> None:
    """Answers made to break a parser get a grade, not an error."""
    for row in ROWS:
        assert all(0 <= grade.score <= 1 for grade in grade_all(_case(row), reply({"output": output})))


def test_a_deep_answer_meets_a_recursive_schema() -> None:
    """An answer that is nested deeply gets 0 from a schema that refers to itself, not an error."""
    schema = {"$ref": "#/$defs/l", "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}}}}
    case = _case({"evaluator": {"Json": {"schema": schema}}})
    assert grade_all(case, reply({"output": "[[]]"}))[0].score == 1
    assert grade_all(case, reply({"output": "[" * 900 + "]" * 900}))[0].score == 0


def test_no_answer_is_zero_everywhere() -> None:
    """A sample without an answer has every grade of its case, all 0."""
    case = dataset(
        [{"inputs": "q", "expected_output": "a", "evaluators": ["Exact", {"ForbiddenTools": ["x.*"]}, {"Latency": 9}]}]
    )
    grades = zero(case.cases[0], SampleError("agent", "gone"))
    assert [grade.score for grade in grades] == [0, 0, 0]
    assert {grade.metric for grade in grades} == {"exact", "forbiddenTools", None}
