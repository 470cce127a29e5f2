"""Reads one case of a dataset: what is asked, what is expected, how it is graded.

A `Spot` goes in, a `Case` comes out, or None with the problems taken down in the findings.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from bedplate.evals.digests import case_digest
from bedplate.evals.evaluators import METRIC_OF, ContainsExpected, Evaluator, Numeric, name_of, needs_expected
from bedplate.evals.findings import Findings, did_you_mean
from bedplate.evals.located import Spot
from bedplate.evals.model import Case
from bedplate.evals.specs import read_evaluators
from bedplate.evals.text import numbers

MAX_TURNS = 50
MAX_INPUT = 100_000
"""Characters of one turn."""

CASE_KEYS = ("name", "inputs", "expected_output", "metadata", "evaluators")


def read_cases(
    spots: list[Spot], common: tuple[Evaluator, ...], findings: Findings, *, aliases: dict[str, str]
) -> tuple[Case, ...]:
    """The cases among `spots`, in order; what is wrong with the others is taken down. `aliases` are names of keys."""
    read: list[Case] = []
    taken: dict[str, Case] = {}
    for spot in spots:
        case = _case(spot, common, findings, aliases)
        if case is None:
            continue
        if case.name and case.name in taken:
            line = taken[case.name].where.line
            findings.add(
                "BP506", f"two cases are called `{case.name}`", spot, fix=f"Rename one; the other is in line {line}."
            )
            continue
        case = case if case.name else replace(case, name=_name(case.turns[-1], taken))
        taken[case.name] = case
        read.append(case)
    return tuple(read)


def _name(text: str, taken: dict[str, Case]) -> str:
    """A name for a case without one: the words of its question, so that inserting a case renames no other."""
    slug = re.sub(r"[^\w]+", "-", text.casefold()).strip("-")[:60].rstrip("-") or "case"
    number = 2
    name = slug
    while name in taken:
        name, number = f"{slug}-{number}", number + 1
    return name


def _case(spot: Spot, common: tuple[Evaluator, ...], findings: Findings, aliases: dict[str, str]) -> Case | None:
    keys = _keys(spot, findings, aliases)
    if keys is None:
        return None
    turns = _turns(keys["inputs"], findings) if "inputs" in keys else ()
    if "inputs" not in keys:
        findings.add("BP503", "a case needs `inputs`", spot, fix="inputs: the question to ask")
    own = read_evaluators(keys["evaluators"], findings) if "evaluators" in keys else ()
    expected = keys.get("expected_output", Spot(None, spot.line, spot.column))
    text = expected.source if expected.value is not None else None
    evaluators = _with_default((*own, *common), expected)
    _check_expected(spot, expected, evaluators, findings)
    tried = "evaluators" in keys and keys["evaluators"].value  # what is wrong with them is reported already
    if not evaluators and not tried and not isinstance(expected.value, list | dict):
        findings.add("BP508", "nothing of this case can be graded", spot, fix="Add `expected_output` or `evaluators`.")
    name = name_in(keys)
    metadata = _metadata(keys["metadata"], findings) if "metadata" in keys else {}
    where = findings.where(spot)
    digest = case_digest(turns, expected.plain(), evaluators)
    return Case(name, turns, expected.plain(), text, metadata, evaluators, where, digest) if turns else None


def name_in(keys: dict[str, Spot]) -> str:
    """The name that is written, empty where there is none (`name: null` is none)."""
    spot = keys.get("name")
    return (spot.source or "").strip() if spot and spot.value is not None else ""


def _keys(spot: Spot, findings: Findings, aliases: dict[str, str]) -> dict[str, Spot] | None:
    if not isinstance(spot.value, dict):
        findings.add("BP503", "a case must be a mapping", spot, fix="- {inputs: …, expected_output: …}")
        return None
    keys: dict[str, Spot] = {}
    for written, value in spot.value.items():
        key = aliases.get(written, written)
        if key not in CASE_KEYS:
            findings.add(
                "BP503", f"a case has no key `{written}`", value, fix=did_you_mean(written, CASE_KEYS), at_key=True
            )
        elif key in keys:
            findings.add(
                "BP503", f"`{key}` stands there twice, once as `{written}`", value, at_key=True, fix="Keep one."
            )
        else:
            keys[key] = value
    return keys


def _turns(spot: Spot, findings: Findings) -> tuple[str, ...]:
    items = spot.value if isinstance(spot.value, list) else [spot]
    if not 0 < len(items) <= MAX_TURNS:
        findings.add("BP503", f"`inputs` must have 1 to {MAX_TURNS} turns, not {len(items)}", spot)
        return ()
    turns = [_turn(item, findings) for item in items]
    return tuple(turn for turn in turns if turn) if all(turns) else ()


def _turn(spot: Spot, findings: Findings) -> str:
    value = spot.value
    if isinstance(value, dict) and set(value) == {"input"}:
        value = value["input"].value
    if not isinstance(value, str) or not value.strip():
        fix = "Quote it: inputs: '…'" if isinstance(value, int | float) else "inputs: the question to ask"
        findings.add("BP503", "`inputs` must be text, {input: text} or a list of these", spot, fix=fix)
        return ""
    if len(value) > MAX_INPUT:
        findings.add(
            "BP517", f"this turn has {len(value)} characters; at most {MAX_INPUT} fit", spot, fix="Shorten it."
        )
        return ""
    return value


def _metadata(spot: Spot, findings: Findings) -> dict[str, Any]:
    if spot.value is None:
        return {}
    if not isinstance(spot.value, dict):
        findings.add("BP503", "`metadata` must be a mapping", spot, fix="metadata: {topic: …}")
        return {}
    plain: dict[str, Any] = spot.plain()
    return plain


def _with_default(evaluators: tuple[Evaluator, ...], expected: Spot) -> tuple[Evaluator, ...]:
    """Adds `ContainsExpected` where a text is expected and no evaluator compares the answer with one."""
    if expected.value is None or expected.source is None:
        return evaluators
    compared = any(needs_expected(e) or METRIC_OF[type(e)] in ("contains", "exact") for e in evaluators)
    return evaluators if compared else (ContainsExpected(), *evaluators)


def _check_expected(spot: Spot, expected: Spot, evaluators: tuple[Evaluator, ...], findings: Findings) -> None:
    for evaluator in filter(needs_expected, evaluators):
        if expected.value is None:
            summary = f"`{name_of(evaluator)}` compares with `expected_output`, which this case lacks"
            findings.add("BP508", summary, spot, fix="Add `expected_output`.")
        elif isinstance(evaluator, Numeric) and next(numbers(expected.source or ""), None) is None:
            findings.add(
                "BP508", "`Numeric` needs a number in `expected_output`", expected, fix="- Numeric: {value: …}"
            )
        elif isinstance(evaluator, ContainsExpected) and not (expected.source or "").strip():
            findings.add(
                "BP508", "`expected_output` is empty: every answer would contain it", expected, fix="Write it."
            )
    if isinstance(expected.value, list | dict) and not any(needs_expected(e) for e in evaluators):
        fix = "Add `evaluators: [EqualsExpected]`, which reads the answer as JSON."
        findings.add("BP508", "`expected_output` is no text and nothing compares with it", expected, fix=fix)
