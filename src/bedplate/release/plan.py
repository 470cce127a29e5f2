"""The plan as a type: what an engine would do, said in the manifest's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.access import Grant, Never, ScopeSet
from bedplate.blueprint.model import Blueprint
from bedplate.engine.api import Outcome

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
class AccessDelta:
    """Grants that the stage would gain and lose, and how many it would have; the same for patterns of `never`."""

    added: tuple[Grant, ...]
    removed: tuple[Grant, ...]
    total: int
    never_added: tuple[Never, ...] = ()
    never_removed: tuple[Never, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What `up` would do to a stage. `first` tells that nothing is deployed there yet."""

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
    access: AccessDelta
    orphans: tuple[str, ...] = ()
    """Stages that are deployed in this folder and that the manifest does not name any more."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values (schema `bedplate.dev/plan/v1`)."""
        from dataclasses import asdict

        return {"schema": "bedplate.dev/plan/v1", **asdict(self), "pending": not self.empty}


def plan_of(
    blueprint: Blueprint, outcome: Outcome, *, file: str, sandbox: str, deployed: Mapping[str, Any] | None
) -> Plan:
    """What the engine found, in the manifest's words. `file` is the manifest's name, `deployed` the stack's outputs."""
    from bedplate.release.changes import changes_of, deployed_scopes

    steps = [s for s in outcome.steps if s.type in KINDS]
    return Plan(
        agent=blueprint.name,
        stage=blueprint.stage,
        target=blueprint.target,
        sandbox=sandbox,
        build=blueprint.digests.build,
        behaviour=blueprint.digests.behaviour,
        deployed_build=str((deployed or {}).get("buildDigest", "")),
        first=not deployed,
        changes=tuple(changes_of(steps, blueprint, file)),
        unchanged=sum(s.op == "same" for s in steps),
        access=access_delta(deployed_scopes(steps), blueprint.scopes),
    )


def access_delta(old: ScopeSet, new: ScopeSet) -> AccessDelta:
    """What `new` grants and forbids that `old` does not, and the other way round. Ids and lines mean nothing."""
    before, after = {_key(g): g for g in old.grants}, {_key(g): g for g in new.grants}
    was, becomes = {n.pattern: n for n in old.never}, {n.pattern: n for n in new.never}
    return AccessDelta(
        added=tuple(g for key, g in after.items() if key not in before),
        removed=tuple(g for key, g in before.items() if key not in after),
        total=len(after),
        never_added=tuple(n for pattern, n in becomes.items() if pattern not in was),
        never_removed=tuple(n for pattern, n in was.items() if pattern not in becomes),
    )


def _key(grant: Grant) -> tuple[str, str, str]:
    return grant.tool, grant.verb, grant.pattern
