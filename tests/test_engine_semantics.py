"""What each resource option means, from cases as data: a file a semantic."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.engine import Created, EmbeddedEngine, Outcome, Properties, StackRef
from bedplate.problems import BedplateError
from engine_cloud import Cloud, PlainExclusive, PlainThing, ops
from engine_programs import RegionalProvider, build, write

FOLDER = Path(__file__).parent / "cases/engine/semantics"
CASES: list[dict[str, Any]] = [
    {**case, "id": f"{path.stem}: {case['name']}"}
    for path in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text("utf-8"))
]


class Bench:
    """An engine on a fake cloud with one stack; `other` stacks are made beside it."""

    def __init__(self, folder: Path) -> None:
        self.cloud, self.folder = Cloud(), folder
        kinds = [PlainThing(self.cloud), PlainExclusive(self.cloud)]
        self.engine = EmbeddedEngine(
            {kind.type: kind for kind in kinds},
            environment={},
            providers={"regional": lambda: RegionalProvider(self.cloud)},
        )
        self.stack = StackRef("shop", "dev", folder / "dev")
        self.heard: list[str] = []

    def run(self, update: dict[str, Any], *, preview: bool) -> Outcome:
        stack = StackRef("shop", update["stack"], self.folder / update["stack"]) if "stack" in update else self.stack
        if "destroy" in update:
            return self.engine.destroy(stack)
        verb = self.engine.preview if preview else self.engine.up
        program = build(update["program"], update.get("exports"), self.folder / "files", self.heard)
        return verb(stack, program, update.get("config", {}))

    def saved(self) -> list[dict[str, Any]]:
        from bedplate.engine.encoding import encode_resource
        from bedplate.engine.places import place_of
        from bedplate.engine.storage import load

        loaded = load(place_of(self.stack, {}), {})
        return [encode_resource(resource, loaded.keys) for resource in loaded.snapshot.ordered()]


def agrees(wanted: Any, found: Any) -> bool:
    """Whether `found` has everything that `wanted` has; `absent` stands for a key that is not there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(k not in found if v == "absent" else k in found and agrees(v, found[k]) for k, v in wanted.items())
    return bool(wanted == found)


def _check_saved(wanted: dict[str, Any], bench: Bench) -> None:
    found = {r["urn"].split("::")[-1]: r for r in bench.saved() if not r.get("delete")}
    for name, fields in wanted.items():
        assert agrees(fields, found[name]), (name, fields, found[name])


def _check_after(update: dict[str, Any], bench: Bench, outcome: Outcome | None) -> None:
    if "saved" in update:
        _check_saved(update["saved"], bench)
    if "cloud" in update:
        assert sorted(id.rpartition("-")[0] for id in bench.cloud.things) == sorted(update["cloud"])
    if "things" in update:
        things = {t["name"]: t for t in bench.cloud.things.values()}
        assert agrees(update["things"], things), things
    if "heard" in update:
        assert sorted(bench.heard) == update["heard"]
    if "outputs" in update:
        assert outcome is not None
        assert outcome.outputs == update["outputs"]
    if "called" in update:
        assert [call for call in bench.cloud.calls if call[0] not in {"check", "diff"}] == [
            tuple(call) for call in update["called"]
        ]


def _refused(update: dict[str, Any], bench: Bench, *, preview: bool) -> None:
    with pytest.raises(BedplateError) as caught:
        bench.run(update, preview=preview)
    assert caught.value.problems[0].code == update["error"], caught.value
    assert update.get("says", "") in caught.value.problems[0].summary


def _same_steps(update: dict[str, Any], outcome: Outcome, key: str = "steps") -> None:
    wanted, found = update.get(key, update["steps"]), ops(outcome)
    assert (found if update.get("ordered") else sorted(found)) == (wanted if update.get("ordered") else sorted(wanted))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_an_option_means_what_the_case_says_in_preview_and_update(case: dict[str, Any], tmp_path: Path) -> None:
    """Every case's updates take the steps written in it, foretold by a preview, and leave the state written in it."""
    bench = Bench(tmp_path)
    for id, thing in case.get("exists", {}).items():
        bench.cloud.things[id] = dict(thing)
    for update in case["updates"]:
        bench.cloud.fail = {tuple(call) for call in update.get("fail", ())}
        bench.cloud.failing = dict(update.get("failing", {}))
        write(update.get("files", {}), tmp_path / "files")
        bench.heard.clear()
        if "error" in update:
            # What the cloud refuses, and what hooks raise, comes to light in an update only.
            if update["error"] != "BP227" and not (update["error"] == "BP205" and "fail" in update):
                _refused(update, bench, preview=True)
            _refused(update, bench, preview=False)
            _check_after(update, bench, None)
            continue
        before = dict(bench.cloud.things)
        if "destroy" not in update:
            _same_steps(update, bench.run(update, preview=True), "preview")
        assert bench.cloud.things == before
        if "heard_before" in update:
            assert sorted(bench.heard) == sorted(update["heard_before"])
        bench.cloud.calls.clear()
        bench.heard.clear()
        outcome = bench.run(update, preview=False)
        _same_steps(update, outcome)
        _check_after(update, bench, outcome)


def test_hidden_differences_are_not_shown(tmp_path: Path) -> None:
    """`hideDiffs` leaves the change in place and takes the values out of what a person sees."""
    bench = Bench(tmp_path)
    spec = {"name": "a", "props": {"config": {"n": "before", "m": 1}}, "options": {"hide_diffs": ["config.n"]}}
    bench.run({"program": [spec]}, preview=False)
    changed = {**spec, "props": {"config": {"n": "after", "m": 1}}}
    [step] = bench.run({"program": [changed]}, preview=True).changes
    assert step.old_inputs is not None
    assert step.new_inputs is not None
    assert (step.op, list(step.diff)) == ("update", ["config.n"])
    assert step.old_inputs["config"] == step.new_inputs["config"] == {"n": "[hidden]", "m": 1}


class Slow(PlainThing):
    """A `Thing` that takes its time: `gate` to be made, everything else to be deleted."""

    def create(self, news: Properties) -> Created:
        time.sleep(0.2 if news["name"] == "gate" else 0)
        return super().create(news)

    def delete(self, id: str, outputs: Properties) -> None:
        time.sleep(0.6)
        super().delete(id, outputs)


def test_a_resource_that_is_being_taken_along_is_made_anew(tmp_path: Path) -> None:
    """One that no longer depends on what goes, and is registered while it is being deleted, waits and comes back."""
    cloud = Cloud()
    kinds = {kind.type: kind for kind in (Slow(cloud), PlainExclusive(cloud))}
    engine, stack = EmbeddedEngine(kinds, environment={}), StackRef("shop", "dev", tmp_path / "dev")
    first = {"name": "a", "type": "Exclusive", "props": {"zone": "x"}}
    engine.up(stack, build([first, {"name": "b", "refs": ["a"], "options": {"replace_on_changes": ["refs"]}}]), {})
    changed = [{**first, "props": {"zone": "y"}}, {"name": "gate"}, {"name": "b", "after": ["gate"]}]
    outcome = engine.up(stack, build(changed), {})
    assert {"delete-replaced b", "create-replacement b"} <= set(ops(outcome))
    assert sorted(thing["name"] for thing in cloud.things.values()) == ["a", "b", "gate"]
