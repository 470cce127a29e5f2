"""What a stage's change means for who may do what: the findings, and how many approvals each wider one needs. Pure.

Goes in: the blueprint that a stage is compared with, and the new one. Comes out: `Reaching`, for plan and review alike.
A change cannot abolish its own approval: what was asked for before is asked for still, and asking for less is a
finding.
"""

from __future__ import annotations

from dataclasses import dataclass

from bedplate.access.findings import Finding, compare, ordered
from bedplate.access.gains import Known
from bedplate.access.judges import judge
from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.reach import reach, written_at


@dataclass(frozen=True)
class Reaching:
    """`findings` in the order of their ids (`A1`, `A2`…); `required` is how many approvals each wider one needs."""

    findings: tuple[Finding, ...]
    required: int


def reaching(old: Blueprint | None, new: Blueprint, known: Known) -> Reaching:
    """Compare. `old` is None where there is nothing yet, and of another stage where a build comes to a new one.

    `known` is what really exists, as `access.findings.compare` takes it.
    """
    findings = compare(reach(old) if old else None, reach(new), known, oracle=judge())
    if old is None or old.stage != new.stage or old.approvals <= new.approvals:
        return Reaching(findings, new.approvals)
    return Reaching(ordered((*findings, _fewer(old, new))), old.approvals)


def _fewer(old: Blueprint, new: Blueprint) -> Finding:
    """That a stage asks for fewer approvals than before."""
    stage = f"stages.{new.stage}"
    asked = f"{new.approvals} approval{'' if new.approvals == 1 else 's'}"
    where = written_at(new, f"{stage}.approvals", stage)
    return Finding("wider", "approvals", "asks for", asked, reason=f"was {old.approvals}", where=where)
