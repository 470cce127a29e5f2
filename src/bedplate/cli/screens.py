"""Screens: values in, text out. Nothing here prints or computes anything but layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bedplate.cli.output import strong, table

if TYPE_CHECKING:
    from bedplate.access import Grant, Never
    from bedplate.blueprint.model import Blueprint
    from bedplate.release import Change, Detail, Plan, Release

_DETAILS = 8
_VALUE = 24


def plan_screen(plan: Plan) -> str:
    """The plan on one calm screen: what changes is listed, what does not is counted."""
    head = f"{strong(f'{plan.agent} → {plan.stage}')}   {plan.target}, sandbox {plan.sandbox}"
    if plan.empty:
        return "\n".join([f"{head}\n\n  No changes. {_unchanged(plan.unchanged)}", *_orphans(plan)])
    parts = [head, "", table(list(_summary(plan)))]
    access = [*_grants("+", plan.access.added), *_grants("-", plan.access.removed)]
    access += [(s, f"never {n.pattern}", n.where) for s, ns in _nevers(plan) for n in ns]
    if access:
        parts += ["", "  access", table(access, indent=4)]
    parts += ["", "  changes", *_changes(plan.changes), *_orphans(plan)]
    return "\n".join(parts)


def _summary(plan: Plan) -> Iterable[tuple[str, str]]:
    gained, lost = len(plan.access.added), len(plan.access.removed)
    forbidden = len(plan.access.never_added) - len(plan.access.never_removed)
    moved = [f"+{gained} -{lost}"] if gained or lost else []
    moved += [f"{forbidden:+d} never"] if plan.access.never_added or plan.access.never_removed else []
    yield "access", counted(plan.access.total, "grant") + (f" ({', '.join(moved)})" if moved else ", unchanged")
    counts = [(s, sum(c.symbol == s for c in plan.changes)) for s in "+~±-"]
    yield "changes", " ".join(f"{s}{n}" for s, n in counts if n) + f"   {_unchanged(plan.unchanged)}"
    yield "build", plan.build[:19] + (f"   deployed {plan.deployed_build[:19]}" if plan.deployed_build else "")


def _unchanged(count: int) -> str:
    return f"{count} unchanged." if count else ""


def _grants(symbol: str, grants: Iterable[Grant]) -> list[tuple[str, ...]]:
    return [(symbol, f"{g.tool} may {g.verb} {g.pattern}", g.where) for g in grants]


def _orphans(plan: Plan) -> Iterable[str]:
    for stage in plan.orphans:
        yield f"\n  ! stage {stage} is still up and the manifest does not name it: bedplate destroy --stage {stage}"


def _nevers(plan: Plan) -> tuple[tuple[str, tuple[Never, ...]], ...]:
    return ("+", plan.access.never_added), ("-", plan.access.never_removed)


def _changes(changes: Sequence[Change]) -> Iterable[str]:
    heads = table(
        [(c.symbol, f"{c.kind} {c.name}", f"({c.note})" if c.note else "", c.where) for c in changes], indent=4
    )
    for change, head in zip(changes, heads.splitlines(), strict=True):
        yield head
        shown = change.details[:_DETAILS]
        if shown:
            yield table([(d.path, _arrow(d), d.where) for d in shown], indent=8)
        if len(change.details) > _DETAILS:
            yield f"        … and {len(change.details) - _DETAILS} more fields"
        if change.loss:
            yield f"        ! {change.loss}"


def _arrow(detail: Detail) -> str:
    return f"{_cut(detail.old)} → {_cut(detail.new)}" if detail.old else detail.new


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def release_screen(release: Release) -> str:
    """What `up` did, and where the agent answers."""
    plan = release.plan
    if plan.empty:
        return f"{plan.agent} → {plan.stage}: nothing to do. {_unchanged(plan.unchanged)}\n\n{_address(release)}"
    if plan.first:
        head = f"{strong(f'{plan.agent} is up')}   stage {plan.stage}, sandbox {plan.sandbox}"
        access = table([("may", f"{g.verb} {g.pattern}", f"tool {g.tool}", g.where) for g in _all(plan)])
        return f"{head}\n\n{access}\n\n{_address(release)}"
    return f"{plan_screen(plan)}\n\n{_address(release)}"


def _all(plan: Plan) -> tuple[Grant, ...]:
    return plan.access.added


def _address(release: Release) -> str:
    return table([("address", release.url), ("build", release.plan.build[:19])])


def next_commands(blueprint: Blueprint, stage: str | None) -> str:
    """The three commands to type next."""
    flag = f" --stage {stage}" if stage else ""
    second = f"bedplate eval{flag}" if blueprint.evals else f"bedplate chat{flag}"
    return "\n".join(("", "Next:", f'  bedplate ask "…"{flag}', f"  {second}", f"  bedplate traces show last{flag}"))


def loss_screen(stage: str, lost: Mapping[str, int]) -> str:
    """What destroying a stage takes away."""
    counted = ", ".join(f"{n:,} {what}" for what, n in lost.items())
    return f"Destroying {stage} stops its processes and deletes its folder" + (f": {counted}." if counted else ".")


def counted(number: int, thing: str) -> str:
    """`1 grant`, `3 grants`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
