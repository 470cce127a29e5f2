"""Take a stage away. Works from the state alone: the manifest may be broken, gone, or no longer name the stage."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import DEFAULTS, EventSink, Options, Outcome, StackRef
from bedplate.engine.interrupts import stoppable
from bedplate.problems import BedplateError
from bedplate.release.builds.store import BuildStore
from bedplate.release.deployment import engine_in, told_to
from bedplate.release.folders import deployed_stages
from bedplate.release.plan import KINDS
from bedplate.release.target import PROJECT


@dataclass(frozen=True)
class DeployedStage:
    """A stage that left a folder behind: its name and where it lives."""

    name: str
    project: Path
    paths: StagePaths


def find_stage(manifest: Path, stage: str | None) -> DeployedStage | None:
    """The deployed stage, or None. Without a name: the only one there is, else the first of the manifest."""
    project = manifest.resolve().parent
    deployed = deployed_stages(project)
    name = stage or (deployed[0] if len(deployed) == 1 else first_stage(manifest) if deployed else None)
    if name is None or name not in deployed:
        return None
    return DeployedStage(name, project, StagePaths.of(project, name))


def first_stage(manifest: Path) -> str:
    """The first stage of the manifest, also of one with problems: they are no reason to keep what runs."""
    from bedplate.manifest.load import examine

    loaded = examine(manifest)
    return (loaded.stage_names or tuple(loaded.stages))[0]


def losses(stage: DeployedStage) -> dict[str, int]:
    """What would be lost, counted: conversations, facts, traces. Zero counts are left out.

    What cannot be opened counts as one thing that cannot be read: it must be destroyable all the same.
    """
    from bedplate.store import Store
    from bedplate.traces.query import count_traces

    found: dict[str, int] = {}
    if stage.paths.memory.exists():
        try:
            with closing(Store.open(stage.paths.memory)) as store:
                counts = store.counts()
            found = {"conversations": counts.sessions, "remembered facts": counts.facts}
        except BedplateError:
            found = {"memory that cannot be read": 1}
    try:
        found["traces"] = count_traces(stage.paths.traces)
    except BedplateError:
        found["traces that cannot be read"] = 1
    return {what: n for what, n in found.items() if n}


def destroy(stage: DeployedStage, *, options: Options = DEFAULTS, on_event: EventSink | None = None) -> list[str]:
    """Delete every resource and the stage's folder; the names of what was deleted. Raises BedplateError.

    Where the options leave some of them, the folder stays.
    """
    engine = engine_in(stage.paths, stage.project)
    stack = StackRef(PROJECT, stage.name, stage.paths.folder)
    with stoppable(engine, told_to(on_event)):
        outcome = engine.destroy(stack, options=options, on_event=on_event)
    if engine.resources(stack):
        return _deleted(outcome)
    shutil.rmtree(stage.paths.folder)
    with BuildStore(stage.project).alone() as alone:
        if alone and not deployed_stages(stage.project):
            shutil.rmtree(stage.paths.folder.parent)  # the builds and all: nothing runs from them, nobody makes one
    return _deleted(outcome)


def _deleted(outcome: Outcome) -> list[str]:
    return [step.name for step in outcome.steps if step.op == "delete" and step.type in KINDS]
