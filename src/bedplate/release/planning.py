"""Makes plans: what an engine found, what is deployed, approvals and eval results, joined into a `Plan` with a verdict.

Goes in: a target and an engine's outcome. Comes out: `Plan`. It reads the state of stages, approval files and eval
results, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bedplate.blueprint.digest import digest_of
from bedplate.blueprint.model import Blueprint, from_json
from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.reach import documents
from bedplate.engine.api import Engine, Outcome, StackRef, Step, outputs_in
from bedplate.problems import BedplateError
from bedplate.release.approvals import approved, read_approvals, standing
from bedplate.release.approve import require_honest
from bedplate.release.behaviour import SuiteState, results_in, suites_of
from bedplate.release.builds.compare import FileChange
from bedplate.release.builds.sides import sides_of_stage
from bedplate.release.builds.told import untold
from bedplate.release.changes import changes_of
from bedplate.release.cost import cost_of
from bedplate.release.deployment import Deployment
from bedplate.release.enforcing import matrix_of
from bedplate.release.folders import deployed_stages
from bedplate.release.plan import KINDS, Access, Change, Origin, Plan
from bedplate.release.reaching import reaching
from bedplate.release.records import ReleaseLog, require_fitting
from bedplate.release.target import PROJECT, Target
from bedplate.release.verdict import Verdict, judge, needing_approval


@dataclass(frozen=True)
class Deployed:
    """What runs in a stage now: its resources, outputs, blueprint and last release."""

    stage: str
    resources: tuple[Step, ...]
    outputs: Mapping[str, Any] | None
    blueprint: Blueprint | None
    release: int

    @property
    def words(self) -> str:
        """`staging release 3`, or `staging` where it has no release yet."""
        return f"{self.stage} release {self.release}" if self.release else self.stage

    @property
    def digest(self) -> str:
        """What the state says, without times: the same as long as nobody changed the stage."""
        return digest_of([[s.urn, s.old_inputs, s.old_outputs] for s in self.resources])


def deployed_in(engine: Engine, home: Path, stage: str) -> Deployed:
    """Read what is deployed in a stage of the project at `home`."""
    paths = StagePaths.of(home, stage)
    stack = StackRef(PROJECT, stage, paths.folder)
    resources = engine.resources(stack)
    outputs = outputs_in(resources)
    log = ReleaseLog(paths.releases)
    if log.path.exists():  # where it is gone, with its head, a new one begins
        require_fitting(log, str((outputs or {}).get("buildDigest", "")))
    last = log.last_applied()
    return Deployed(stage, resources, outputs, _blueprint_in(resources), last.number if last else 0)


def _blueprint_in(resources: Iterable[Step]) -> Blueprint | None:
    """The blueprint that the gateway runs with."""
    for step in resources:
        config = (step.old_inputs or {}).get("config") if step.name == "gateway" else None
        if isinstance(config, Mapping) and isinstance(config.get("blueprint"), Mapping):
            return from_json(config["blueprint"])
    return None


@dataclass(frozen=True)
class Question:
    """What a plan is asked for: the stage, what is deployed there and in its `from` stage."""

    target: Target
    sandbox: str
    deployed: Deployed
    before: Deployed | None = None
    origin: Origin | None = None
    now: float = 0.0

    @property
    def baseline(self) -> Deployed | None:
        """What access is compared with: this stage, else the one that builds come from, else nothing."""
        found = [d for d in (self.deployed, self.before) if d is not None and d.blueprint is not None]
        return found[0] if found else None


def question(deployment: Deployment, origin: Origin | None = None) -> Question:
    """Read what the plan of a deployment is compared with."""
    return replace(asked_of(deployment.target, deployment.engine), sandbox=deployment.sandbox, origin=origin)


def asked_of(target: Target, engine: Engine) -> Question:
    """Read what access of a target is compared with; the sandbox is left open."""
    source = target.blueprint.promoted_from
    return Question(
        target=target,
        sandbox="",
        deployed=deployed_in(engine, target.home, target.blueprint.stage),
        before=deployed_in(engine, target.home, source) if source else None,
        now=time.time(),
    )


def make(asked: Question, outcome: Outcome, stages: tuple[str, ...] | None = None) -> Plan:
    """The plan, with its verdict. `stages` are those that the working tree's manifest names, where it was read.

    Raises BP774 for a damaged approval, BP776 for a damaged eval result.
    """
    blueprint, deployed = asked.target.blueprint, asked.deployed
    steps = [step for step in outcome.steps if step.type in KINDS]
    changes = tuple(changes_of(steps, blueprint, asked.target.manifest.name))
    access, evals = access_of(asked), _evals(asked)
    files, files_note = _files(asked, changes, access)
    lost = [name for name in deployed_stages(asked.target.home) if stages is not None and name not in stages]
    return Plan(
        agent=blueprint.name,
        stage=blueprint.stage,
        target=blueprint.target,
        sandbox=asked.sandbox,
        build=blueprint.digests.build,
        behaviour=blueprint.digests.behaviour,
        deployed_build=str((deployed.outputs or {}).get("buildDigest", "")),
        first=deployed.outputs is None,
        changes=changes,
        unchanged=sum(step.op == "same" for step in steps),
        access=access,
        evals=evals,
        cost=cost_of(blueprint),
        verdict=_verdict(asked, access, evals, pending=bool(changes)),
        state=deployed.digest,
        release=deployed.release,
        origin=asked.origin,
        orphans=tuple(lost),
        files=files,
        files_note=files_note,
        enforcement=matrix_of(blueprint, isolated=asked.sandbox != "none"),
    )


def _files(asked: Question, changes: Sequence[Change], access: Access) -> tuple[tuple[FileChange, ...], str]:
    """What else differs from the build that runs in the stage, or why that cannot be told."""
    running, target = asked.deployed.blueprint, asked.target
    if running is None or running.digests.build == target.inputs.digest:
        return (), ""
    try:
        old, new = sides_of_stage(target, running.digests.build)
        return untold(old, new, changes, access.findings), ""
    except BedplateError as error:
        return (), f"unknown, the deployed build cannot be read: {error.problems[0].summary}"


def access_of(asked: Question) -> Access:
    """What the stage would gain and lose, and which of it has its approvals."""
    blueprint, baseline = asked.target.blueprint, asked.baseline
    found = reaching(baseline.blueprint if baseline else None, blueprint, _known(asked))
    findings = found.findings
    # Where there is nothing to compare with, access is shown, and nobody has to approve that a first stage begins.
    required = found.required if baseline else 0
    on_file = read_approvals(asked.target.home, blueprint.stage) if required else ()
    require_honest(on_file, findings, blueprint.name, blueprint.stage)
    digests = {name: finding.digest(blueprint.name, blueprint.stage) for name, finding in needing_approval(findings)}
    agreed = [name for name, digest in digests.items() if approved(digest, on_file, required, asked.now)]
    return Access(
        findings=findings,
        grants=len(blueprint.scopes.grants),
        baseline=baseline.words if baseline else "",
        required=required,
        approved=tuple(agreed) if required else (),
        approvals=tuple(a for a in on_file if standing(a, asked.now, set(digests.values())) == "counts"),
    )


def _known(asked: Question) -> dict[str, tuple[str, ...]]:
    """Real documents of each data source, as planned and as indexed now, from which witnesses are chosen."""
    found = documents(asked.target.blueprint)
    for step in asked.baseline.resources if asked.baseline else ():
        paths = (step.old_inputs or {}).get("paths")
        if paths and KINDS.get(step.type) == "index":
            found[step.name] = tuple(dict.fromkeys((*found.get(step.name, ()), *paths)))
    return found


def _evals(asked: Question) -> tuple[SuiteState, ...]:
    blueprint, home = asked.target.blueprint, asked.target.home
    baseline = asked.baseline.blueprint if asked.baseline else None
    before = baseline.digests.behaviour if baseline else ""
    folders = [StagePaths.of(home, name).evals for name in deployed_stages(home)]
    return suites_of(blueprint, results_in(folders, {blueprint.digests.behaviour, before}), before)


def _verdict(asked: Question, access: Access, evals: tuple[SuiteState, ...], *, pending: bool) -> Verdict:
    blueprint = asked.target.blueprint
    by_finding = {finding: name in access.approved for name, finding in access.named}
    return judge(
        stage=blueprint.stage,
        pending=pending,
        findings=access.findings,
        minimum=access.required,
        approved=by_finding.__getitem__,
        suites=evals,
        gated=blueprint.promoted_from is not None,
        replan=_next(asked),
    )


def _next(asked: Question) -> str:
    """The command that applies what is pending: here, or first where the stage's builds come from."""
    stage, build, source = asked.target.blueprint.stage, asked.target.blueprint.digests.build, asked.before
    if source is None:
        return f"bedplate up --stage {stage}"
    if asked.origin or (source.outputs or {}).get("buildDigest") == build:
        return f"bedplate promote {stage}"
    return f"bedplate plan --stage {source.stage}"
