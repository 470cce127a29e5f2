"""One program with our types under both engines: the classes in process, and the plugin under the Pulumi CLI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bedplate.providers.bedplate import registry

from bedplate.blueprint.paths import StagePaths
from bedplate.engine import EmbeddedEngine, Engine, Outcome, StackRef
from bedplate.engine.pulumi import PulumiEngine
from bedplate.problems import BedplateError
from bedplate.runtime.supervisor.client import SupervisorClient
from plugin_support import install
from pulumi_support import environment, needs_cli
from test_providers_bedplate_plugin import MAIN
from test_providers_engine import stage

SECRET = {"API_KEY": "sk-secret-value"}
Told = list[tuple[str, str, str, tuple[str, ...]]]


def told(outcome: Outcome) -> Told:
    """The steps, in an order that does not depend on which of two independent ones came first."""
    return sorted((s.op, s.type, s.name, tuple(sorted(s.diff))) for s in outcome.changes)


@pytest.fixture
def stacks(tmp_path: Path) -> Iterator[Callable[[str], StackRef]]:
    """Makes a project with a document for each name; what runs in it is ended."""
    made: list[StackRef] = []

    def make(name: str) -> StackRef:
        folder = tmp_path / name / ".bedplate" / "dev"
        folder.mkdir(parents=True)
        (tmp_path / name / "docs").mkdir()
        (tmp_path / name / "docs" / "a.md").write_text("# Bolts\n\nTighten them.\n")
        made.append(StackRef("support", "dev", folder))
        return made[-1]

    yield make
    for stack in made:
        SupervisorClient(StagePaths(stack.folder)).stop()


def engines(stacks: Callable[[str], StackRef], root: Path, secret: dict[str, str]) -> list[tuple[Engine, StackRef]]:
    own, other = stacks("own"), stacks("cli")
    found = environment(root)
    install(root / "bin", "pulumi-resource-bedplate", MAIN)
    found["PATH"] = f"{root / 'bin'}:{found['PATH']}"
    embedded = EmbeddedEngine(registry(StagePaths(own.folder), own.folder.parent.parent, secret), environment=secret)
    return [(embedded, own), (PulumiEngine(environment={**found, **secret}), other)]


def life(engine: Engine, stack: StackRef) -> list[Any]:
    """Everything a stage goes through, as what was told."""
    config = {"bedplate:stageFolder": str(stack.folder)}
    paths = StagePaths(stack.folder)
    found: list[Any] = [told(engine.preview(stack, stage(stack), config))]
    first = engine.up(stack, stage(stack), config)
    found += [told(first), told(engine.up(stack, stage(stack), config))]
    found += [told(engine.preview(stack, stage(stack, retention=90), config))]
    changed = engine.up(stack, stage(stack, retention=90), config)
    found += [told(changed), changed.outputs["url"] == first.outputs["url"]]
    SupervisorClient(paths).stop()
    paths.index("docs").unlink()
    found += [told(engine.up(stack, stage(stack, retention=90), config)), paths.index("docs").exists()]
    found += [told(engine.destroy(stack)), sorted(p.name for p in stack.folder.rglob("*.db"))]
    return found


@needs_cli
def test_a_stage_goes_through_the_same_steps_under_both_engines(
    stacks: Callable[[str], StackRef], tmp_path: Path
) -> None:
    """Made, kept, changed, mended and removed: the same operations on the same properties, the same things left."""
    (embedded, own), (cli, other) = engines(stacks, tmp_path, SECRET)
    assert life(cli, other) == life(embedded, own)


@needs_cli
def test_a_refusal_has_one_wording_under_both_engines(stacks: Callable[[str], StackRef], tmp_path: Path) -> None:
    """A secret that is set nowhere is the same problem with the same way to mend it."""
    problems = []
    for engine, stack in engines(stacks, tmp_path, {}):
        with pytest.raises(BedplateError) as refused:
            engine.preview(stack, stage(stack), {"bedplate:stageFolder": str(stack.folder)})
        problems += [(p.code, p.summary, p.fix) for p in refused.value.problems]
    assert problems[0] == problems[1]
