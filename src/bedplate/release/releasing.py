"""Applying a plan as a release: held from plan to end, recorded before the first step and after the last.

Goes in: a deployment and the plan that its verdict allows. Comes out: the engine's outcome and the release's number. A
run in which nothing changes is no release.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bedplate import __version__
from bedplate.engine.api import Event, EventSink, Outcome
from bedplate.problems import BedplateError, ExitCode, Problem
from bedplate.release.approvals import text_fault
from bedplate.release.deployment import Deployment
from bedplate.release.folders import make_home
from bedplate.release.plan import Plan
from bedplate.release.receipt import PlanReceipt, parts_of
from bedplate.release.records import ReleaseLog, who
from bedplate.release.target import Target


def receipt_of(plan: Plan, target: Target) -> PlanReceipt:
    """The plan as a receipt that `up --plan` holds to."""
    document = plan.to_json()
    inputs = target.inputs
    files = {ref.path: ref.sha256 for ref in inputs.files}
    lock = inputs.lock.sha256 if inputs.lock else ""
    return PlanReceipt(
        tool_version=__version__,
        agent=plan.agent,
        stage=plan.stage,
        build=plan.build,
        behaviour=plan.behaviour,
        parts=parts_of(target.manifest.name, target.loaded.document, files, lock),
        state=plan.state,
        release=plan.release,
        baseline=plan.access.baseline,
        changes=document["infrastructure"]["changes"],
        findings=document["access"]["findings"],
        verdict=document["verdict"],
    )


@contextmanager
def held(target: Target, purpose: str) -> Iterator[ReleaseLog]:
    """Be the one release of the stage that is under way. Raises BP210 (exit 6) where another is.

    What changes nothing leaves nothing: a stage's folder that is made for this is removed if it stays empty.
    """
    make_home(target.home)
    target.paths.folder.mkdir(mode=0o700, exist_ok=True)
    log = ReleaseLog(target.paths.releases)
    try:
        with log.hold(purpose):
            yield log
    finally:
        with suppress(OSError):
            target.paths.folder.rmdir()


def release(
    deployment: Deployment, plan: Plan, log: ReleaseLog, *, override: str, on_event: EventSink | None
) -> tuple[Outcome, int]:
    """Apply the plan and record it; the outcome and the release's number (0 where nothing changed).

    The log must be held. Raises BedplateError; the record then says that the release failed, and why.
    """
    recorder = _Recorder(log, _body(plan, override), on_event)
    try:
        outcome = deployment.apply(recorder)
    except BedplateError as error:
        recorder.end("failed", {"problem": f"{error.problems[0].code} {error.problems[0].summary}"})
        raise
    if not is_recorded(plan, log):
        recorder.begin()  # nothing was left to be done, of what an earlier run had not brought to its end
    recorder.end("applied", {})
    return outcome, recorder.number


def is_recorded(plan: Plan, log: ReleaseLog) -> bool:
    """Whether there is nothing to do and the record says so: its last release was applied, and is of this build."""
    releases = log.releases()
    return plan.empty and bool(releases) and (releases[-1].status, releases[-1].build) == ("applied", plan.build)


@dataclass
class _Recorder:
    """Writes `started` when the engine begins its first step: what does nothing leaves no record."""

    log: ReleaseLog
    body: Mapping[str, Any]
    on_event: EventSink | None
    number: int = field(default=0)

    def __call__(self, event: Event) -> None:
        looks = event.step is not None and event.step.op == "refresh"
        if event.kind == "started" and not looks:
            self.begin()
        if self.on_event:
            self.on_event(event)

    def begin(self) -> None:
        if not self.number:
            self.number = self.log.next_number()
            self.log.append("started", self.number, self.body)

    def end(self, kind: Any, body: Mapping[str, Any]) -> None:
        if self.number:
            self.log.append(kind, self.number, body)


def _body(plan: Plan, override: str) -> dict[str, Any]:
    document = plan.to_json()
    access, infrastructure = document["access"], document["infrastructure"]
    return {
        "stage": plan.stage,
        "agent": plan.agent,
        "build": plan.build,
        "behaviour": plan.behaviour,
        "toolVersion": __version__,
        "plan": {"access": access["findings"], "changes": infrastructure["changes"], "unchanged": plan.unchanged},
        "verdict": document["verdict"],
        "evals": document["evals"],
        "approvals": access["approvals"],
        "override": override,
        "who": who(os.environ),
        "fromStage": plan.origin.stage if plan.origin else "",
        "fromRelease": plan.origin.release if plan.origin else 0,
    }


def may_go_on(plan: Plan, override: str) -> bool:
    """Whether the verdict allows it, or an override stands against a verdict that can be overridden."""
    return not plan.verdict.blocks or (bool(override) and plan.verdict.exit in OVERRIDABLE)


OVERRIDABLE = frozenset(
    {ExitCode.NEEDS_APPROVAL, ExitCode.GATE_FAILED, ExitCode.INCONCLUSIVE, ExitCode.INVALID_EVIDENCE}
)
"""What a person may answer for. A damaged build, a tampered record, a stale plan or a held lock are not among them."""


def reason_of(override: str | None) -> str:
    """The reason of an override, "" where none was asked for. Raises BP783 for one that says nothing."""
    if override is None:
        return ""
    fault = text_fault(override) or ("is no sentence" if len(override.split()) < 2 else "")
    if fault:
        fix = '--override "why this cannot wait, in a sentence"'
        raise BedplateError(Problem("BP783", f"the reason of the override {fault}", fix=fix), exit_code=ExitCode.USAGE)
    return override.strip()
