"""Runs with options on the embedded engine, from cases as data: targets, failures, refresh, order and room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.engine import Event, Options, Outcome
from bedplate.problems import BedplateError
from engine_cloud import Bench, build
from engine_edits import misplaced

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases/engine/runs.yaml").read_text("utf-8"))
STACK = "pulumi:pulumi:Stack"


def _options(run: dict[str, Any]) -> Options:
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in run.get("options", {}).items()}
    return Options(**given)


def _go(bench: Bench, run: dict[str, Any], events: list[Event]) -> Outcome:
    options = _options(run)
    match run.get("run", "up"):
        case "up":
            return bench.engine.up(bench.stack, build(run["program"]), {}, options=options, on_event=events.append)
        case "destroy":
            return bench.engine.destroy(bench.stack, options=options, on_event=events.append)
        case how:
            preview = how == "refresh-preview"
            return bench.engine.refresh(bench.stack, options=options, preview=preview, on_event=events.append)


def _meddle(bench: Bench, run: dict[str, Any]) -> None:
    """Do what the case says behind the engine's back."""
    for id, thing in list(bench.cloud.things.items()):
        thing.update(run.get("outside", {}).get(thing["name"], {}))
        if thing["name"] in run.get("gone", ()):
            del bench.cloud.things[id]
    bench.cloud.fail = {tuple(call) for call in run.get("fail", ())}


def _steps(outcome: Outcome, run: dict[str, Any]) -> list[str]:
    left_out = {"refresh"} if run.get("all") else {"refresh", "same"}
    return sorted(f"{s.op} {s.name}" for s in outcome.steps if s.type != STACK and s.op not in left_out)


def _drift(outcome: Outcome) -> list[str]:
    return sorted(f"{s.name} {s.note or ' '.join(sorted(s.diff))}" for s in outcome.drift)


def _names(bench: Bench) -> list[str]:
    steps = bench.engine.resources(bench.stack)
    return sorted(s.name for s in steps if s.type != STACK)


def _check_preview(bench: Bench, run: dict[str, Any]) -> None:
    before = dict(bench.cloud.things)
    found = bench.engine.preview(bench.stack, build(run["program"]), {}, options=_options(run))
    assert _steps(found, run) == sorted(run.get("preview", run["steps"]))
    assert bench.cloud.things == before


def _check(bench: Bench, run: dict[str, Any]) -> None:
    _meddle(bench, run)
    if run.get("run", "up") == "up" and "steps" in run:
        _check_preview(bench, run)
    events: list[Event] = []
    if "error" in run:
        with pytest.raises(BedplateError) as caught:
            _go(bench, run, events)
        assert [p.code for p in caught.value.problems] == run["error"]
        assert run.get("says", "") in caught.value.problems[0].summary
        outcome = Outcome(tuple(e.step for e in events if e.kind == "done" and e.step))
    else:
        outcome = _go(bench, run, events)
    if "steps" in run:
        assert _steps(outcome, run) == sorted(run["steps"])
    assert _drift(outcome) == sorted(run.get("drift", _drift(outcome)))
    assert _dangling(bench) == set()
    assert misplaced(bench) == []


def _dangling(bench: Bench) -> set[str]:
    """What the state names and does not hold."""
    resources = bench.engine.export_state(bench.stack)["deployment"]["resources"]
    named = {u for r in resources for u in (*r.get("dependencies", ()), r.get("parent"), r.get("deletedWith")) if u}
    for resource in resources:
        named |= {urn for urns in resource.get("propertyDependencies", {}).values() for urn in urns}
    return named - {r["urn"] for r in resources}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_run_does_what_its_options_say(case: dict[str, Any], tmp_path: Path) -> None:
    """Every case's runs take the steps written in it, and no step ran before what it needs."""
    bench = Bench(tmp_path / "dev", secrets=False)
    for run in case["runs"]:
        _check(bench, run)
        if "state" in run:
            assert _names(bench) == sorted(run["state"])
        if "cloud" in run:
            assert sorted(thing["name"] for thing in bench.cloud.things.values()) == sorted(run["cloud"])
    assert bench.cloud.violations == []
