"""Plan a stage from the working tree, and bring it up: build, plan, verdict, apply, record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedplate.engine.api import DEFAULTS, Engine, EventSink, Options
from bedplate.problems import BedplateError, ExitCode, Problem
from bedplate.release.deployment import Deployment, prepare, standing_in
from bedplate.release.plan import Plan
from bedplate.release.planning import make, question
from bedplate.release.receipt import PlanReceipt, require_same
from bedplate.release.records import ReleaseLog
from bedplate.release.releasing import held, may_go_on, receipt_of, release
from bedplate.release.target import Target
from bedplate.release.tools import tool_states, tool_troubles
from bedplate.release.verdict import Cause, Verdict


@dataclass(frozen=True)
class Release:
    """A stage after `up` or `promote`: what was done, and where it answers. `number` is 0 where nothing changed."""

    plan: Plan
    outputs: Mapping[str, Any]
    number: int = 0
    override: str = ""
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
            "number": self.number,
            "override": self.override,
            "plan": self.plan.to_json(),
            "outputs": dict(self.outputs),
            "troubles": list(self.troubles),
        }


@dataclass(frozen=True)
class Refused:
    """The verdict stopped it: nothing was changed."""

    plan: Plan


def make_plan(
    target: Target,
    *,
    allow_unsandboxed: bool = False,
    without_secrets: bool = False,
    options: Options = DEFAULTS,
    on_event: EventSink | None = None,
) -> Plan:
    """What `up` would do. Changes nothing. `without_secrets`: they are not looked up and count as unchanged."""
    from bedplate.release.builds.make import previewed

    secrets = standing_in(target) if without_secrets else None
    deployment = prepare(previewed(target), allow_unsandboxed, options, secrets)
    return make(question(deployment), deployment.preview(on_event), stages=tuple(target.loaded.stages))


def up(
    target: Target,
    *,
    planned: PlanReceipt | None = None,
    override: str = "",
    allow_unsandboxed: bool = False,
    options: Options = DEFAULTS,
    on_event: EventSink | None = None,
) -> Release | Refused:
    """Make the stage what the manifest says, from the build of the working tree.

    Raises BedplateError: BP210 (exit 6) where another release of the stage is under way, BP773 (exit 7) where `planned`
    is stale, BP782 where the stage takes its builds from another one.
    """
    from bedplate.release.builds.make import deployable
    from bedplate.release.builds.store import BuildStore

    _require_first(target, override)
    with BuildStore(target.home).holding(), held(target, "up") as log:
        deployment = prepare(deployable(target), allow_unsandboxed, options)
        plan = make(question(deployment), deployment.preview(), stages=tuple(target.loaded.stages))
        plan = _around_promotion(plan, target)
        if planned is not None:
            require_same(planned, receipt_of(plan, target))
        if not may_go_on(plan, override):
            return Refused(plan)
        done = carry_out(deployment, plan, log, override=override, on_event=on_event)
    return tidied(done, target)


def carry_out(
    deployment: Deployment, plan: Plan, log: ReleaseLog, *, override: str, on_event: EventSink | None
) -> Release:
    """Apply a plan that may go on, as the stage's next release. The log is held."""
    outcome, number = release(deployment, plan, log, override=override, on_event=on_event)
    return Release(plan, outcome.outputs, number, override, _troubles(deployment.engine, deployment.target))


def tidied(release: Release, target: Target) -> Release:
    """The release, after builds that nothing needs any more are gone. Call it when the store is no longer held."""
    return replace(release, troubles=(*release.troubles, *_collect(target)))


def _require_first(target: Target, override: str) -> None:
    """A stage that takes builds from another gets them by `promote`, in order."""
    stage, source = target.blueprint.stage, target.blueprint.promoted_from
    if source and not override:
        raise BedplateError(
            Problem(
                "BP782",
                f"stage {stage} takes its builds from {source}",
                fix=f"`bedplate up --stage {source}`, then `bedplate promote {stage}`",
            )
        )


def _collect(target: Target) -> tuple[str, ...]:
    """Remove builds that nothing needs any more; where that cannot be done, why. What is up stays up."""
    from bedplate.release.builds.using import collect

    try:
        collect(target.home)
    except BedplateError as error:
        return tuple(f"{problem.code} {problem.summary}" for problem in error.problems)
    return ()


def _around_promotion(plan: Plan, target: Target) -> Plan:
    """The plan of an `up` that an override lets past `promote`: the verdict says so, and the record with it."""
    source = target.blueprint.promoted_from
    if source is None or plan.empty:
        return plan
    text = f"{plan.stage} takes its builds from {source}: its gates were not run, its order not checked"
    around = Cause(ExitCode.GATE_FAILED, text, f"bedplate promote {plan.stage}")
    return replace(plan, verdict=Verdict((around, *plan.verdict.causes)))


def _troubles(engine: Engine, target: Target) -> tuple[str, ...]:
    found = []
    for resource in engine.resources(target.stack):
        unread = (resource.old_outputs or {}).get("unread")
        if isinstance(unread, Mapping) and unread.get("count"):
            found.append(f"{unread['count']} documents of {resource.name} cannot be read: {'; '.join(unread['first'])}")
    return (*found, *tool_troubles(tool_states(target.paths)))
