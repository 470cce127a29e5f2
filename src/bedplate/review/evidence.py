"""Eval results for a review: read, judged by whether they speak of the change, and gates that ask for less.

Goes in: files that `bedplate eval --out` wrote, which in a pull request nobody vouches for, and blueprints. Comes out:
documents of the right shape, notes on those that count for nothing, and in words what evals ask less than before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bedplate.blueprint.model import Blueprint, EvalSuite, Gate
from bedplate.problems import BedplateError, Problem
from bedplate.release.behaviour import Document, SuiteState
from bedplate.release.builds.cases import CaseChange

_RUN, _SUITE = "bedplate.dev/eval/v1", "bedplate.dev/eval-results/v1"
_TEXTS = ("suite", "outcome", "stage", "agent", "buildDigest", "behaviourDigest", "startedAt")
_OUTCOMES = ("PASS", "FAIL", "INVALID")
MAX_BYTES = 200_000_000
_NAMED = 3


def read_results(files: Iterable[Path]) -> tuple[Document, ...]:
    """Every suite's results in the files, newest first. Raises BP794 for a file that holds none."""
    found = [document for file in files for document in _read(file)]
    return tuple(sorted(found, key=lambda d: str(d["startedAt"]), reverse=True))


def _read(file: Path) -> Sequence[Document]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        document = json.loads(data) if len(data) <= MAX_BYTES else None
    except FileNotFoundError as error:
        raise _none(file, "there is no such file") from error
    except (ValueError, RecursionError) as error:
        raise _none(file, "it is not JSON") from error
    found = document.get("suites") if isinstance(document, dict) and document.get("schema") == _RUN else [document]
    if not isinstance(found, list) or not all(map(_is_result, found)):
        raise _none(file, f"it is neither of schema {_RUN} nor of {_SUITE}")
    return found


def _none(file: Path, detail: str) -> BedplateError:
    fix = f"write it with `bedplate eval --out {file.name}`"
    return BedplateError(Problem("BP794", f"{file.name} holds no eval results", detail=detail, fix=fix))


def _is_result(value: Any) -> bool:
    """Whether all that a review reads of a document is there and of its type."""
    match value:
        case {
            "schema": "bedplate.dev/eval-results/v1",
            "gates": [*gates],
            "cases": [*cases],
            "dataset": {"digest": str()},
            "repeats": int(),
        }:
            texts = all(isinstance(value.get(key), str) for key in _TEXTS) and value["outcome"] in _OUTCOMES
            return texts and all(map(_is_gate, gates)) and all(map(_is_case, cases))
        case _:
            return False


def _is_gate(value: Any) -> bool:
    match value:
        case {"metric": str(), "outcome": str(), "value": measured, "min": low, "max": high}:
            return all(n is None or isinstance(n, int | float) for n in (measured, low, high))
        case _:
            return False


def _is_case(value: Any) -> bool:
    match value:
        case {"name": str(), "digest": str(), "passed": int(), "samples": list()}:
            return True
        case _:
            return False


def ignored(
    results: Iterable[Document], blueprints: Sequence[Blueprint], counted: Mapping[str, Sequence[SuiteState]]
) -> Iterator[str]:
    """A note for each result that says nothing of the head: `counted` has the suites of each stage as they stand."""
    used = {(state.suite, state.ran) for states in counted.values() for state in states if state.ran}
    behaviours = {blueprint.digests.behaviour for blueprint in blueprints}
    for result in results:
        if (result["suite"], result["startedAt"]) not in used:
            other = result["behaviourDigest"] not in behaviours
            why = "of another behaviour" if other else "of other gates, repeats or cases, or older than others"
            yield f"results of eval {result['suite']} from {result['startedAt']} are {why}: not counted"


def loosened(old: Blueprint, new: Blueprint, cases: Mapping[str, CaseChange]) -> Iterator[str]:
    """What evals ask less than before, each in words with its line: gates, cases, suites, when and how often.

    `cases` has by eval what happened to its cases.
    """
    after = {suite.name: suite for suite in new.evals}
    for suite in old.evals:
        if suite.name not in after:
            yield f"eval {suite.name} is gone"
            continue
        now = after[suite.name]
        yield from _gates(suite, now)
        if change := cases.get(suite.name):
            yield from _cases(now, change)
        if less := [when for when in suite.run_on if when not in now.run_on]:
            yield f"eval {suite.name} no longer runs on {', '.join(less)}{_at(now.where)}"
        if now.repeats < suite.repeats:
            yield f"eval {suite.name}: {suite.repeats} → {now.repeats} repeats{_at(now.where)}"


def _cases(suite: EvalSuite, change: CaseChange) -> Iterator[str]:
    if change.before is not None and change.after is not None and change.after < change.before:
        yield f"eval {suite.name} asks {_counted(change.after)}, was {change.before}{_at(suite.where)}"
    elif change.gone:
        yield f"eval {suite.name} no longer asks {_counted(len(change.gone))}: {_few(change.gone)}{_at(suite.where)}"
    if change.ungraded:
        count = _counted(len(change.ungraded))
        yield f"eval {suite.name}: {count} lost graders: {_few(change.ungraded)}{_at(suite.where)}"


def _counted(number: int) -> str:
    return f"{number} case{'' if number == 1 else 's'}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _gates(old: EvalSuite, new: EvalSuite) -> Iterator[str]:
    after = {(gate.metric, gate.min is None): gate for gate in new.gates}
    for gate in old.gates:
        now = after.get((gate.metric, gate.min is None))
        if now is None:
            yield f"eval {old.name}: gate {gate.metric} {_bound(gate)} is gone"
        elif _less(gate, now):
            yield f"eval {old.name}: gate {gate.metric} {_bound(gate)} → {_bound(now)}{_at(now.where)}"


def _less(old: Gate, new: Gate) -> bool:
    if old.min is not None and new.min is not None:
        return new.min < old.min
    return old.max is not None and new.max is not None and new.max > old.max


def _bound(gate: Gate) -> str:
    return f"min {gate.min:g}" if gate.min is not None else f"max {gate.max:g}"


def _at(where: str) -> str:
    return f" ({where})" if where else ""
