"""Grades an answer: an evaluator, its case and the reply go in; a `Grade` from 0 to 1 with a reason comes out.

Pure but for the time limit of patterns. An answer can be anything; no answer makes a grader raise.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Never

from bedplate.access import matches
from bedplate.evals import evaluators as ev
from bedplate.evals.model import AskReply, Case, Grade, SampleError, ToolCallSeen
from bedplate.evals.patterns import TIME_LIMIT, PatternTooSlow, found, schema_fault
from bedplate.evals.text import contains, excerpt, normalise, numbers

Verdict = tuple[float, str]
"""Score and reason."""

_FENCE = re.compile(r"\A\s*```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", re.DOTALL)


def grade(evaluator: ev.Evaluator, case: Case, reply: AskReply) -> Grade:
    """What `evaluator` says of the reply."""
    score, reason = _verdict(evaluator, case, reply)
    return Grade(ev.name_of(evaluator), score, reason, ev.METRIC_OF[type(evaluator)])


def grade_all(case: Case, reply: AskReply) -> tuple[Grade, ...]:
    """The reply graded by every evaluator of the case, in order."""
    return tuple(grade(evaluator, case, reply) for evaluator in case.evaluators)


def zero(case: Case, error: SampleError) -> tuple[Grade, ...]:
    """The grades of a sample without an answer: 0 from every evaluator, so that no crash can raise a mean."""
    why = f"no answer: {excerpt(error.message)}"
    return tuple(Grade(ev.name_of(e), 0.0, why, ev.METRIC_OF[type(e)]) for e in case.evaluators)


def _verdict(evaluator: ev.Evaluator, case: Case, reply: AskReply) -> Verdict:
    match evaluator:
        case ev.Trajectory() | ev.ForbiddenTools():
            return _tools(evaluator, tuple(call.tool for call in reply.tool_calls), reply.tool_calls)
        case ev.Source():
            return _source(evaluator, reply.sources)
        case ev.Latency(max=limit):
            return _at_most(reply.latency_s, limit, "s")
        case ev.Tokens(max=limit):
            return _at_most(reply.tokens, limit, " tokens")
        case ev.Regex() | ev.Json() | ev.Numeric():
            return _form(evaluator, case, reply.output)
        case _:
            return _words(evaluator, case, reply.output)


def _words(evaluator: ev.Evaluator, case: Case, output: str) -> Verdict:
    expected = case.expected_text or ""
    match evaluator:
        case ev.ContainsExpected():
            return _said(contains(output, expected), f"contain “{expected}”")
        case ev.Contains(value=value, case_sensitive=sensitive):
            return _said(contains(output, value, case_sensitive=sensitive), f"contain “{value}”")
        case ev.ContainsAny(values=values):
            return _said(any(contains(output, value) for value in values), f"contain one of {_listed(values)}")
        case ev.ContainsAll(values=values):
            missing = [value for value in values if not contains(output, value)]
            return 1 - len(missing) / len(values), f"does not contain {_listed(missing)}" if missing else "contains all"
        case ev.Exact(value=value):
            wanted = expected if value is None else value
            return _said(normalise(output) == normalise(wanted), f"be “{wanted}”")
        case ev.Equals(value=value):
            return _said(_equals(output, value), f"equal {json.dumps(value, ensure_ascii=False)}")
        case _:
            return _said(_equals(output, case.expected), f"equal {json.dumps(case.expected, ensure_ascii=False)}")


def _said(holds: bool, claim: str) -> Verdict:
    verb, _, rest = claim.partition(" ")
    third = {"be": "is"}.get(verb, f"{verb}s")
    return (1.0, f"{third} {excerpt(rest)}") if holds else (0.0, f"does not {verb} {excerpt(rest)}")


def _listed(values: Any) -> str:
    return ", ".join(f"“{value}”" for value in values)


def _equals(output: str, value: Any) -> bool:
    if isinstance(value, str):
        return output == value
    read, fault = _json(output)
    return not fault and same(read, value)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal. Numbers compare by value; true is not 1."""
    match left, right:
        case dict(), dict():
            return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
        case list(), list():
            return len(left) == len(right) and all(map(same, left, right))
        case _:
            return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _form(evaluator: ev.Regex | ev.Json | ev.Numeric, case: Case, output: str) -> Verdict:
    match evaluator:
        case ev.Regex(pattern=pattern, ignore_case=ignore):
            try:
                return _said(found(pattern, output, ignore_case=ignore), f"match /{pattern}/")
            except PatternTooSlow:
                return 0.0, f"/{excerpt(pattern)}/ took over {TIME_LIMIT:g} s"
        case ev.Json():
            return _is_json(evaluator, output)
        case ev.Numeric(value=value, tolerance=tolerance):
            wanted = value if value is not None else next(numbers(case.expected_text or ""))
            near = any(_near(number, wanted, tolerance) for number in numbers(output))
            return _said(near, f"hold a number {wanted} ± {tolerance}")


