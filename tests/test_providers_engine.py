"""Our resource types under the embedded engine: the way from a program to running processes and back to nothing."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from bedplate.providers.bedplate import registry

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import Program, StackRef
from bedplate.engine.embedded import EmbeddedEngine
from bedplate.runtime.supervisor.client import SupervisorClient


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackRef]:
    folder = tmp_path / ".bedplate" / "dev"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Bolts\n\nTighten them.\n")
    yield StackRef("support", "dev", folder)
    SupervisorClient(StagePaths(folder)).stop()


def stage(stack: StackRef, retention: int = 60) -> Program:
    """A program with one of each type."""
    paths, docs = StagePaths(stack.folder), stack.folder.parent.parent / "docs"

    def program() -> None:
        import pulumi
        from bedplate.providers.bedplate import sdk

        within = pulumi.ResourceOptions(parent=sdk.Stage("support"))
        token = sdk.Token("sink-token", opts=within)
        sdk.Secret("api-key", variable="API_KEY", opts=within)
        sdk.Store("memory", agent="support", retention={"sessions": 60}, opts=within)
        sdk.SearchIndex("docs", root=str(docs), digest="1", paths=["a.md"], opts=within)
        config = {"folder": str(paths.traces), "content": "none", "secretsFolder": str(paths.secrets)}
        sink = sdk.Process(
            "traces",
            name="sink",
            module="bedplate.traces.sink",
            config={**config, "retention": retention},
            listens=True,
            ready="http:/ping",
            opts=pulumi.ResourceOptions.merge(within, pulumi.ResourceOptions(depends_on=[token])),
        )
        pulumi.export("url", sink.url)

    return program


def engine(stack: StackRef) -> EmbeddedEngine:
    environment = {"API_KEY": "sk-secret-value"}
    return EmbeddedEngine(registry(StagePaths(stack.folder), stack.folder.parent.parent, environment))


def test_a_stage_is_made_kept_changed_and_ended(stack: StackRef) -> None:
    """Up makes it, a second up changes nothing, a change updates one process in place, destroy leaves no trace."""
    found = engine(stack)
    assert {step.op for step in found.preview(stack, stage(stack), {}).changes} == {"create"}
    first = found.up(stack, stage(stack), {})
    with urllib.request.urlopen(f"{first.outputs['url']}/ping", timeout=5) as answer:
        assert answer.status == 200
    assert found.up(stack, stage(stack), {}).changes == ()
    changes = found.preview(stack, stage(stack, retention=90), {}).changes
    assert [(step.op, step.name, set(step.diff)) for step in changes] == [("update", "traces", {"config.retention"})]
    assert found.up(stack, stage(stack, retention=90), {}).outputs["url"] == first.outputs["url"]
    assert "sk-secret-value" not in "".join(p.read_text() for p in stack.folder.glob("*.json*"))
    found.destroy(stack)
    left = {path.name for path in stack.folder.rglob("*") if path.is_file()}
    assert left <= {"state.json", "journal.jsonl", "history.jsonl"}


def test_what_is_lost_is_made_again(stack: StackRef) -> None:
    """After the processes were stopped and the index deleted, up brings just these back."""
    found = engine(stack)
    url = found.up(stack, stage(stack), {}).outputs["url"]
    paths = StagePaths(stack.folder)
    SupervisorClient(paths).stop()
    paths.index("docs").unlink()
    notes = {step.name: step.note for step in found.preview(stack, stage(stack), {}).changes}
    assert notes == {"docs": "the index is gone", "traces": "not running"}
    assert found.up(stack, stage(stack), {}).outputs["url"] == url
    assert paths.index("docs").exists()


def test_what_is_replaced_in_its_place_stays_there(stack: StackRef) -> None:
    """Every type of ours has names for ids: one that is replaced under its name is there after the old copy is
    deleted, because a delete knows by its mark that another one owns the place.
    """
    own = engine(stack)
    own.up(stack, stage(stack), {})
    document = own.export_state(stack)
    for each in document["deployment"]["resources"]:
        if each["type"].startswith("bedplate:local:") and each["custom"]:
            each["taint"] = True
    own.import_state(stack, document)
    outcome = own.up(stack, stage(stack), {})
    assert sum(step.op == "delete-replaced" for step in outcome.steps) == 5
    paths = StagePaths(stack.folder)
    made = [paths.memory, paths.index("docs"), paths.secret("api-key"), paths.secret("sink-token")]
    assert [path for path in made if not path.exists()] == []
    with urllib.request.urlopen(f"{outcome.outputs['url']}/ping", timeout=10) as answer:
        assert answer.status == 200
    assert {step.op for step in own.up(stack, stage(stack), {}).steps} == {"same"}
