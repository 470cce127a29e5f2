"""The comment: a review as Markdown for GitHub or GitLab.

Goes in: a `Review`. Comes out: Markdown that begins with a receipt for machines and the verdict, and that is shortened
in the middle where the platform's limit asks for it: verdict, receipt and commands are never cut. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from bedplate import __version__
from bedplate.access.findings import STATEMENTS, Finding
from bedplate.problems import Problem
from bedplate.release.behaviour import SuiteState
from bedplate.release.builds.compare import FileChange
from bedplate.release.plan import Change
from bedplate.review.commands import next_commands
from bedplate.review.escape import cell, code, fence, receipt
from bedplate.review.model import SCHEMA, Review, Row, StageReview, counted, groups

Platform = Literal["github", "gitlab"]
LIMITS: dict[Platform, int] = {"github": 65_536, "gitlab": 1_000_000}
"""Characters that a comment may have."""
_CAPS = (1000, 300, 100, 50, 20, 10, 5, 2, 1, 0)
_DIGESTS = 100
_DETAILS = 8
_COMMAND = 4096
"""Characters of a command, which is of no use when it is cut."""
_T = TypeVar("_T")
Linker = Callable[[str], str]
"""The address of `FILE:LINE` at the head commit; "" where none is known."""


def comment(review: Review, platform: Platform, link: Linker = lambda _: "") -> str:
    """The whole comment, within the platform's limit."""
    tries = (_within(_Writer(review, link, most).lines(), LIMITS[platform]) for most in _CAPS)
    return next((text for text in tries if text), "")


