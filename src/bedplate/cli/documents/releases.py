"""What `build`, `plan`, `up` and `destroy` print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.access.findings import Effect
from bedplate.blueprint.model import FileRef
from bedplate.cli.documents.access import MatrixRow
from bedplate.cli.documents.evals import EvalResults
from bedplate.release.approvals import Approval
from bedplate.release.behaviour import SuiteState
from bedplate.release.builds.compare import BuildDiff, FileChange
from bedplate.release.cost import Cost
from bedplate.release.plan import Change, Origin
from bedplate.release.verdict import Cause


@dataclass(frozen=True)
class BuildDocument:
    """`build`: a build and its files. `new` tells whether it was made now."""

    schema: Literal["bedplate.dev/build/v1"]
    ok: Literal[True]
    agent: str
    build_digest: str
    new: bool
    bytes: int
    files: tuple[FileRef, ...]
    wheels: tuple[FileRef, ...]


@dataclass(frozen=True)
class KeptBuild:
    """A build that is kept: when it was made (Unix seconds), its number of files, and what uses it."""

    build_digest: str
    made: float
    files: int
    bytes: int
    uses: tuple[str, ...]


@dataclass(frozen=True)
class BuildsDocument:
    """`build list`: the one made last first."""

    schema: Literal["bedplate.dev/builds/v1"]
    ok: Literal[True]
    builds: tuple[KeptBuild, ...]


@dataclass(frozen=True, kw_only=True)
class BuildDiffDocument(BuildDiff):
    """`build diff`: what differs between two builds."""

    schema: Literal["bedplate.dev/build-diff/v1"]
    ok: Literal[True]


@dataclass(frozen=True)
class BuildCollectDocument:
    """`build collect`: the digests that were removed, and the bytes that this freed."""

    schema: Literal["bedplate.dev/build-collect/v1"]
    ok: Literal[True]
    builds: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class PlannedFinding:
    """One way in which access gets wider or narrower. `digest` is what an approval is bound to."""

    id: str
    effect: Effect
    subject: str
    verb: str
    object: str
    behind: str
    witness: str
    reason: str
    where: str
    digest: str
    approved: bool


@dataclass(frozen=True)
class PlannedAccess:
    """Access against `baseline` ("" where nothing runs yet). `required` is how many approvals a wider finding needs."""

    baseline: str
    grants: int
    required: int
    approvals: tuple[Approval, ...]
    findings: tuple[PlannedFinding, ...]


@dataclass(frozen=True)
class PlannedEnforcement:
    """How many clauses the scopes have, and those that nothing holds, whether or not somebody accepted that.

    `risk` is the way through all three of the rule of two, "" for none.
    """

    clauses: int
    gaps: tuple[MatrixRow, ...]
    risk: str


@dataclass(frozen=True)
class PlannedChanges:
    """What is created, updated, replaced and deleted; what stays is counted."""

    changes: tuple[Change, ...]
    unchanged: int


@dataclass(frozen=True)
class PlannedFiles:
    """What differs from the deployed build and nothing else in the plan tells. `note` says why it cannot be told."""

    changes: tuple[FileChange, ...]
    note: str


@dataclass(frozen=True)
class PlannedVerdict:
    """The verdict: `exit` is the exit code of the highest-ranked cause, `blocks` whether it stops an `up`."""

    exit: int
    blocks: bool
    line: str
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class PlanDocument:
    """`plan`: what `up` would do and the verdict on it. `pending` tells whether it would do anything."""

    schema: Literal["bedplate.dev/plan/v1"]
    agent: str
    stage: str
    target: str
    sandbox: str
    build: str
    behaviour: str
    deployed_build: str
    release: int
    first: bool
    pending: bool
    origin: Origin | None
    access: PlannedAccess
    enforcement: PlannedEnforcement | None
    infrastructure: PlannedChanges
    files: PlannedFiles
    evals: tuple[SuiteState, ...]
    cost: Cost
    verdict: PlannedVerdict
    orphans: tuple[str, ...]


@dataclass(frozen=True)
class PromotedRelease:
    """What was done, the stack's outputs (`url` is the address), and what works only in part.

    `number` is the release's, 0 where nothing changed; `override` the reason for going on against the verdict.
    """

    schema: Literal["bedplate.dev/release/v1"]
    number: int
    override: str
    plan: PlanDocument
    outputs: Mapping[str, Any]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class ReleaseDocument(PromotedRelease):
    """`up`: the release that was made, or that stands."""

    ok: Literal[True]


@dataclass(frozen=True)
class PromotionDocument:
    """`promote`: the plan with its verdict, the gates' results, and the release; null where none was made."""

    schema: Literal["bedplate.dev/promotion/v1"]
    ok: bool
    plan: PlanDocument
    suites: tuple[EvalResults, ...]
    release: PromotedRelease | None


@dataclass(frozen=True)
class DestroyDocument:
    """`destroy`: the resources that were deleted, and what was lost with them, counted."""

    schema: Literal["bedplate.dev/destroy/v1"]
    ok: Literal[True]
    deleted: tuple[str, ...]
    lost: Mapping[str, int]


@dataclass(frozen=True)
class DriftEntry:
    """One resource that is not what the state says. `found` is `gone` or `changed`."""

    name: str
    kind: str
    found: str
    properties: tuple[str, ...]


@dataclass(frozen=True)
class EngineDocument:
    """`engine`: which engine deploys the stage, and how many resources `--use` moved to it."""

    schema: Literal["bedplate.dev/engine/v1"]
    stage: str
    engine: Literal["embedded", "pulumi"]
    deployed: bool
    moved: int


@dataclass(frozen=True)
class EjectDocument:
    """`eject`: the files of the Pulumi project."""

    schema: Literal["bedplate.dev/eject/v1"]
    stage: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class RefreshDocument:
    """`refresh`: what was changed or lost outside of Bedplate."""

    schema: Literal["bedplate.dev/refresh/v1"]
    stage: str
    dry_run: bool
    drift: tuple[DriftEntry, ...]
