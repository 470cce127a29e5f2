"""`approve` and `approvals`: agree to a finding of the plan, and see which approvals count."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import say, show, show_json, table

if TYPE_CHECKING:
    from bedplate.access.findings import Finding
    from bedplate.release.approvals import Approval
    from bedplate.release.target import Target

Base = Annotated[
    str | None,
    typer.Option("--base", help="Take the findings of `review --base REV`, where nothing is deployed.", metavar="REV"),
]
_STANDINGS = {
    "counts": "counts",
    "expired": "expired",
    "early": "dated in the future",
    "unmatched": "matches nothing in the plan",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("approve")(approve)
    app.command("approvals")(approvals)


def approve(
    finding: Annotated[str, typer.Argument(help="`A1` of the current plan, or the first digits of its digest.")],
    reason: Annotated[str, typer.Option("--reason", help="Why this is right, in one line.", metavar="TEXT")],
    expires: Annotated[
        str, typer.Option("--expires", help="30d, or the last day: 2027-01-31. At most 365 days.", metavar="WHEN")
    ],
    as_name: Annotated[
        str | None, typer.Option("--as", help="Who approves; git's user.email unless given.", metavar="NAME")
    ] = None,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    base: Base = None,
    as_json: AsJson = False,
) -> int:
    """Approve a finding of the plan for a stage: writes a file below `approvals/` to be committed."""
    from bedplate.release.approve import approver_name, choose, new_approval, write_approval

    target, findings, required = _planned(file, stage, base)
    agent, name, now = target.blueprint.name, target.blueprint.stage, time.time()
    label, chosen = choose(finding, findings, agent, name)
    approver = approver_name(target.home, as_name)
    made = new_approval(chosen, agent=agent, stage=name, approver=approver, reason=reason, expires=expires, now=now)
    write_approval(target.home, made, now)
    waiting = _waiting(findings, _given(target, findings), target, required, now)
    if as_json:
        show_json({"schema": "bedplate.dev/approval/v1", "ok": True, **made.to_json(), "waiting": waiting})
        return 0
    show(f"Approved {label} for {name}: {made.says}")
    show(table([("by", made.approver), ("until", made.expires), ("file", made.file)]))
    say(f"\nCommit the file. {_left(waiting, name)}")
    return 0


def approvals(
    file: ManifestFile = DEFAULT_FILE, stage: Stage = None, base: Base = None, as_json: AsJson = False
) -> int:
    """List a stage's approvals: which count, which are expired, which match nothing in the current plan."""
    from bedplate.release.approvals import standing

    target, findings, required = _planned(file, stage, base)
    name, now = target.blueprint.stage, time.time()
    digests = {f.digest(target.blueprint.name, name) for f in findings}
    rows = [(approval, standing(approval, now, digests)) for approval in _given(target, findings)]
    waiting = _waiting(findings, [approval for approval, _ in rows], target, required, now)
    if as_json:
        listed = [{**approval.to_json(), "standing": state} for approval, state in rows]
        document = {"schema": "bedplate.dev/approvals/v1", "ok": True, "stage": name}
        show_json({**document, "approvals": listed, "waiting": waiting})
        return 0
    lines = [(_STANDINGS[state], a.says, a.approver, f"until {a.expires[:10]}", a.reason) for a, state in rows]
    show(table(lines) if lines else f"  There are no approvals for {name}.")
    say(f"\n{_left(waiting, name)}")
    return 0


def _planned(
    file: Path, stage: str | None, base: str | None
) -> tuple[Target, tuple[Finding, ...], Mapping[Finding, int]]:
    """The stage, the findings of its plan or of the review against `base`, and how many approvals each needs there.

    Findings are in the order of their ids. What needs none in this stage is not among those that need some.
    """
    from bedplate.release.check import open_checked
    from bedplate.release.promote import access_for

    target = open_checked(file, stage)
    if base:
        return target, *_reviewed(file, base, target.blueprint.stage)
    access = access_for(target)
    # Where nothing is deployed yet, not even in `from`, nothing is required yet: what the stage will ask for is told.
    required = access.required if access.baseline else target.blueprint.approvals
    return target, access.findings, dict.fromkeys(access.findings, required)


def _reviewed(file: Path, base: str, stage: str) -> tuple[tuple[Finding, ...], Mapping[Finding, int]]:
    from bedplate.review.compare import Request, review

    rows = review(Request(file, base, working_tree=True)).rows
    required = {row.finding: ruling.required for row in rows for ruling in row.rulings if ruling.stage == stage}
    return tuple(row.finding for row in rows), required


def _given(target: Target, findings: Sequence[Finding]) -> tuple[Approval, ...]:
    from bedplate.release.approvals import read_approvals
    from bedplate.release.approve import require_honest

    given = read_approvals(target.home, target.blueprint.stage)
    require_honest(given, findings, target.blueprint.name, target.blueprint.stage)
    return given


def _waiting(
    findings: Sequence[Finding],
    given: Sequence[Approval],
    target: Target,
    required: Mapping[Finding, int],
    now: float,
) -> list[str]:
    """The findings that still need an approval, as `A1`."""
    from bedplate.release.approvals import approved

    agent, stage = target.blueprint.name, target.blueprint.stage
    return [
        f"A{number}"
        for number, finding in enumerate(findings, 1)
        if finding.effect != "narrower"
        and not approved(finding.digest(agent, stage), given, required.get(finding, 0), now)
    ]


def _left(waiting: Sequence[str], stage: str) -> str:
    if not waiting:
        return f"Nothing in the plan of {stage} waits for an approval."
    return f"Still to be approved for {stage}: {', '.join(waiting)}."
