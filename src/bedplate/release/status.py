"""What runs in a stage, as a value. Works from the state: the manifest may be broken, gone, or not name the stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import Engine, StackRef, Step, outputs_in
from bedplate.problems import BedplateError
from bedplate.release.folders import deployed_stages
from bedplate.release.target import PROJECT, open_target
from bedplate.release.tools import tool_states, tool_troubles

SHARED = "one agent process serves all users; each turn is bound to its caller by a capability"
"""How users are kept apart on the local target (docs/sandbox.md)."""


@dataclass(frozen=True)
class StageStatus:
    """A stage now.

    `counts` says what it remembers, `isolation` how users are kept apart where it remembers them (else empty),
    `enforced` what the sandbox holds the agent's process to, `tools` the state of each tool, `troubles` what a person
    should know (the manifest differs, a tool does not work, another stage is up that no manifest names).
    """

    label: str
    deployed: bool
    healthy: bool
    current: bool
    url: str
    build: str
    behaviour: str
    sandbox: str
    processes: tuple[Mapping[str, Any], ...]
    tools: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, int]
    isolation: str
    enforced: Mapping[str, str]
    troubles: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The status as JSON values (schema `bedplate.dev/status/v1`)."""
        return {"schema": "bedplate.dev/status/v1", **asdict(self)}


def stage_status(manifest: Path, stage: str | None) -> StageStatus:
    """Ask the supervisor and read the state. Raises BedplateError only where no stage can be told at all."""
    name, build, troubles = _wanted(manifest, stage)
    paths = StagePaths.of(manifest.resolve().parent, name)
    resources = _engine(paths).resources(StackRef(PROJECT, name, paths.folder))
    outputs = outputs_in(resources) or {}
    processes = processes_of(paths)
    sandbox = str(outputs.get("sandbox", ""))
    deployed_build = str(outputs.get("buildDigest", ""))
    if outputs and build and build != deployed_build:
        troubles.append("the manifest differs from what runs; see `bedplate plan`")
    troubles += _frozen(paths)
    tools = tool_states(paths)
    if any(p["name"] == "gateway" and p["state"] == "running" for p in processes):
        troubles += tool_troubles(tools)
    else:  # what a gateway that was killed said of them last
        tools = {tool: {"state": "failed", "reason": "no gateway runs", "operations": 0} for tool in tools}
    return StageStatus(
        label=f"{outputs.get('agent') or manifest.name} → {name}",
        deployed=bool(outputs),
        healthy=bool(outputs and processes) and all(p["state"] == "running" for p in processes),
        current=bool(build) and build == deployed_build,
        url=str(outputs.get("url", "")),
        build=deployed_build,
        behaviour=str(outputs.get("behaviourDigest", "")),
        sandbox=sandbox,
        processes=processes,
        tools=tools,
        counts=_counts(paths),
        isolation=SHARED if _remembers_users(resources) else "",
        enforced=_enforced(sandbox),
        troubles=tuple(troubles),
    )


def stage_outputs(paths: StagePaths, stage: str) -> Mapping[str, Any]:
    """The stack's outputs of the last `up`; empty where there was none."""
    return _engine(paths).outputs(StackRef(PROJECT, stage, paths.folder)) or {}


def _remembers_users(resources: Sequence[Step]) -> bool:
    """Whether the deployed stage keeps sessions or facts, which it does for each user."""
    return any((resource.old_inputs or {}).get("retention") for resource in resources)


def _engine(paths: StagePaths) -> Engine:
    from bedplate.release.engines import reader_of

    return reader_of(paths)


def _wanted(manifest: Path, stage: str | None) -> tuple[str, str, list[str]]:
    """The stage's name, the build that the manifest says, and what is wrong with the manifest."""
    deployed = deployed_stages(manifest.resolve().parent)
    try:
        target = open_target(manifest, stage)
    except BedplateError as error:
        name = stage or (deployed[0] if len(deployed) == 1 else "")
        if name not in deployed:
            raise
        first = error.problems[0]
        return name, "", [f"the manifest does not validate: {first.code} {first.summary}"]
    lost = [name for name in deployed if name not in target.loaded.stages]
    troubles = [f"stage {s} is up and the manifest does not name it: `bedplate destroy --stage {s}`" for s in lost]
    return target.blueprint.stage, target.blueprint.digests.build, troubles


def processes_of(paths: StagePaths) -> tuple[Mapping[str, Any], ...]:
    """What the stage's supervisor says of its processes; empty where none runs."""
    from bedplate.runtime.supervisor.client import SupervisorClient

    running = SupervisorClient(paths).status()
    return tuple(running["processes"]) if running else ()


def _enforced(sandbox: str) -> Mapping[str, str]:
    from bedplate.runtime.sandbox import BACKENDS, enforced

    return enforced(sandbox) if sandbox in BACKENDS else {}


def _frozen(paths: StagePaths) -> list[str]:
    from datetime import UTC, datetime

    from bedplate.store import Store

    if not paths.memory.exists():
        return []
    with closing(Store.open(paths.memory)) as store:
        standing = store.frozen()
    if standing is None:
        return []
    since = datetime.fromtimestamp(standing.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [f"{standing.words} since {since}; everything is denied: `bedplate thaw`"]


def _counts(paths: StagePaths) -> dict[str, int]:
    from bedplate.store import Store

    if not paths.memory.exists():
        return {}
    store = Store.open(paths.memory)
    try:
        counts = store.counts()
    finally:
        store.close()
    return {"conversations": counts.sessions, "remembered facts": counts.facts}
