"""The program of the local target, run against Pulumi's own mocks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from bedplate.stacks.local.program import program

from bedplate.access import ScopeSet
from bedplate.blueprint.model import (
    Blueprint,
    DataSource,
    Digests,
    Expose,
    FileRef,
    Limits,
    LongTermMemory,
    Memory,
    ModelSpec,
    Sandbox,
    SearchTool,
    SecretRef,
    SessionMemory,
    Tracing,
    from_json,
    to_json,
)

Registered = dict[str, dict[str, Any]]


def blueprint(project: Path) -> Blueprint:
    """A small agent with one searched folder and memory."""
    files = (FileRef("docs/a.md", "0" * 64, 3), FileRef("docs/b/c.md", "1" * 64, 4))
    return Blueprint(
        name="support",
        stage="prototype",
        target="local",
        intent="product",
        project=str(project),
        model=ModelSpec("bedplate:extractive", settings={"temperature": 0}),
        instructions="Answer.",
        data=(DataSource("docs", str(project / "docs"), files, "sha256:d"), DataSource("unsearched", "/x", (), "s")),
        tools=(SearchTool("search", "docs"),),
        scopes=ScopeSet(),
        memory=Memory(SessionMemory(retention=60), LongTermMemory(retention=90)),
        evals=(),
        tracing=Tracing(),
        limits=Limits(),
        expose=Expose(),
        sandbox=Sandbox(),
        digests=Digests("sha256:b", "sha256:h"),
        lines={"name": 3},
    )


class Recorder(pulumi.runtime.Mocks):
    """Keeps what is registered, by name."""

    def __init__(self) -> None:
        self.resources: Registered = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources[args.name] = {"type": args.typ, **args.inputs}
        urls = {"url": f"http://{args.name}", "port": 1} if args.typ.endswith("Process") else {}
        return args.name, {**args.inputs, "path": f"/{args.name}", "fingerprint": "f", **urls}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(args)


def register(wanted: Blueprint, stage: Path) -> Registered:
    """What the program registers for `wanted`."""
    recorder = Recorder()
    config = {
        "blueprint": json.dumps(to_json(wanted)),
        "stageFolder": str(stage),
        "sandbox": "bubblewrap",
        "manifest": "agent.yaml",
    }
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(recorder, project="support", stack="prototype", preview=False)
    pulumi.runtime.set_all_config({f"bedplate:{key}": value for key, value in config.items()})

    @pulumi.runtime.test
    def run() -> None:
        program()

    run()
    return recorder.resources


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path


def test_the_resources_are_named_as_in_the_manifest(project: Path) -> None:
    """One of each part, under the words a person knows; an unused data source gets no index."""
    found = register(blueprint(project), project / "stage")
    types = {name: values["type"].rpartition(":")[2] for name, values in found.items()}
    assert types == {
        "stage": "Stage",
        "api-key": "Token",
        "sink-token": "Token",
        "memory": "Store",
        "docs": "SearchIndex",
        "traces": "Process",
        "gateway": "Process",
        "agent": "Process",
    }


def test_the_index_gets_paths_below_its_root(project: Path) -> None:
    """Documents reach the index relative to the data source's folder, not to the project."""
    assert register(blueprint(project), project)["docs"]["paths"] == ["a.md", "b/c.md"]


def test_the_gateway_can_read_its_blueprint_back(project: Path) -> None:
    """The gateway's configuration holds a whole blueprint, the sink's address and the sandbox."""
    config = register(blueprint(project), project)["gateway"]["config"]
    assert from_json(config["blueprint"]).limits == Limits()
    assert config["sink"] == {"url": "http://traces"}
    assert config["sandbox"] == "bubblewrap"
    assert "modelUrl" not in config


def test_a_limit_changes_the_gateway_only(project: Path) -> None:
    """A changed limit shows in the gateway's inputs at its path and nowhere else."""
    before = register(blueprint(project), project)
    changed = replace(blueprint(project), limits=Limits(tokens=7), digests=Digests("sha256:b2", "sha256:h2"))
    after = register(changed, project)
    assert [name for name in after if after[name] != before[name]] == ["gateway"]
    assert after["gateway"]["config"]["blueprint"]["limits"]["tokens"] == 7


def test_a_description_does_not_restart_the_agent(project: Path) -> None:
    """What only people read is no input of the agent's process."""
    before = register(blueprint(project), project)
    after = register(replace(blueprint(project), description="new", expose=Expose(port=8099)), project)
    assert after["agent"] == before["agent"]
    assert after["gateway"]["port"] == 8099


def test_a_secret_reaches_the_gateway_by_fingerprint_only(project: Path) -> None:
    """A secret becomes a resource; the gateway is restarted by its fingerprint, and the agent knows nothing of it."""
    model = ModelSpec("anthropic:claude", credentials=SecretRef("anthropic-api-key"))
    found = register(replace(blueprint(project), model=model), project)
    assert found["anthropic-api-key"]["variable"] == "ANTHROPIC_API_KEY"
    assert found["gateway"]["triggers"]["secrets"] == {"anthropic-api-key": "f"}
    assert "secrets" not in found["agent"]["triggers"]


@pytest.mark.parametrize("model", [ModelSpec("local:smollm2-135m"), ModelSpec("a:b", ("local:smollm2-135m",))])
def test_a_local_model_gets_a_process(project: Path, model: ModelSpec) -> None:
    """A `local:` model, first or as a fallback, runs in a process whose address the gateway gets."""
    found = register(replace(blueprint(project), model=model), project)
    assert found["model"]["config"] == {"models": ["smollm2-135m"]}
    assert found["gateway"]["config"]["modelUrl"] == "http://model"


def test_the_agent_runs_in_the_sandbox_with_its_bounds(project: Path) -> None:
    """The agent's process has the sandbox that was chosen and the manifest's bounds, and no port."""
    agent = register(replace(blueprint(project), sandbox=Sandbox(1 << 28, 9)), project)["agent"]
    assert agent["sandbox"] == {"backend": "bubblewrap", "memory": 1 << 28, "pids": 9}
    assert agent["role"] == "agent"
    assert not agent["listens"]
