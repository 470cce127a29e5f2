"""The plan as a type: what an `up` or a promotion would do to a stage, in the manifest's words, and the verdict on it.

Goes in: nothing; `planning` makes plans. Comes out: values and their JSON (schema `bedplate.dev/plan/v1`). Pure.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bedplate.access.findings import Finding
from bedplate.release.approvals import Approval
from bedplate.release.behaviour import SuiteState
from bedplate.release.builds.compare import FileChange
from bedplate.release.cost import Cost
from bedplate.release.enforcing import Matrix
from bedplate.release.verdict import Verdict

SCHEMA = "bedplate.dev/plan/v1"
SYMBOLS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}
KINDS = {
    "bedplate:local:Store": "memory",
    "bedplate:local:SearchIndex": "index",
    "bedplate:local:Secret": "secret",
    "bedplate:local:Token": "key",
    "bedplate:local:Process": "process",
}


@dataclass(frozen=True)
class Detail:
    """One changed field: its path in the manifest's words, old and new value as text, and its line there."""

    path: str
    old: str
    new: str
    where: str = ""


@dataclass(frozen=True)
class Change:
    """What happens to one thing. `action` is create, update, replace or delete; `loss` says what data goes with it."""

    action: str
    kind: str
    name: str
    where: str = ""
    details: tuple[Detail, ...] = ()
    note: str = ""
    loss: str = ""

    @property
    def symbol(self) -> str:
        """`+ ~ ± -`."""
        return SYMBOLS[self.action]


@dataclass(frozen=True)
class Access:
    """What the agent may do that it may not do now, and the other way round.

    `findings` are in the order of their ids (`A1`, `A2`…). `baseline` says in words what was compared with; it is ""
    where there is nothing yet, and then every grant is a finding. `required` is how many approvals each wider finding
    needs, `approved` the ids that have them, `approvals` those that count.
    """

    findings: tuple[Finding, ...]
    grants: int
    baseline: str
    required: int = 0
    approved: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()

    def count(self, effect: str) -> int:
        """How many findings have this effect."""
        return sum(finding.effect == effect for finding in self.findings)

    @property
    def named(self) -> tuple[tuple[str, Finding], ...]:
        """The findings with their ids."""
        return tuple((f"A{n}", finding) for n, finding in enumerate(self.findings, 1))


@dataclass(frozen=True)
class Origin:
    """Where a promoted build comes from: the stage, its release, and what differs between the two stages."""

    stage: str
    release: int
    differs: tuple[Detail, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What would be done to a stage. `first` tells that nothing is deployed there yet.

    `state` is the digest of what is deployed, so that a receipt can tell whether it moved. `orphans` are stages that
    are deployed in this folder and that the manifest does not name any more.
    """

    agent: str
    stage: str
    target: str
    sandbox: str
    build: str
    behaviour: str
    deployed_build: str
    first: bool
    changes: tuple[Change, ...]
    unchanged: int
    access: Access
    evals: tuple[SuiteState, ...]
    cost: Cost
    verdict: Verdict
    state: str = ""
    release: int = 0
    """The last release of the stage; 0 for none."""
    origin: Origin | None = None
    orphans: tuple[str, ...] = ()
    files: tuple[FileChange, ...] = ()
    """What differs from the deployed build and nothing above tells: code, datasets, packages, other fields."""
    files_note: str = ""
    """Why `files` cannot be told; "" where they are."""
    enforcement: Matrix | None = None
    """What holds the scopes where the stage runs."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    @property
    def losses(self) -> tuple[str, ...]:
        """What data would go, in words."""
        return tuple(f"{c.kind} {c.name}: {c.loss}" for c in self.changes if c.loss)

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values (schema `bedplate.dev/plan/v1`)."""
        findings = [self._finding(name, finding) for name, finding in self.access.named]
        return {
            "schema": SCHEMA,
            "agent": self.agent,
            "stage": self.stage,
            "target": self.target,
            "sandbox": self.sandbox,
            "build": self.build,
            "behaviour": self.behaviour,
            "deployedBuild": self.deployed_build,
            "release": self.release,
            "first": self.first,
            "pending": not self.empty,
            "origin": asdict(self.origin) if self.origin else None,
            "access": {
                "baseline": self.access.baseline,
                "grants": self.access.grants,
                "required": self.access.required,
                "approvals": [approval.to_json() for approval in self.access.approvals],
                "findings": findings,
            },
            "enforcement": self.enforcement.summary if self.enforcement else None,
            "infrastructure": {"changes": [asdict(c) for c in self.changes], "unchanged": self.unchanged},
            "files": {"changes": [asdict(file) for file in self.files], "note": self.files_note},
            "evals": [asdict(suite) for suite in self.evals],
            "cost": asdict(self.cost),
            "verdict": self.verdict.to_json(),
            "orphans": list(self.orphans),
        }

    def _finding(self, name: str, finding: Finding) -> dict[str, Any]:
        digest = finding.digest(self.agent, self.stage)
        return {"id": name, **asdict(finding), "digest": digest, "approved": name in self.access.approved}
