"""What runs in a stage, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bedplate.release.deploy import engine_for
from bedplate.release.target import Target


@dataclass(frozen=True)
class StageStatus:
    """A stage now. `counts` says what it remembers; `enforced` what the sandbox holds the agent's process to."""

    label: str
    deployed: bool
    healthy: bool
    current: bool
    url: str
    build: str
    behaviour: str
    sandbox: str
    processes: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]
    enforced: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The status as JSON values (schema `bedplate.dev/status/v1`)."""
        return {"schema": "bedplate.dev/status/v1", **asdict(self)}


def stage_status(target: Target) -> StageStatus:
    """Ask the supervisor and read the state. Never raises for a stage that is down: that is what it reports."""
    from bedplate.runtime.sandbox import BACKENDS, enforced
    from bedplate.runtime.supervisor.client import SupervisorClient

    outputs = engine_for(target).outputs(target.stack) or {}
    running = SupervisorClient(target.paths).status()
    processes = tuple(running["processes"]) if running else ()
    backend = str(outputs.get("sandbox", ""))
    return StageStatus(
        label=target.label,
        deployed=bool(outputs),
        # after an `up` that failed what it started runs, but nobody can ask it anything
        healthy=bool(outputs and processes) and all(p["state"] == "running" for p in processes),
        current=outputs.get("buildDigest") == target.blueprint.digests.build,
        url=str(outputs.get("url", "")),
        build=str(outputs.get("buildDigest", "")),
        behaviour=str(outputs.get("behaviourDigest", "")),
        sandbox=backend,
        processes=processes,
        counts=_counts(target),
        enforced=enforced(backend) if backend in BACKENDS else {},
    )


def _counts(target: Target) -> dict[str, int]:
    from bedplate.store import Store

    if not target.paths.memory.exists():
        return {}
    store = Store.open(target.paths.memory)
    try:
        counts = store.counts()
    finally:
        store.close()
    return {"conversations": counts.sessions, "remembered facts": counts.facts}
