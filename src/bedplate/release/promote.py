"""Promotion: the very build that one stage has released, brought to the next. Nothing is built again.

Goes in: a project's folder and a stage. Comes out: `Promoted`: the plan with its verdict, what the gates said, and the
release where the verdict allowed it. Of the working tree only approvals and secrets are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.model import Blueprint, to_json
from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import EventSink
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds.make import open_tree
from bedplate.release.builds.store import BuildStore
from bedplate.release.check import require_secrets
from bedplate.release.deploy import Release, carry_out, tidied
from bedplate.release.deployment import Deployment, prepare, standing_in
from bedplate.release.enforcing import require_enforced
from bedplate.release.folders import deployed_stages
from bedplate.release.gates import run_gates
from bedplate.release.plan import Access, Detail, Origin, Plan
from bedplate.release.planning import access_of, asked_of, make, question
from bedplate.release.receipt import PlanReceipt, require_same
from bedplate.release.records import ReleaseLog, ReleaseRecord
from bedplate.release.releasing import held, is_recorded, may_go_on, receipt_of
from bedplate.release.status import stage_outputs
from bedplate.release.target import Target
from bedplate.release.wording import differences

if TYPE_CHECKING:
    from bedplate.evals.report import SuiteReport
    from bedplate.evals.runner import Progress


@dataclass(frozen=True)
class Promotion:
    """What is about to be promoted: the target of the build, where it comes from, and the source as it runs."""

    target: Target
    source: Target
    origin: Origin


@dataclass(frozen=True)
class Promoted:
    """What came of it. `release` is None where the verdict stopped it or nothing was to be done but to look."""

    plan: Plan
    reports: tuple[SuiteReport, ...] = ()
    release: Release | None = None

    def to_json(self) -> dict[str, Any]:
        """What came of it as JSON values (schema `bedplate.dev/promotion/v1`)."""
        from bedplate.evals.report import to_json

        return {
            "schema": "bedplate.dev/promotion/v1",
            "ok": self.release is not None or not self.plan.verdict.blocks,
            "plan": self.plan.to_json(),
            "suites": [to_json(report) for report in self.reports],
            "release": self.release.to_json() if self.release else None,
        }


def open_promotion(manifest: Path, stage: str) -> Promotion:
    """Find the build that is to be promoted to `stage`, verified.

    Raises BP760 for a damaged build, BP770 for a tampered record, BP780 where no stage has released a build for it,
    BP784 where the source does not run what it released last.
    """
    home = manifest.resolve().parent
    record = _source(home, stage, manifest)
    build = BuildStore(home).open(record.build)
    target, source = open_tree(home, build, stage), open_tree(home, build, record.stage)
    differs = tuple(_differences(source.blueprint, target.blueprint, target.manifest.name))
    return Promotion(target, source, Origin(record.stage, record.number, differs))


def promote(
    promotion: Promotion,
    *,
    look: bool = False,
    planned: PlanReceipt | None = None,
    override: str = "",
    allow_unsandboxed: bool = False,
    without_secrets: bool = False,
    on_event: EventSink | None = None,
    on_answer: Callable[[Progress], None] | None = None,
) -> Promoted:
    """Plan, check the order and the approvals, run the gates, apply. `look` stops after the plan and changes nothing.

    `without_secrets`, for a look only: they are not looked up and count as unchanged.

    Raises BP210 (exit 6) where another release of the stage is under way, BP773 (exit 7) for a stale plan, BP850 to
    BP876 for what nothing holds (any more).
    """
    require_enforced(promotion.target.blueprint)
    if not without_secrets:
        require_secrets(promotion.target)
    secrets = standing_in(promotion.target) if without_secrets else None
    deployment = prepare(promotion.target, allow_unsandboxed, secrets=secrets)
    if look:
        return Promoted(_plan(deployment, promotion))
    with BuildStore(promotion.target.home).holding(), held(promotion.target, "promote") as log:
        plan = _plan(deployment, promotion)
        if planned is not None:
            require_same(planned, receipt_of(plan, promotion.target))
        if is_recorded(plan, log) or (plan.verdict.waits and not override):
            return Promoted(plan)
        # Whatever an earlier run said, the gates run again: what failed once may have been the machine's fault.
        reports = run_gates(promotion.target, promotion.source.paths.evals, allow_unsandboxed, on_answer)
        plan = _plan(deployment, promotion)
        if not may_go_on(plan, override):
            return Promoted(plan, reports)
        done = carry_out(deployment, plan, log, override=override, on_event=on_event)
    return Promoted(plan, reports, tidied(done, promotion.target))


def _plan(deployment: Deployment, promotion: Promotion) -> Plan:
    """With the eval results that are on file by now."""
    return make(question(deployment, promotion.origin), deployment.preview())


def access_for(target: Target) -> Access:
    """What the stage's plan says of access.

    For a stage that builds are promoted to it is that of the build that it would get, where there is one yet.
    """
    from bedplate.release.deployment import engine_for

    if target.blueprint.promoted_from:
        try:
            target = open_promotion(target.manifest, target.blueprint.stage).target
        except BedplateError as error:
            if error.problems[0].code != "BP780":
                raise
    return access_of(asked_of(target, engine_for(target)))


def _source(home: Path, stage: str, manifest: Path) -> ReleaseRecord:
    """The last release of the stage that builds for `stage` come from, as the build itself says."""
    for name in _in_likely_order(home, stage, manifest):
        record = ReleaseLog(StagePaths.of(home, name).releases).last_applied()
        if record is not None and _feeds(home, record, stage):
            _require_running(home, record)
            return record
    raise _no_source(stage, manifest)


def _in_likely_order(home: Path, stage: str, manifest: Path) -> list[str]:
    """The other stages; first the one that the working tree names, so that damage elsewhere stops nothing."""
    from bedplate.manifest.load import load

    others = [name for name in deployed_stages(home) if name != stage]
    try:
        declared = load(manifest).stages.get(stage)
    except BedplateError:  # it may be broken: what was built counts
        return others
    return sorted(others, key=lambda name: declared is None or name != declared.promoted_from)


def _feeds(home: Path, record: ReleaseRecord, stage: str) -> bool:
    """Whether the manifest of a released build promotes it to `stage`. The build is verified when it is used."""
    from bedplate.manifest.load import parse

    store = BuildStore(home)
    build = store.recorded(record.build)
    text = store.blob(build.manifest.sha256).read_text("utf-8-sig")
    declared = parse(text, build.manifest.path, home).stages.get(stage)
    return declared is not None and declared.promoted_from == record.stage


def _require_running(home: Path, record: ReleaseRecord) -> None:
    paths = StagePaths.of(home, record.stage)
    last = ReleaseLog(paths.releases).releases()[-1]
    runs = stage_outputs(paths, record.stage).get("buildDigest")
    if last.number != record.number or runs != record.build:
        later = last.number != record.number
        what = f"release {last.number} {last.status}" if later else "it runs another build"
        again = f"bedplate promote {record.stage}" if record.from_stage else f"bedplate up --stage {record.stage}"
        fix = f"bring it to its end: `{again}`"
        raise BedplateError(Problem("BP784", f"{record.stage} does not run its last release: {what}", fix=fix))


def _no_source(stage: str, manifest: Path) -> BedplateError:
    """Why nothing can be promoted, as far as the manifest in the working tree tells."""
    from bedplate.blueprint.resolve import resolve
    from bedplate.manifest.load import load

    source = resolve(load(manifest), stage).promoted_from
    if source is None:
        fix = f"bedplate up --stage {stage}"
        return BedplateError(Problem("BP781", f"{stage} is a first stage: nothing is promoted to it", fix=fix))
    fix = f"release it there first: `bedplate up --stage {source}`, or `bedplate promote {source}`"
    return BedplateError(Problem("BP780", f"{source} has released no build that is meant for {stage}", fix=fix))


def _differences(source: Blueprint, target: Blueprint, file: str) -> list[Detail]:
    """In what the two stages of one build differ, in the manifest's words."""
    found = differences(_facts(source), _facts(target))
    lines = {**source.lines, **target.lines}
    return [Detail(path, old, new, f"{file}:{lines[path]}" if path in lines else "") for path, old, new in found]


def _facts(blueprint: Blueprint) -> dict[str, object]:
    document = to_json(blueprint)
    data = [{"name": s["name"], "documents": len(s["files"])} for s in document["data"]]
    scopes = {"grants": [f"{g['tool']} {g['verb']} {g['pattern']}" for g in document["scopes"]["grants"]]}
    kept = {key: value for key, value in document.items() if key not in _HIDDEN}
    return {**kept, "data": data, "scopes": scopes}


_HIDDEN = {"stage", "project", "digests", "lines", "approvals", "promoted_from", "target", "code"}
"""Fields in which two stages differ by their nature, or that say the same in other words."""
