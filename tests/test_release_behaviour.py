"""Eval results as a plan reads them: which count, and which cases newly fail or pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.resolve import resolve
from bedplate.evals.dataset import load_dataset
from bedplate.manifest.load import load
from bedplate.problems import BedplateError
from bedplate.release.behaviour import result_name, results_in, suites_of

MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: shop}
intent: script
model: bedplate:extractive
instructions: Answer.
evals:
  - {name: faq, dataset: faq.yaml, runOn: [promote], gates: [{metric: contains, min: 0.5}]}
"""
DATASET = """\
cases:
  - {name: one, inputs: a, evaluators: [{Contains: {value: x}}]}
  - {name: two, inputs: b, evaluators: [{Contains: {value: y}}]}
"""


@pytest.fixture
def blueprint(tmp_path: Path) -> Blueprint:
    (tmp_path / "agent.yaml").write_text(MANIFEST)
    (tmp_path / "faq.yaml").write_text(DATASET)
    return resolve(load(tmp_path / "agent.yaml"))


def result(blueprint: Blueprint, passed: dict[str, int], **changes: Any) -> dict[str, Any]:
    """A result as `bedplate eval` keeps it."""
    suite = blueprint.evals[0]
    dataset = load_dataset(Path(blueprint.project) / suite.dataset)
    cases = [{"name": c.name, "digest": c.digest, "passed": passed[c.name], "samples": [{}]} for c in dataset.cases]
    gates = [{"metric": "contains", "min": 0.5, "max": None, "outcome": "PASS", "value": 0.5}]
    document = {
        "schema": "bedplate.dev/eval-results/v1",
        "suite": "faq",
        "outcome": "PASS",
        "behaviourDigest": blueprint.digests.behaviour,
        "startedAt": "2026-01-01T00:00:00.000+00:00",
        "repeats": 1,
        "dataset": {"digest": dataset.digest},
        "gates": gates,
        "cases": cases,
    }
    return {**document, **changes}


def test_a_result_of_this_behaviour_counts(blueprint: Blueprint) -> None:
    """The newest result of the behaviour gives the outcome, its gates and how many cases passed."""
    (state,) = suites_of(blueprint, [result(blueprint, {"one": 1, "two": 0})])
    assert (state.outcome, state.passed, state.cases, state.promote, state.pull_request) == ("PASS", 1, 2, True, False)
    assert [(gate.metric, gate.bound, gate.value) for gate in state.gates] == [("contains", "min 0.5", 0.5)]


OTHERS = {
    "another behaviour": {"behaviourDigest": "sha256:" + "0" * 64},
    "another dataset": {"dataset": {"digest": "sha256:" + "0" * 64}},
    "another bound": {"gates": [{"metric": "contains", "min": 0.4, "max": None, "outcome": "PASS", "value": 0.5}]},
    "another number of repeats": {"repeats": 3},
    "another suite": {"suite": "other"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_result_of_something_else_does_not_count(blueprint: Blueprint, what: str) -> None:
    """A result of another behaviour, dataset, gate, number of repeats or suite leaves the suite as not run."""
    (state,) = suites_of(blueprint, [result(blueprint, {"one": 1, "two": 1}, **OTHERS[what])])
    assert (state.outcome, [gate.outcome for gate in state.gates]) == ("notRun", ["notRun"])


def test_cases_are_compared_with_the_baseline(blueprint: Blueprint) -> None:
    """Against the baseline's run each case that changed sides is named; a case that was edited is not compared."""
    before = result(blueprint, {"one": 1, "two": 0}, behaviourDigest="sha256:old")
    after = result(blueprint, {"one": 0, "two": 1})
    (state,) = suites_of(blueprint, [after, before], "sha256:old")
    assert (state.compared, state.newly_failing, state.newly_passing) == (True, ("one",), ("two",))
    before["cases"][0]["digest"] = "sha256:edited"
    (edited,) = suites_of(blueprint, [after, before], "sha256:old")
    assert (edited.newly_failing, edited.newly_passing) == ((), ("two",))


def test_results_are_found_by_behaviour_newest_first(blueprint: Blueprint, tmp_path: Path) -> None:
    """Only results of the behaviours that are asked for are read; a damaged one of them is an error."""
    folder = tmp_path / "evals" / "faq"
    folder.mkdir(parents=True)
    old, new = (result(blueprint, {"one": n, "two": n}) for n in (0, 1))
    behaviour = blueprint.digests.behaviour
    (folder / result_name(1_000_000.0, behaviour)).write_text(json.dumps(old))
    (folder / result_name(2_000_000.0, behaviour)).write_text(json.dumps(new))
    (folder / result_name(3_000_000.0, "sha256:" + "f" * 64)).write_text("damaged, but of another behaviour")
    assert results_in([folder.parent], [behaviour, ""]) == (new, old)
    (folder / result_name(4_000_000.0, behaviour)).write_text("[]")
    with pytest.raises(BedplateError, match="BP776"):
        results_in([folder.parent], [behaviour])


def test_no_evals_no_suites(blueprint: Blueprint) -> None:
    """A blueprint without suites has no states, whatever results there are."""
    assert suites_of(replace(blueprint, evals=()), [result(blueprint, {"one": 1, "two": 1})]) == ()
