"""The embedded engine against the Pulumi CLI: the same programs on the same provider, compared in everything they tell.

Every case of `tests/cases/engine/steps.yaml` runs under both. Compared are, for each update: the steps of the preview
and of the update with their diffs and inputs, the codes of refusals, the stack's outputs, the exported state but for
times and source positions, and what exists in the cloud. Known differences are in `DIFFERENT`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.engine import EmbeddedEngine, Engine, Outcome, StackRef
from bedplate.engine.pulumi import PulumiEngine
from bedplate.problems import BedplateError
from engine_cloud import Cloud, PlainExclusive, PlainThing, build
from pulumi_support import environment, needs_cli, served

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/engine/steps.yaml").read_text("utf-8"))
DIFFERENT = {
    "two resources with one name are refused": "whether the first one is made before the second is seen is a race",
}
# Times, source positions, and which copy of a provider it is.
UNCOMPARED = {"created", "modified", "sourcePosition", "stackTrace", "provider"}


class Side:
    """One engine on a cloud of its own."""

    def __init__(self, engine: Engine, cloud: Cloud, folder: Path) -> None:
        self.engine, self.cloud, self.stack = engine, cloud, StackRef("shop", "dev", folder)

    def tell(self, update: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that can be seen of one update and of the preview before it."""
        self.cloud.fail = {(verb, name) for verb, name in update.get("fail", ())}
        found: dict[str, Any] = {}
        for name, run in (("preview", self.engine.preview), ("up", self.engine.up)):
            try:
                found[name] = _steps(run(self.stack, build(update["program"]), {}))
            except BedplateError as error:
                found[name] = error.problems[0].code
        found["outputs"] = self.engine.outputs(self.stack)
        found["state"] = _state(self.engine.export_state(self.stack)) if found["outputs"] is not None else []
        found["cloud"] = _told(sorted(self.cloud.things.items()))
        return found


def _told(value: Any) -> Any:
    """Without the numbers in ids, which follow the order in which independent things were made."""
    match value:
        case str():
            return re.sub(r"\b([a-z]+)-\d+\b", r"\1-N", value)
        case dict():
            return {key: _told(item) for key, item in value.items()}
        case list() | tuple():
            return [_told(item) for item in value]
        case _:
            return value


def _sorted(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True, default=repr))


def _steps(outcome: Outcome) -> list[dict[str, Any]]:
    return _sorted(
        [
            {
                "op": step.op,
                "urn": step.urn,
                "diff": {path: str(kind) for path, kind in step.diff.items()},
                "inputs": _told([step.old_inputs, step.new_inputs]),
            }
            for step in outcome.steps
        ]
    )


def _state(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    resources = [r for r in document["deployment"]["resources"] if not r["type"].startswith("pulumi:providers:")]
    kept = [
        {k: v for k, v in r.items() if k not in UNCOMPARED and v not in ({}, [], False, None, "")} for r in resources
    ]
    for resource in kept:
        resource["dependencies"] = sorted(resource.get("dependencies", []))
        needed = resource.get("propertyDependencies", {})
        resource["propertyDependencies"] = {key: sorted(urns) for key, urns in needed.items() if urns}
    return _sorted([_told(resource) for resource in kept])


@needs_cli
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_both_engines_do_and_keep_the_same(case: dict[str, Any], tmp_path: Path) -> None:
    """Each update of each case has the same steps, refusals, outputs, state and effect under both engines."""
    if case["name"] in DIFFERENT:
        pytest.skip(DIFFERENT[case["name"]])
    clouds = Cloud(), Cloud()
    kinds = [{kind.type: kind(cloud) for kind in (PlainThing, PlainExclusive)} for cloud in clouds]
    with served(kinds[1]) as port:
        embedded = EmbeddedEngine(kinds[0], environment={"PULUMI_CONFIG_PASSPHRASE": "test"})
        own = Side(embedded, clouds[0], tmp_path / "own")
        cli = Side(PulumiEngine(environment=environment(tmp_path, port)), clouds[1], tmp_path / "cli")
        for number, update in enumerate(case["updates"], 1):
            assert own.tell(update) == cli.tell(update), f"update {number}"