def _near(number: Decimal, wanted: Decimal, tolerance: Decimal) -> bool:
    return abs(number - wanted) <= tolerance


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _json(output: str) -> tuple[Any, str]:
    """The answer read as JSON, with or without one code fence around it, and what is wrong with it."""
    fenced = _FENCE.match(output)
    try:
        return json.loads(fenced[1] if fenced else output, parse_constant=_refuse_constant), ""
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON: {excerpt(str(error))}"


def _is_json(evaluator: ev.Json, output: str) -> Verdict:
    value, fault = _json(output)
    if not fault and evaluator.schema is not None:
        fault = schema_fault(evaluator.schema, value)
    for path, wanted in () if fault else evaluator.values:
        held, there = _at(value, path)
        if not there or not same(held, wanted):
            fault = (
                f"`{path}` is {json.dumps(held, ensure_ascii=False) if there else 'missing'}, not {json.dumps(wanted)}"
            )
            break
    return (0.0, excerpt(fault)) if fault else (1.0, "is JSON as asked")


def _at(value: Any, path: str) -> tuple[Any, bool]:
    """The value at a dotted path, and whether it is there."""
    for step in path.split("."):
        match value:
            case dict() if step in value:
                value = value[step]
            case list() if step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value):
                value = value[int(step)]
            case _:
                return None, False
    return value, True


def _tools(
    evaluator: ev.Trajectory | ev.ForbiddenTools, called: tuple[str, ...], calls: tuple[ToolCallSeen, ...]
) -> Verdict:
    match evaluator:
        case ev.ForbiddenTools(tools=globs):
            bad = [call for call in calls if any(matches(glob, call.tool) for glob in globs)]
            return (0.0, f"called {bad[0].tool} ({bad[0].decision})") if bad else (1.0, "called no forbidden tool")
        case ev.Trajectory(tools=wanted, mode=mode):
            return _said(_follows(wanted, called, mode), f"call {', '.join(wanted) or 'nothing'} ({mode}); called: "
                         f"{', '.join(called) or 'nothing'}")  # fmt: skip


def _follows(wanted: tuple[str, ...], called: tuple[str, ...], mode: str) -> bool:
    match mode:
        case "exact":
            return len(wanted) == len(called) and all(map(matches, wanted, called))
        case "ordered":
            rest = iter(called)
            return all(any(matches(glob, tool) for tool in rest) for glob in wanted)
        case _:
            return all(any(matches(glob, tool) for tool in called) for glob in wanted)


def _source(evaluator: ev.Source, sources: tuple[str, ...]) -> Verdict:
    looked = sources[:1] if evaluator.first else sources
    anchored = "#" in evaluator.path
    holds = any(matches(evaluator.path, s if anchored else s.partition("#")[0]) for s in looked)
    place = "first source" if evaluator.first else "sources"
    return _said(holds, f"have {evaluator.path} as {place}; had: {', '.join(sources) or 'none'}")


def _at_most(value: float, limit: float, unit: str) -> Verdict:
    return (1.0 if value <= limit else 0.0), f"took {value:g}{unit}, at most {limit:g}{unit}"
