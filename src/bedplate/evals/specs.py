"""Reads evaluators as datasets write them: `Name`, `{Name: value}`, `{Name: {argument: value}}`, as in pydantic-evals.

A `Spot` goes in; an `Evaluator` comes out, or None with the problem taken down in the findings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bedplate.evals import evaluators as ev
from bedplate.evals.findings import Findings, did_you_mean
from bedplate.evals.located import Spot
from bedplate.evals.patterns import PatternsMissing, check_pattern, check_schema

Check = Callable[[Spot], Any]
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Wrong(Exception):
    """An argument that cannot be taken; the message completes "… must be"."""


def _text(spot: Spot) -> str:
    if spot.source is None or spot.value is None or not spot.source.strip():
        raise Wrong("text that is not empty")
    return spot.source


def _texts(spot: Spot) -> tuple[str, ...]:
    items = spot.value if isinstance(spot.value, list) else [spot]
    if not items:
        raise Wrong("a list with at least one text")
    return tuple(_text(item) for item in items)


def _names(spot: Spot) -> tuple[str, ...]:
    return () if spot.value == [] else _texts(spot)


def _flag(spot: Spot) -> bool:
    if not isinstance(spot.value, bool):
        raise Wrong("true or false")
    return spot.value


def _any(spot: Spot) -> Any:
    return spot.plain()


def _decimal(spot: Spot) -> Decimal:
    if isinstance(spot.value, bool) or not isinstance(spot.value, int | float) or not math.isfinite(spot.value):
        raise Wrong("a number")
    return Decimal(str(spot.value))


def _tolerance(spot: Spot) -> Decimal:
    value = _decimal(spot)
    if value < 0:
        raise Wrong("a number from 0 up")
    return value


def _count(spot: Spot) -> int:
    if isinstance(spot.value, bool) or not isinstance(spot.value, int) or spot.value < 0:
        raise Wrong("a whole number from 0 up")
    return spot.value


def _seconds(spot: Spot) -> float:
    written = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", (spot.source or "").strip())
    if not written or float(written[1]) <= 0:
        raise Wrong("a time such as 8s, 500ms or a number of seconds")
    return float(written[1]) * _UNITS[written[2] or "s"]


def _mode(spot: Spot) -> str:
    if spot.value not in ("exact", "ordered", "subset"):
        raise Wrong("exact, ordered or subset")
    return str(spot.value)


def _pattern(spot: Spot) -> str:
    pattern = _text(spot)
    fault = check_pattern(pattern)
    if fault:
        raise Wrong(f"a regular expression ({fault})")
    return pattern


def _schema(spot: Spot) -> Any:
    schema = spot.plain()
    fault = check_schema(schema)
    if fault:
        raise Wrong(f"a JSON Schema ({fault})")
    return schema


def _values(spot: Spot) -> tuple[tuple[str, Any], ...]:
    if not isinstance(spot.value, dict) or not spot.value:
        raise Wrong("a mapping of dotted paths to values, such as {order.id: 7}")
    return tuple((path, value.plain()) for path, value in spot.value.items())


@dataclass(frozen=True)
class Form:
    """How one evaluator is written: what it builds and its arguments with their checks, the short form's first."""

    build: Callable[..., ev.Evaluator]
    arguments: dict[str, Check]
    required: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()


FORMS: dict[str, Form] = {
    "Contains": Form(ev.Contains, {"value": _text, "case_sensitive": _flag}, ("value",)),
    "ContainsAny": Form(ev.ContainsAny, {"values": _texts}, ("values",)),
    "ContainsAll": Form(ev.ContainsAll, {"values": _texts}, ("values",)),
    "Exact": Form(ev.Exact, {"value": _text}),
    "Equals": Form(ev.Equals, {"value": _any}, ("value",)),
    "EqualsExpected": Form(ev.EqualsExpected, {}),
    "Regex": Form(ev.Regex, {"pattern": _pattern, "ignore_case": _flag}, ("pattern",)),
    "Json": Form(ev.Json, {"schema": _schema, "values": _values}),
    "Numeric": Form(ev.Numeric, {"value": _decimal, "tolerance": _tolerance}),
    "Trajectory": Form(ev.Trajectory, {"tools": _names, "mode": _mode}, ("tools",)),
    "ForbiddenTools": Form(ev.ForbiddenTools, {"tools": _texts}, ("tools",)),
    "Source": Form(ev.Source, {"path": _text, "first": _flag}, ("path",)),
    "Latency": Form(ev.Latency, {"max": _seconds}, ("max",)),
    "MaxDuration": Form(ev.Latency, {"seconds": _seconds}, ("seconds",), (("seconds", "max"),)),
    "Tokens": Form(ev.Tokens, {"max": _count}, ("max",)),
}
"""Every evaluator that a dataset may name."""

