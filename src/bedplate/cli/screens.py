"""Screens: values in, text out. Nothing here prints or computes anything but layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bedplate.cli.output import strong, table
from bedplate.cli.planscreen import access_words, finding_words, plan_screen, unchanged

if TYPE_CHECKING:
    from bedplate.release.deploy import Release
    from bedplate.release.plan import Plan


def release_screen(release: Release) -> str:
    """What `up` did, and where the agent answers."""
    plan = release.plan
    if plan.empty:
        return f"{plan.agent} → {plan.stage}: nothing to do. {unchanged(plan.unchanged)}\n\n{_address(release)}"
    if plan.first:
        head = f"{strong(f'{plan.agent} is up')}   stage {plan.stage}, sandbox {plan.sandbox}"
        access = _access(plan)
        return f"{head}\n\n{access}\n\n{_address(release)}"
    return f"{plan_screen(plan)}\n\n{_address(release)}"


def _access(plan: Plan) -> str:
    """What the agent may do in a stage that is new; for a promoted one, what it may do beyond the stage before."""
    if plan.access.baseline and not plan.access.findings:
        return table([("access", access_words(plan))])
    rows = [(finding_words(finding), finding.where) for _, finding in plan.access.named]
    return table(rows) if rows else "  It may call no tool."


def _address(release: Release) -> str:
    return table([("address", release.url), ("build", release.plan.build[:19]), *_number(release)])


def _number(release: Release) -> list[tuple[str, str]]:
    return [("release", str(release.number))] if release.number else []


def next_commands(evals: bool, stage: str | None) -> str:
    """The three commands to type next."""
    flag = f" --stage {stage}" if stage else ""
    second = f"bedplate eval{flag}" if evals else f"bedplate chat{flag}"
    return "\n".join(("", "Next:", f'  bedplate ask "…"{flag}', f"  {second}", f"  bedplate traces show last{flag}"))


def loss_screen(stage: str, lost: Mapping[str, int]) -> str:
    """What destroying a stage takes away."""
    counted = ", ".join(f"{n:,} {what}" for what, n in lost.items())
    return f"Destroying {stage} stops its processes and deletes its folder" + (f": {counted}." if counted else ".")
