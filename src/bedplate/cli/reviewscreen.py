"""The review on one calm screen: what changes is listed, what does not is counted. Values in, text out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from bedplate.access.findings import STATEMENTS
from bedplate.cli.output import printable, problem_text, strong, table, width
from bedplate.release.plan import Change
from bedplate.review.model import Review, Row, StageReview, counted, groups

_ROWS = 20
_DETAILS = 8
_VALUE = 24


def review_screen(review: Review) -> str:
    """The whole screen."""
    return "\n".join(_lines(review))


def _lines(review: Review) -> Iterator[str]:
    yield f"{strong(printable(review.agent or review.file))}   {review.base.label} → {review.head.label}"
    verdict = textwrap.fill(f"{review.headline}: {review.line}", width() - 2, subsequent_indent="  ")
    yield f"\n{textwrap.indent(verdict, '  ')}"
    yield from (f"\n{problem_text(problem)}" for problem in review.problems)
    if review.rows:
        yield "\n  access"
        yield from _access(review.rows[:_ROWS])
        yield from _more(review.rows)
    for names, stage in groups(review.changed):
        yield from _stage(", ".join(names), stage)
    if same := [stage.name for stage in review.stages if stage.kind == "same"]:
        yield f"\n  {', '.join(same)}: no change"
    yield from (f"\n  note: {printable(note)}" for note in review.notes)


def _access(rows: Sequence[Row]) -> Iterator[str]:
    """Each finding on a line, and below it where it stands and what it needs."""
    heads = table([_head(row) for row in rows], indent=4).splitlines()
    for row, head in zip(rows, heads, strict=True):
        yield head
        example = f"for example {row.finding.witness}" if row.finding.witness else ""
        stages = ", ".join(f"{r.stage}{_STATES[r.state]}" for r in sorted(row.rulings, key=lambda r: r.state == "free"))
        yield table([(" · ".join(filter(None, (stages, example))),)], indent=8)


def _head(row: Row) -> tuple[str, ...]:
    finding = row.finding
    may = "" if finding.verb in STATEMENTS else "may "
    effect = finding.effect.upper() if row.widens else finding.effect
    return row.id, effect, f"{finding.subject} {may}{finding.verb} {finding.object}", finding.where


_STATES = {"needed": " needs approval", "approved": " approved", "free": ""}


def _more(rows: tuple[Row, ...]) -> Iterable[str]:
    left = len(rows) - _ROWS
    return [f"    … and {counted(left, 'more finding')}; --json lists them all"] if left > 0 else []


def _stage(names: str, stage: StageReview) -> Iterator[str]:
    symbols = [change.symbol for change in stage.changes]
    counts = " ".join(f"{s}{symbols.count(s)}" for s in "+~±-" if s in symbols)
    rest = f"{stage.unchanged} unchanged" if stage.unchanged else ""
    facts = (stage.baseline or stage.kind, counts, rest, f"behaviour {stage.behaviour}")
    yield f"\n  {names}: {', '.join(filter(None, facts))}"
    for change in stage.changes:
        yield table([(change.symbol, f"{change.kind} {change.name}", _note(change), change.where)], indent=4)
        yield from _details(change)
    if stage.files:
        shown = stage.files[:_ROWS]
        yield table([(f.symbol, f.path, f.what, f.lines, f.where) for f in shown], indent=4)
        if left := len(stage.files) - len(shown):
            yield f"    … and {counted(left, 'more file')}; --json lists them all"
    yield from (f"    ! gates ask for less: {line}" for line in stage.loosened)
    evals = [(s.suite, _outcome(s.outcome), f"{s.passed}/{s.cases}" if s.cases else "") for s in stage.suites]
    if evals:
        yield table([("eval", *each) for each in evals], indent=4)
    for suite in stage.suites:
        if suite.newly_failing:
            yield f"    newly failing in {suite.suite}: {', '.join(suite.newly_failing[:_DETAILS])}"
    if stage.cost:
        yield table([("cost", stage.cost)], indent=4)


def _details(change: Change) -> Iterator[str]:
    if change.details:
        shown = [(d.path, f"{_cut(d.old)} → {_cut(d.new)}" if d.old else d.new, d.where) for d in change.details]
        yield table(shown[:_DETAILS], indent=8)
    if len(change.details) > _DETAILS:
        yield f"        … and {len(change.details) - _DETAILS} more fields"
    if change.loss:
        yield f"        ! data at risk: {change.loss}"


def _note(change: Change) -> str:
    return f"({change.note})" if change.note else ""


def _outcome(outcome: str) -> str:
    return "not run" if outcome == "notRun" else outcome


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"
