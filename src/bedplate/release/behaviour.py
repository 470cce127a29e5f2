"""What eval results say of a behaviour: gates, and which cases newly fail or pass. Pure but for `results_in`.

Goes in: documents of schema `bedplate.dev/eval-results/v1` and a blueprint. Comes out: one `SuiteState` a suite. A
result counts for a blueprint when its behaviour, its dataset and its gates are the blueprint's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bedplate.blueprint.model import Blueprint, EvalSuite
from bedplate.problems import BedplateError, Problem

Document = Mapping[str, Any]
SuiteOutcome = Literal["PASS", "FAIL", "INVALID", "notRun"]


@dataclass(frozen=True)
class GateState:
    """One gate of a run: `bound` as the manifest has it (`min 0.9`), the measured `value` and the verdict."""

    metric: str
    bound: str
    outcome: str
    value: float | None = None
    where: str = ""


@dataclass(frozen=True)
class SuiteState:
    """A suite as it stands for one behaviour.

    `newly_failing` and `newly_passing` name cases against the baseline's run, which `compared` tells apart from there
    being none. `promote` and `pull_request` say when the manifest wants the suite run.
    """

    suite: str
    outcome: SuiteOutcome
    gates: tuple[GateState, ...]
    passed: int = 0
    cases: int = 0
    ran: str = ""
    compared: bool = False
    newly_failing: tuple[str, ...] = ()
    newly_passing: tuple[str, ...] = ()
    promote: bool = True
    pull_request: bool = True


def result_name(started: float, behaviour: str) -> str:
    """The name of a result's file: names in order are results in order, and tell which behaviour was asked."""
    return f"{datetime.fromtimestamp(started, UTC):%Y%m%dT%H%M%S.%fZ}-{_short(behaviour)}.json"


def _short(behaviour: str) -> str:
    return behaviour.removeprefix("sha256:")[:12]


def results_in(folders: Iterable[Path], behaviours: Iterable[str]) -> tuple[Document, ...]:
    """The eval results of some behaviours below the folders, newest first. Raises BP776 for a file that is none."""
    endings = tuple(f"-{_short(behaviour)}.json" for behaviour in behaviours if behaviour)
    paths = [path for folder in folders for path in folder.glob("*/*.json") if path.name.endswith(endings)]
    return tuple(_read(path) for path in sorted(paths, key=lambda p: p.name, reverse=True))


def _read(path: Path) -> Document:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        document = None
    if not isinstance(document, dict) or document.get("schema") != "bedplate.dev/eval-results/v1":
        fix = "delete it; `bedplate eval` writes a new one"
        raise BedplateError(Problem("BP776", f"{path.name} of suite {path.parent.name} is no eval result", fix=fix))
    return document


def suites_of(blueprint: Blueprint, results: Sequence[Document], baseline: str = "") -> tuple[SuiteState, ...]:
    """How each suite of the blueprint stands. `results` are newest first; `baseline` is the behaviour compared with."""
    return tuple(_state(suite, blueprint, results, baseline) for suite in blueprint.evals)


def _state(suite: EvalSuite, blueprint: Blueprint, results: Sequence[Document], baseline: str) -> SuiteState:
    own = [r for r in results if r["suite"] == suite.name]
    found = next((r for r in own if _counts(r, suite, blueprint)), None)
    promote, pull_request = "promote" in suite.run_on, "pullRequest" in suite.run_on
    if found is None:
        gates = tuple(GateState(g.metric, _bound(g.min, g.max), "notRun", where=g.where) for g in suite.gates)
        return SuiteState(suite.name, "notRun", gates, promote=promote, pull_request=pull_request)
    before = next((r for r in own if r["behaviourDigest"] == baseline), None) if baseline else None
    lost, won = _moved(before, found) if before is not None else ((), ())
    cases = found["cases"]
    return SuiteState(
        suite.name,
        found["outcome"],
        tuple(_gate(written, measured) for written, measured in zip(suite.gates, found["gates"], strict=True)),
        passed=sum(_passes(case) for case in cases),
        cases=len(cases),
        ran=found["startedAt"],
        compared=before is not None,
        newly_failing=lost,
        newly_passing=won,
        promote=promote,
        pull_request=pull_request,
    )


def _counts(result: Document, suite: EvalSuite, blueprint: Blueprint) -> bool:
    """Whether a result speaks of this behaviour, judged by these gates over this dataset."""
    gates = [(g["metric"], g["min"], g["max"]) for g in result["gates"]]
    return (
        result["behaviourDigest"] == blueprint.digests.behaviour
        and result["repeats"] == suite.repeats
        and gates == [(g.metric, g.min, g.max) for g in suite.gates]
        and result["dataset"]["digest"] == _dataset_digest(suite, blueprint)
    )


def _dataset_digest(suite: EvalSuite, blueprint: Blueprint) -> str:
    from bedplate.evals.dataset import load_dataset

    return load_dataset(Path(blueprint.project) / suite.dataset, file=suite.dataset).digest


def _gate(written: Any, measured: Document) -> GateState:
    return GateState(
        written.metric, _bound(written.min, written.max), measured["outcome"], measured["value"], written.where
    )


def _bound(low: float | None, high: float | None) -> str:
    return f"min {low:g}" if low is not None else f"max {high:g}"


def _passes(case: Document) -> bool:
    return bool(case["passed"] == len(case["samples"]))


def _moved(before: Document, after: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cases that are the same in both runs and now fail, and now pass."""
    old = {(case["name"], case["digest"]): _passes(case) for case in before["cases"]}
    both = [
        (c["name"], old[(c["name"], c["digest"])], _passes(c))
        for c in after["cases"]
        if (c["name"], c["digest"]) in old
    ]
    return (
        tuple(name for name, was, now in both if was and not now),
        tuple(name for name, was, now in both if now and not was),
    )
