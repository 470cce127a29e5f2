"""A target with all that it takes to plan and to apply it: engine, program, sandbox.

Goes in: a target whose files are those of a build. Comes out: an engine's outcome. The only place where a blueprint
becomes a program's configuration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.blueprint.model import secrets_of, to_json
from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import DEFAULTS, Engine, Event, EventSink, Options, Outcome, Program
from bedplate.engine.interrupts import stoppable
from bedplate.problems import BedplateError, Problem, Severity
from bedplate.release.engines import engine_of
from bedplate.release.folders import make_home
from bedplate.release.plan import KINDS, SYMBOLS
from bedplate.release.target import Target


@dataclass(frozen=True)
class Deployment:
    """One target, ready to be planned and applied."""

    target: Target
    engine: Engine
    program: Program
    sandbox: str
    options: Options = DEFAULTS

    def preview(self, on_event: EventSink | None = None) -> Outcome:
        """What `apply` would do. Changes nothing."""
        self.require_own()
        stack, options = self.target.stack, self.options
        return self.engine.preview(stack, self.program, self.config, options=options, on_event=on_event)

    def apply(self, on_event: EventSink | None = None) -> Outcome:
        """Make the stage what the target says.

        Raises BedplateError; what was done until then is in the state, and BP714 says what of it runs.
        """
        deployed = self.require_own()
        make_home(self.target.home)
        self.target.paths.folder.mkdir(mode=0o700, exist_ok=True)
        made = _Made(on_event)
        try:
            with stoppable(self.engine, told_to(on_event)):
                stack, options = self.target.stack, self.options
                return self.engine.up(stack, self.program, self.config, options=options, on_event=made)
        except BedplateError as error:
            left = _left(self.target, bool(deployed), made.anything)
            raise BedplateError(*error.problems, *left, exit_code=error.exit_code) from error

    def require_own(self) -> Mapping[str, Any] | None:
        """The outputs of the last `up`. Raises BP711 where the stage belongs to another manifest of the same folder."""
        outputs, name = self.engine.outputs(self.target.stack), self.target.manifest.name
        owner = str((outputs or {}).get("manifest") or name)
        if owner != name:
            stage = self.target.blueprint.stage
            fix = (
                f"name the stage of {name} differently, give it a folder of its own, "
                f"or destroy the other: `bedplate destroy -f {owner} --stage {stage}`"
            )
            what = f"stage {stage} of this folder belongs to {owner}, not to {name}"
            raise BedplateError(Problem("BP711", what, fix=fix))
        return outputs

    @property
    def config(self) -> dict[str, str]:
        """What the program reads."""
        return {
            "bedplate:blueprint": json.dumps(to_json(self.target.blueprint)),
            "bedplate:manifest": self.target.manifest.name,
            "bedplate:stageFolder": str(self.target.paths.folder),
            "bedplate:sandbox": self.sandbox,
        }


def told_to(on_event: EventSink | None) -> Callable[[str], None]:
    """Where to say that a run is being stopped: an event of its own."""

    def tell(text: str) -> None:
        if on_event:
            on_event(Event("stopping", message=text))

    return tell


def prepare(
    target: Target,
    allow_unsandboxed: bool,
    options: Options = DEFAULTS,
    secrets: Mapping[str, str] | None = None,
) -> Deployment:
    """Load what planning needs. `secrets` holds their values by variable (default: this process's).

    Raises BP707 where this machine cannot isolate and that was not allowed, BP801 and BP802 for what cannot be deployed
    or enforced yet.

    The sandbox is tried in a process of its own; meanwhile Pulumi is loaded.
    """
    from bedplate.providers.bedplate import require_usable
    from bedplate.release.supported import require_supported

    require_supported(target.blueprint)
    require_usable(target.paths)
    with ThreadPoolExecutor(1) as pool:
        sandbox, program = pool.submit(choose_sandbox, allow_unsandboxed), _program()
        return Deployment(target, engine_for(target, secrets), program, sandbox.result(), options)


def engine_for(target: Target, secrets: Mapping[str, str] | None = None) -> Engine:
    """The engine that manages this target. `secrets` are the values by variable (default: this process's)."""
    declared = target.loaded.manifest.stages.get(target.blueprint.stage)
    engine, backend = (declared.engine or "", declared.backend or "") if declared else ("", "")
    return engine_of(target.paths, target.home, target.engine, declared=engine, backend=backend, secrets=secrets)


def engine_in(paths: StagePaths, home: Path) -> Engine:
    """The engine of a stage that is deployed. `home` is the project's folder."""
    return engine_of(paths, home)


def standing_in(target: Target) -> dict[str, str]:
    """An environment to plan with where secrets are not to be known: each has the value that is deployed.

    So none counts as changed. One that was never deployed has a value that is none.
    """
    files = {ref.variable: target.paths.secret(name) for name, ref in secrets_of(target.blueprint).items()}
    return {variable: file.read_text("utf-8") if file.exists() else "unknown" for variable, file in files.items()}


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


def _program() -> Program:
    import pulumi  # noqa: F401 - loaded here and not at its first use, see `prepare`

    from bedplate.stacks.local.program import program

    return program


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