NOT_YET = ("LLMJudge", "GEval", "IsInstance", "HasMatchingSpan", "ToolCorrectness", "TrajectoryMatch",
           "ArgumentCorrectness", "MaxToolCalls", "MaxModelRequests")  # fmt: skip
"""Evaluators of pydantic-evals that Bedplate knows of and does not run."""


def read_evaluators(spot: Spot, findings: Findings) -> tuple[ev.Evaluator, ...]:
    """The evaluators of a list; those that are wrong are taken down in `findings` and left out."""
    if not isinstance(spot.value, list):
        findings.add("BP503", "`evaluators` must be a list", spot, fix="evaluators: [{Contains: some text}]")
        return ()
    read = [_read(item, findings) for item in spot.value]
    return tuple(evaluator for evaluator in read if evaluator is not None)


def _read(spot: Spot, findings: Findings) -> ev.Evaluator | None:
    named = _named(spot)
    if named is None:
        findings.add(
            "BP503", "an evaluator must be a name or a mapping with one name", spot, fix="- Contains: some text"
        )
        return None
    name, argument = named
    form = FORMS.get(name)
    if form is None:
        findings.add("BP504", f"there is no evaluator `{name}`", spot, fix=_instead(name))
        return None
    arguments = _arguments(name, form, argument, spot, findings)
    if arguments is None:
        return None
    renames = dict(form.rename)
    return form.build(**{renames.get(key, key): value for key, value in arguments.items()})


def _instead(name: str) -> str:
    if name in NOT_YET:
        return (
            f"`{name}` of pydantic-evals is not run here yet. Take it out, or write it with {', '.join(sorted(FORMS))}."
        )
    return did_you_mean(name, FORMS)


def _named(spot: Spot) -> tuple[str, Spot | None] | None:
    if isinstance(spot.value, str):
        return spot.value, None
    if not isinstance(spot.value, dict):
        return None
    entries = spot.value
    if set(entries) == {"name", "arguments"} and isinstance(entries["name"].value, str):
        return entries["name"].value, entries["arguments"]
    if len(entries) != 1:
        return None
    ((name, argument),) = entries.items()
    return name, None if argument.value is None else argument


def _arguments(name: str, form: Form, argument: Spot | None, spot: Spot, findings: Findings) -> dict[str, Any] | None:
    given = _by_name(form, argument)
    if given is None:
        findings.add("BP505", f"`{name}` takes no argument", spot, fix=f"- {name}")
        return None
    before = len(findings.problems)
    for key in [key for key in given if key not in form.arguments]:
        fix = did_you_mean(key, form.arguments) if form.arguments else f"- {name}"
        findings.add("BP505", f"`{name}` has no argument `{key}`", given[key], fix=fix, at_key=True)
    for key in [key for key in form.required if key not in given]:
        findings.add("BP505", f"`{name}` needs `{key}`", spot, fix=f"- {name}: {{{key}: …}}")
    values = {
        key: _checked(name, key, form.arguments[key], value, findings)
        for key, value in given.items()
        if key in form.arguments
    }
    return values if len(findings.problems) == before else None


def _by_name(form: Form, argument: Spot | None) -> dict[str, Spot] | None:
    if argument is None:
        return {}
    if isinstance(argument.value, dict):
        return argument.value
    first = next(iter(form.arguments), None)
    return None if first is None else {first: argument}


def _checked(name: str, key: str, check: Check, spot: Spot, findings: Findings) -> Any:
    try:
        return check(spot)
    except Wrong as wrong:
        findings.add(
            "BP505", f"`{key}` of `{name}` must be {wrong}", spot, fix=f"`bedplate explain BP505` shows `{name}`."
        )
    except PatternsMissing:
        findings.add("BP510", "`Regex` needs the package `regex`", spot, fix="pip install 'bedplate[evals]'")
    return None