def _within(lines: Iterable[str], limit: int) -> str:
    """The lines as text, without blank lines in a row; "" as soon as they are longer than `limit`."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
            limit -= len(line) + 1
        if limit < 0:
            return ""
    return "\n".join(kept) + "\n"


def receipt_of(review: Review) -> dict[str, Any]:
    """What a machine reads of a comment: revisions, builds, findings by digest, the verdict. At most 100 digests."""
    digests = [r.digest for row in review.rows if row.widens for r in row.rulings]
    return {
        "schema": SCHEMA,
        "toolVersion": __version__,
        "file": review.file,
        "agent": review.agent,
        "base": {"commit": review.base.commit, "build": review.base.build},
        "head": {"commit": review.head.commit, "build": review.head.build},
        "findings": digests[:_DIGESTS],
        "moreFindings": max(0, len(digests) - _DIGESTS),
        "verdict": {"exit": int(review.exit), "headline": review.headline, "line": review.line},
    }


@dataclass(frozen=True)
class _Writer:
    """Writes the parts; lists show `most` items at most."""

    review: Review
    link: Linker
    most: int

    def lines(self) -> Iterator[str]:
        review = self.review
        yield receipt(receipt_of(review))
        yield f"### {review.headline}: {code(review.agent or review.file)}"
        yield ""
        yield f"**{review.line}**"
        yield ""
        yield self._revisions()
        sections = (self._access(), self._enforcement(), self._stages(), self._files(), self._behaviour())
        for part in (self._problems(), *sections, self._cost(), self._next()):
            shown = list(part)
            yield from ["", *shown] if shown else []
        yield from self._notes()

    def _revisions(self) -> str:
        review = self.review
        named = f" ({code(review.head.asked)})" if review.head.asked != review.head.commit else ""
        to = f"{code(review.head.label)}{named}" if review.head.commit else "the working tree"
        return f"{code(review.file)} from {code(review.base.label)} (where it left {code(review.base.asked)}) to {to}"

    def _problems(self) -> Iterator[str]:
        problems = self.review.problems
        yield from (self._problem(problem) for problem in problems[: self.most])
        yield from self._more(len(problems), "problem")

    def _problem(self, problem: Problem) -> str:
        place = self._place(f"{problem.where.file}:{problem.where.line}") if problem.where else ""
        parts = (f"- **{problem.code}** {place}".rstrip(), code(problem.summary))
        return "<br>".join((*parts, f"fix: {code(problem.fix)}") if problem.fix else parts)

    def _access(self) -> Iterator[str]:
        rows = self.review.rows
        if rows:
            yield "#### Access"
            yield ""
            if self.most:
                yield "|  | Finding | Stages |"
                yield "|---|---|---|"
                yield from (self._row(row) for row in rows[: self.most])
            yield from ["", *self._more(len(rows), "finding")] if len(rows) > self.most else []

    def _row(self, row: Row) -> str:
        word = row.finding.effect if not row.widens else f"**{row.finding.effect.upper()}**"
        # Few columns: on a phone the rest of a wide table is out of sight.
        example = f"for example {cell(row.finding.witness)}" if row.finding.witness else ""
        below = " · ".join(filter(None, (example, self._place(row.finding.where))))
        text = f"{said(row.finding)}<br>{below}" if below else said(row.finding)
        return f"| {row.id} {word} | {text} | {self._rulings(row)} |"

    def _rulings(self, row: Row) -> str:
        """What has a ruling first, so that it cannot be read as that of the stages before it."""
        ruled = sorted(row.rulings, key=lambda r: r.state == "free")
        shown = ruled[: max(self.most, 1)]
        words = [cell(r.stage) + _ruling(r.state, r.approvers) for r in shown]
        return ", ".join(words) + (f" and {len(ruled) - len(shown)} more" if len(ruled) > len(shown) else "")

    def _place(self, where: str) -> str:
        address = self.link(where) if where else ""
        return f"[{cell(where)}]({address})" if address else cell(where) if where else ""

    def _stages(self) -> Iterator[str]:
        changed = groups(self.review.changed)
        if any(stage.changes or stage.kind in ("added", "removed") for _, stage in changed):
            yield "#### Infrastructure"
        for names, stage in changed[: self.most]:
            yield from self._stage(names, stage)
        yield from ["", *self._more(len(changed), "kind of change")]
        if same := [s.name for s in self.review.stages if s.kind == "same"]:
            yield from ["", f"{self._names(same)}: no change"]

    def _stage(self, names: Sequence[str], stage: StageReview) -> Iterator[str]:
        summary = _counts(stage)
        if not summary:
            return
        yield from ["", f"{self._names(names)}: {summary}"]
        lines = [line for change in stage.changes[: self.most] for line in change_lines(change)]
        if lines:
            yield from ["", *fence([*lines, *self._more(len(stage.changes), "change")], "diff")]

    def _files(self) -> Iterator[str]:
        """What else is in the build now: code, datasets, packages, fields that no resource shows."""
        changed = _by(self.review.changed, lambda stage: stage.files)
        if changed:
            yield "#### Files"
        for names, files in changed[: self.most]:
            lines = [file_line(file) for file in files[: self.most]]
            yield from ["", f"{self._names(names)}:", ""]
            yield from fence([*lines, *self._more(len(files), "file")], "diff")
        yield from ["", *self._more(len(changed), "kind of change")]

    def _names(self, names: Sequence[str]) -> str:
        shown = names[: max(self.most, 1)]
        return ", ".join(f"**{cell(name)}**" for name in shown) + _and_more(len(names) - len(shown))

    def _enforcement(self) -> Iterator[str]:
        gaps = [(names, stage) for names, stage in groups(self.review.changed) if stage.enforcement]
        if gaps:
            yield "#### Enforcement"
            for names, stage in gaps[: self.most]:
                yield from ["", f"{self._names(names)}: {code(stage.enforcement)}"]

    def _behaviour(self) -> Iterator[str]:
        moved = [each for each in groups(self.review.changed) if each[1].behaviour != "gone"]
        if not moved:
            return
        yield "#### Behaviour"
        for names, stage in moved[: self.most]:
            evals = "" if stage.suites else ", no evals"
            yield from ["", f"{self._names(names)}: {stage.behaviour}{evals}"]
        yield from self._evals([(names, suite) for names, stage in moved for suite in stage.suites])
        less = list(dict.fromkeys(line for _, stage in moved for line in stage.loosened))
        if less:
            yield from ["", "**Gates ask for less:**", ""]
            yield from fence([*less[: self.most], *self._more(len(less), "line")])

    def _evals(self, suites: Sequence[tuple[Sequence[str], SuiteState]]) -> Iterator[str]:
        compared = any(suite.compared for _, suite in suites)
        heads = ["Eval", "Result", "Gates", "Stages", *(("Newly failing", "Newly passing") if compared else ())]
        if suites and self.most:
            yield from ["", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
            yield from (self._suite(names, suite, compared) for names, suite in suites[: self.most])
        yield from ["", *self._more(len(suites), "eval")]

    def _suite(self, names: Sequence[str], suite: SuiteState, compared: bool) -> str:
        gates = ", ".join(gate_words(suite, n) for n in range(min(len(suite.gates), self.most))) or "–"
        result = {"notRun": "not run", "FAIL": "**FAIL**", "INVALID": "**INVALID**", "PASS": "pass"}[suite.outcome]
        share = f" {suite.passed}/{suite.cases}" if suite.cases else ""
        cases = (suite.newly_failing, suite.newly_passing) if compared else ()
        moved = [self._cases(each) if suite.compared else "–" for each in cases]
        return f"| {' | '.join((cell(suite.suite), result + share, gates, self._names(names), *moved))} |"

    def _cases(self, names: Sequence[str]) -> str:
        shown = min(self.most, 10)
        return (", ".join(cell(name, 60) for name in names[:shown]) + _and_more(len(names) - shown)).strip() or "none"

    def _cost(self) -> Iterator[str]:
        for names, cost in _by(self.review.changed, lambda stage: stage.cost)[: self.most]:
            yield f"Cost of {self._names(names)}: {code(cost)}"

    def _next(self) -> Iterator[str]:
        yield "#### Next"
        yield ""
        yield from fence(next_commands(self.review), "sh", most=_COMMAND)

    def _notes(self) -> Iterator[str]:
        notes = self.review.notes
        if notes:
            yield from ["", f"<details><summary>{counted(len(notes), 'note')}</summary>", ""]
            yield from fence([*notes[: self.most], *self._more(len(notes), "note")])
            yield from ["", "</details>"]

    def _more(self, total: int, thing: str) -> list[str]:
        return [f"… and {counted(total - self.most, f'more {thing}')}"] if total > self.most else []


def _and_more(left: int) -> str:
    return f" and {left:,} more" if left > 0 else ""


def said(finding: Finding) -> str:
    """`refunds` may call `create_*` (…): fixed words around code."""
    may = "" if finding.verb in STATEMENTS else "may "
    verb = finding.verb if finding.verb.replace(" ", "").isalpha() else cell(finding.verb)
    text = f"{cell(finding.subject)} {may}{verb} {cell(finding.object)}"
    notes = ", ".join(cell(note) for note in (finding.behind, finding.reason) if note)
    return f"{text} ({notes})" if notes else text


def _ruling(state: str, approvers: Sequence[str]) -> str:
    by = ", ".join(cell(name, 60) for name in approvers[:3])
    match state:
        case "needed":
            return f" **needs approval**{f' beyond {by}' if by else ''}"
        case "approved":
            return f" approved by {by}"
        case _:
            return ""


def gate_words(suite: SuiteState, number: int) -> str:
    gate = suite.gates[number]
    if gate.outcome == "notRun":
        return f"{cell(gate.metric)} {cell(gate.bound)}"
    value = "not measured" if gate.value is None else f"{gate.value:.4g}"
    missed = "" if gate.outcome == "PASS" else f" **{gate.outcome}**"
    return f"{cell(gate.metric)} {value}, {cell(gate.bound)}{missed}"


def _counts(stage: StageReview) -> str:
    if stage.kind == "removed":
        return "removed from the manifest; what runs there stays until `bedplate destroy` takes it away"
    symbols = [change.symbol for change in stage.changes]
    shown = " ".join(f"{symbol}{symbols.count(symbol)}" for symbol in "+~±-" if symbol in symbols)
    rest = f"{stage.unchanged} unchanged" if shown and stage.unchanged else ""
    words = [part for part in (shown, rest) if part]
    return ", ".join([code(stage.baseline), *words] if stage.baseline else words)


def change_lines(change: Change) -> Iterator[str]:
    """One thing and its fields, as the plan's screen shows them."""
    note = f"  ({change.note})" if change.note else ""
    yield f"{change.symbol} {change.kind} {change.name}{note}{_at(change.where)}"
    for detail in change.details[:_DETAILS]:
        arrow = f"{detail.old} → {detail.new}" if detail.old else detail.new
        yield f"      {detail.path}: {arrow}{_at(detail.where)}"
    if len(change.details) > _DETAILS:
        yield f"      … and {len(change.details) - _DETAILS} more fields"
    if change.loss:
        yield f"!     DATA AT RISK: {change.loss}"


def file_line(file: FileChange) -> str:
    """A file of the build on a line: what it is, how many lines moved, and the line that names it."""
    return f"{file.symbol} {file.path}" + "".join(f"   {part}" for part in (file.what, file.lines, file.where) if part)


def _at(where: str) -> str:
    return f"   {where}" if where else ""


def _by(stages: Iterable[StageReview], value: Callable[[StageReview], _T]) -> list[tuple[list[str], _T]]:
    """Names of stages that have the same of something, without those that have nothing of it."""
    found: dict[_T, list[str]] = {}
    for stage in stages:
        if has := value(stage):
            found.setdefault(has, []).append(stage.name)
    return [(names, has) for has, names in found.items()]
