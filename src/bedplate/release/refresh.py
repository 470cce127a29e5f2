"""Looking at what a deployed stage is made of: what was changed or lost behind Bedplate's back.

Goes in: a deployed stage, no manifest. Comes out: its drift, which is no intent: nothing is changed but the state.
"""

from __future__ import annotations

from dataclasses import dataclass

from bedplate.engine.api import DEFAULTS, EventSink, Options, StackRef, Step
from bedplate.engine.interrupts import stoppable
from bedplate.release.deployment import engine_in, told_to
from bedplate.release.destroy import DeployedStage
from bedplate.release.plan import KINDS
from bedplate.release.target import PROJECT


@dataclass(frozen=True)
class Drift:
    """One resource that is not what the state says: `gone`, or `changed` in the properties named."""

    name: str
    kind: str
    found: str
    properties: tuple[str, ...] = ()


def refresh(
    stage: DeployedStage, *, look: bool, options: Options = DEFAULTS, on_event: EventSink | None = None
) -> tuple[Drift, ...]:
    """Read every resource and make the state what is there; with `look` only say what differs. Raises BedplateError."""
    engine = engine_in(stage.paths, stage.project)
    stack = StackRef(PROJECT, stage.name, stage.paths.folder)
    with stoppable(engine, told_to(on_event)):
        outcome = engine.refresh(stack, options=options, preview=look, on_event=on_event)
    return tuple(map(_drift, outcome.drift))


def _drift(step: Step) -> Drift:
    kind = KINDS.get(step.type, step.type)
    return Drift(step.name, kind, step.note or "changed", tuple(sorted(step.diff)))
