"""The plan on one calm screen: what changes is listed, what does not is counted. Values in, text out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bedplate.access.findings import STATEMENTS
from bedplate.cli.output import strong, width, wrapped_rows

if TYPE_CHECKING:
    from bedplate.access.findings import Finding
    from bedplate.release.behaviour import SuiteState
    from bedplate.release.plan import Change, Detail, Plan

_DETAILS = 8
_VALUE = 24
_FINDINGS = 20
_FILES = 20
_CASES = 5
_FIRST = "shown, since nothing runs there yet; nobody has to approve it"


def plan_screen(plan: Plan) -> str:
    """Head, four rows of summary, then only the sections that have something to say, and the verdict."""
    if plan.empty and not plan.verdict.blocks:
        return "\n".join([f"{_head(plan)}\n\n  No changes. {unchanged(plan.unchanged)}".rstrip(), *_orphans(plan)])
    parts = [_head(plan), "", *wrapped_rows(list(_summary(plan)))]
    for title, lines in _sections(plan):
        if lines:
            parts += ["", f"  {title}", *lines]
    return "\n".join([*parts, *_orphans(plan), "", *_verdict(plan)])


def _head(plan: Plan) -> str:
    move = f"   release {plan.release} → {plan.release + 1}" if plan.release and not plan.empty else ""
    came = f"   from {plan.origin.stage} release {plan.origin.release}" if plan.origin else ""
    return f"{strong(f'{plan.agent} → {plan.stage}')}   {plan.target}, sandbox {plan.sandbox}{move}{came}"


def _summary(plan: Plan) -> Iterable[tuple[str, ...]]:
    yield "access", access_words(plan)
    if plan.enforcement:
        yield "enforcement", f"{'' if plan.enforcement.held else '! '}{plan.enforcement.words}"
    counts = " ".join(f"{s}{n}" for s in "+~±-" if (n := sum(c.symbol == s for c in plan.changes)))
    risk = f"   ! data at risk: {'; '.join(plan.losses)}" if plan.losses else ""
    yield "infrastructure", f"{counts or 'no changes'}   {unchanged(plan.unchanged)}{risk}".rstrip()
    if plan.evals:
        yield "evals", " · ".join(map(_suite_words, plan.evals))
    bound = f", {plan.cost.bound}" if plan.cost.bound else ""
    yield "cost", f"infrastructure {plan.cost.infrastructure} · tokens {plan.cost.tokens}{bound}"
    yield "build", plan.build[:19] + (f"   deployed {plan.deployed_build[:19]}" if plan.deployed_build else "")


def access_words(plan: Plan) -> str:
    """How many findings there are and what they are against, or the number of grants where nothing runs yet."""
    access = plan.access
    if not access.baseline:
        return f"{counted(access.grants, 'grant')}, {_FIRST}"
    found = [(access.count(effect), effect) for effect in ("wider", "unproved", "narrower")]
    words = "   ".join(f"{'! ' if effect != 'narrower' else ''}{n} {effect}" for n, effect in found if n)
    return f"{words or 'unchanged'}   against {access.baseline}"


def _suite_words(suite: SuiteState) -> str:
    if suite.outcome == "notRun":
        return f"{suite.suite} not run for this behaviour"
    moved = [f"{len(names)} {word}" for names, word in _moved(suite) if names]
    return f"{suite.suite} {suite.outcome} {suite.passed}/{suite.cases}" + (f" ({', '.join(moved)})" if moved else "")


def _moved(suite: SuiteState) -> tuple[tuple[tuple[str, ...], str], ...]:
    return (suite.newly_failing, "newly failing"), (suite.newly_passing, "newly passing")


def _sections(plan: Plan) -> Iterable[tuple[str, list[str]]]:
    yield "access", list(_access(plan))
    yield "infrastructure", list(_changes(plan.changes))
    yield "files", list(_files(plan))
    yield "evals", [line for suite in plan.evals for line in _suite(suite)]
    if plan.origin:
        yield f"differs from {plan.origin.stage} only in", _differs(plan.origin.differs)


def _access(plan: Plan) -> Iterable[str]:
    """Each finding on a line, with a concrete request below it."""
    shown = plan.access.named[:_FINDINGS]
    first = not plan.access.baseline  # nothing to be approved: neither ids nor reasons mean anything
    rows = [((finding_words(f), f.where) if first else _row(plan, name, f)) for name, f in shown]
    for (_, finding), head in zip(shown, wrapped_rows(rows, indent=4), strict=True):
        yield head
        example = f"e.g. {finding.witness}" if finding.witness else ""
        yield from _indented([example, "" if first else finding.reason, finding.behind])
    if len(plan.access.findings) > _FINDINGS:
        yield f"    … and {len(plan.access.findings) - _FINDINGS} more; all: bedplate plan --json"


def _row(plan: Plan, name: str, finding: Finding) -> tuple[str, ...]:
    effect = f"{finding.effect}, approved" if name in plan.access.approved else finding.effect
    return name, effect, finding_words(finding), finding.where


def finding_words(finding: Finding) -> str:
    """`refunds may call process_refund`; of what is narrower `docs may no longer read guide/*`."""
    less = " no longer" if finding.effect == "narrower" else ""
    may = less if finding.verb in STATEMENTS else f" may{less}"
    return f"{finding.subject}{may} {finding.verb} {finding.object}"


def _indented(parts: Sequence[str]) -> Iterable[str]:
    text = " · ".join(filter(None, parts))
    if text:
        yield textwrap.fill(text, width(), initial_indent=" " * 8, subsequent_indent=" " * 8)


def _changes(changes: Sequence[Change]) -> Iterable[str]:
    heads = wrapped_rows(
        [(c.symbol, f"{c.kind} {c.name}", f"({c.note})" if c.note else "", c.where) for c in changes], indent=4
    )
    for change, head in zip(changes, heads, strict=True):
        yield head
        shown = change.details[:_DETAILS]
        if shown:
            yield from wrapped_rows([(d.path, _arrow(d), d.where) for d in shown], indent=8)
        if len(change.details) > _DETAILS:
            yield f"        … and {len(change.details) - _DETAILS} more fields"
        if change.loss:
            yield f"        ! {change.loss}"


def _files(plan: Plan) -> Iterable[str]:
    shown = plan.files[:_FILES]
    yield from wrapped_rows([(f.symbol, f.path, f.what, f.lines, f.where) for f in shown], indent=4)
    if len(plan.files) > _FILES:
        yield f"    … and {len(plan.files) - _FILES} more; all: bedplate plan --json"
    if plan.files_note:
        yield textwrap.fill(f"! {plan.files_note}", width(), initial_indent=" " * 4, subsequent_indent=" " * 6)


def _suite(suite: SuiteState) -> Iterable[str]:
    """Only what is wrong or moved; gates that hold are counted in the summary."""
    missed = [g for g in suite.gates if g.outcome not in {"PASS", "notRun"}]
    rows = [(f"{suite.suite} {g.metric}", number(g.value), g.bound, g.outcome, g.where) for g in missed]
    yield from wrapped_rows(rows, indent=4)
    for names, word in _moved(suite):
        if names:
            more = f" … and {len(names) - _CASES} more" if len(names) > _CASES else ""
            text = f"{suite.suite}, {word}: {', '.join(names[:_CASES])}{more}"
            yield textwrap.fill(text, width(), initial_indent=" " * 4, subsequent_indent=" " * 8)


def _differs(differs: Sequence[Detail]) -> list[str]:
    if not differs:
        return ["    nothing"]
    return wrapped_rows([(d.path, _arrow(d), d.where) for d in differs], indent=4)


def _arrow(detail: Detail) -> str:
    return f"{_cut(detail.old)} → {_cut(detail.new)}" if detail.old else detail.new


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def _orphans(plan: Plan) -> Iterable[str]:
    for stage in plan.orphans:
        yield f"\n  ! stage {stage} is still up and the manifest does not name it: bedplate destroy --stage {stage}"


def _verdict(plan: Plan) -> Iterable[str]:
    word = "stop" if plan.verdict.blocks else "go"
    yield textwrap.fill(f"{word}: {plan.verdict.line}.", width(), initial_indent="  ", subsequent_indent="    ")


def number(value: float | None) -> str:
    """A measured value with three digits; a dash where nothing was measured."""
    return "–" if value is None else f"{value:.3g}"


def unchanged(count: int) -> str:
    """`3 unchanged.`, or nothing."""
    return f"{count} unchanged." if count else ""


def counted(number: int, thing: str) -> str:
    """`1 grant`, `3 grants`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
