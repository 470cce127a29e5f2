"""Plan a stage and bring it up: blueprint, program, engine and providers joined."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedplate.blueprint.model import to_json
from bedplate.engine.api import Engine, Event, EventSink, Outcome, Program
from bedplate.problems import BedplateError, Problem, Severity
from bedplate.release.folders import deployed_stages, make_home
from bedplate.release.plan import KINDS, SYMBOLS, Plan, plan_of
from bedplate.release.target import Target
from bedplate.release.tools import tool_states


@dataclass(frozen=True)
class Release:
    """A stage after `up`: what was done, and where it answers."""

    plan: Plan
    outputs: Mapping[str, Any]
    troubles: tuple[str, ...] = ()
    """What works only in part: documents that could not be read, tools that do not answer."""

    @property
    def url(self) -> str:
        """The address that callers use."""
        return str(self.outputs["url"])

    def to_json(self) -> dict[str, Any]:
        """The release as JSON values (schema `bedplate.dev/release/v1`)."""
        return {
            "schema": "bedplate.dev/release/v1",
            "plan": self.plan.to_json(),
            "outputs": dict(self.outputs),
            "troubles": list(self.troubles),
        }


def engine_for(target: Target) -> Engine:
    """The engine that manages this target: embedded, with our own providers."""
    from bedplate.engine.embedded import EmbeddedEngine
    from bedplate.providers.bedplate import registry

    return EmbeddedEngine(registry(target.paths, target.home))


def choose_sandbox(allow_unsandboxed: bool) -> str:
    """The best sandbox of this machine. Raises BP707 where none works and `allow_unsandboxed` was not given."""
    from bedplate.runtime.sandbox import best_backend

    backend = best_backend().backend
    if backend == "none" and not allow_unsandboxed:
        raise BedplateError(
            Problem(
                "BP707",
                "this machine can isolate neither the agent nor its tools",
                detail="Without a sandbox the agent's process has this machine's network and your files, "
                "and only the gateway's decisions stand between the model and your tools.",
                fix="run `bedplate doctor` to see why; or go on without isolation: `bedplate up --allow-unsandboxed`",
            )
        )
    return backend


def make_plan(target: Target, *, allow_unsandboxed: bool = False, on_event: EventSink | None = None) -> Plan:
    """What `up` would do. Changes nothing."""
    from bedplate.release.builds.make import previewed

    _require_usable(target)
    target = previewed(target)
    sandbox, program = _prepared(allow_unsandboxed)
    engine = engine_for(target)
    deployed = _deployed(engine, target)
    outcome = engine.preview(target.stack, program, _config(target, sandbox), on_event=on_event)
    return _plan(target, outcome, sandbox, deployed)


def up(target: Target, *, allow_unsandboxed: bool = False, on_event: EventSink | None = None) -> Release:
    """Make the stage what the manifest says.

    It runs from the build of the working tree, or from the build that `target` was opened from. Raises BedplateError;
    what was done until then is in the state, and BP714 says what of it runs.
    """
    from bedplate.release.builds.make import deployable
    from bedplate.release.builds.store import BuildStore

    _require_usable(target)
    sandbox, program = _prepared(allow_unsandboxed)
    with BuildStore(target.home).holding():
        release = _up(deployable(target), sandbox, program, on_event)
    return replace(release, troubles=(*release.troubles, *_collect(target)))


def _up(target: Target, sandbox: str, program: Program, on_event: EventSink | None) -> Release:
    _ensure_folder(target)
    engine = engine_for(target)
    deployed = _deployed(engine, target)
    made = _Made(on_event)
    try:
        outcome = engine.up(target.stack, program, _config(target, sandbox), on_event=made)
    except BedplateError as error:
        left = _left(target, bool(deployed), made.anything)
        raise BedplateError(*error.problems, *left, exit_code=error.exit_code) from error
    return Release(_plan(target, outcome, sandbox, deployed), outcome.outputs, _troubles(engine, target))


@dataclass
class _Made:
    """Passes events on, and remembers whether anything was changed."""

    on_event: EventSink | None
    anything: bool = False

    def __call__(self, event: Event) -> None:
        if event.kind == "done" and event.step and event.step.type in KINDS and event.step.op in SYMBOLS:
            self.anything = True
        if self.on_event:
            self.on_event(event)


def _left(target: Target, deployed: bool, made: bool) -> tuple[Problem, ...]:
    """What a run that failed leaves of a stage that was deployed before or not, and what to do next."""
    from bedplate.release.status import processes_of

    stage = target.blueprint.stage
    running = ", ".join(sorted(p["name"] for p in processes_of(target.paths) if p["state"] == "running"))
    if not made and (deployed or not running):
        return ()
    problem = Problem(
        "BP714",
        f"stage {stage} is {'changed' if deployed else 'up'} only in part; running: {running or 'nothing'}",
        fix=f"mend the error and run `bedplate up --stage {stage}` again, "
        f"or take away what is there: `bedplate destroy --stage {stage}`",
        severity=Severity.WARNING,
    )
    return (problem,)


def _collect(target: Target) -> tuple[str, ...]:
    """Remove builds that nothing needs any more; where that cannot be done, why. What is up stays up."""
    from bedplate.release.builds.using import collect

    try:
        collect(target.home)
    except BedplateError as error:
        return tuple(f"{problem.code} {problem.summary}" for problem in error.problems)
    return ()


def _troubles(engine: Engine, target: Target) -> tuple[str, ...]:
    found = []
    for resource in engine.resources(target.stack):
        unread = (resource.old_outputs or {}).get("unread")
        if isinstance(unread, Mapping) and unread.get("count"):
            found.append(f"{unread['count']} documents of {resource.name} cannot be read: {'; '.join(unread['first'])}")
    tools = tool_states(target.paths).items()
    return (*found, *(f"tool {name}: {state.get('reason')}" for name, state in tools if state["state"] == "failed"))


def _plan(target: Target, outcome: Outcome, sandbox: str, deployed: Mapping[str, Any] | None) -> Plan:
    found = plan_of(target.blueprint, outcome, file=target.manifest.name, sandbox=sandbox, deployed=deployed)
    lost = [name for name in deployed_stages(target.home) if name not in target.loaded.stages]
    return replace(found, orphans=tuple(lost))


def _deployed(engine: Engine, target: Target) -> Mapping[str, Any] | None:
    """The outputs of the last `up`. Raises BP711 where the stage belongs to another manifest of the same folder."""
    outputs = engine.outputs(target.stack)
    owner = str((outputs or {}).get("manifest") or target.manifest.name)
    if owner != target.manifest.name:
        stage = target.blueprint.stage
        raise BedplateError(
            Problem(
                "BP711",
                f"stage {stage} of this folder belongs to {owner}, not to {target.manifest.name}",
                fix=f"name the stage of {target.manifest.name} differently, give it a folder of its own, "
                f"or destroy the other: `bedplate destroy -f {owner} --stage {stage}`",
            )
        )
    return outputs


def _prepared(allow_unsandboxed: bool) -> tuple[str, Program]:
    """The sandbox and the stage's program. The sandbox is tried in a process of its own; meanwhile Pulumi is loaded."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        sandbox, program = pool.submit(choose_sandbox, allow_unsandboxed), _program()
        return sandbox.result(), program


def _require_usable(target: Target) -> None:
    from bedplate.providers.bedplate import require_usable

    require_usable(target.paths)


def _program() -> Program:
    import pulumi  # noqa: F401 - loaded here and not at its first use, see `_prepared`

    from bedplate.stacks.local.program import program

    return program


def _config(target: Target, sandbox: str) -> dict[str, str]:
    return {
        "bedplate:blueprint": json.dumps(to_json(target.blueprint)),
        "bedplate:manifest": target.manifest.name,
        "bedplate:stageFolder": str(target.paths.folder),
        "bedplate:sandbox": sandbox,
    }


def _ensure_folder(target: Target) -> None:
    """The stage's folder, private to its owner, and kept out of version control."""
    make_home(target.home)
    target.paths.folder.mkdir(mode=0o700, exist_ok=True)
