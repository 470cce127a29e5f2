"""Screens of `access`. Values in, text out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bedplate.access.conditions import clauses
from bedplate.cli.output import printable, strong, width, wrapped_rows
from bedplate.cli.planscreen import finding_words

if TYPE_CHECKING:
    from bedplate.access import Request
    from bedplate.access.findings import Finding
    from bedplate.access.matrix import Row
    from bedplate.access.why import Why
    from bedplate.release.enforcing import Matrix
    from bedplate.review.accessdiff import AccessDiff, Pair
    from bedplate.review.accessproof import Proof

_VERDICTS = {
    "same": "same: every request is decided alike",
    "narrower": "narrower: nothing new is allowed",
    "wider": "WIDER: something is allowed that was not",
    "unproved": "UNPROVED, which counts as wider",
}


def diff_screen(diff: AccessDiff) -> str:
    """Each pair of stages with its verdict, and below it the findings with a request each."""
    return "\n".join(_diff_lines(diff))


def _diff_lines(diff: AccessDiff) -> Iterator[str]:
    yield f"{strong(printable(diff.agent))}   {printable(diff.old)} → {printable(diff.new)}"
    for pair in diff.pairs:
        yield f"\n  {_names(pair)}{_VERDICTS[pair.verdict]}"
        yield from _findings(pair.findings)


def _names(pair: Pair) -> str:
    if not pair.new:
        return f"{pair.old} is gone; "
    if not pair.old:
        return f"{pair.new} is new; "
    return f"{pair.new}: " if pair.old == pair.new else f"{pair.old} → {pair.new}: "


def _findings(findings: tuple[Finding, ...]) -> Iterator[str]:
    rows = [(f"A{n}", f.effect, finding_words(f), f.where) for n, f in enumerate(findings, 1)]
    for finding, head in zip(findings, wrapped_rows(rows, indent=4), strict=True):
        yield head
        parts = (f"e.g. {finding.witness}" if finding.witness else "", finding.reason, finding.behind)
        if text := " · ".join(filter(None, parts)):
            yield textwrap.fill(printable(text), width(), initial_indent=" " * 8, subsequent_indent=" " * 8)


def why_screen(request: Request, why: Why, note: str = "") -> str:
    """The decision in one line, where it comes from, and the grants that were asked."""
    return "\n".join(_why_lines(request, why, note))


def _why_lines(request: Request, why: Why, note: str) -> Iterator[str]:
    decision = why.decision
    by = f"   by scope {decision.grant}" if decision.grant else ""
    yield f"{strong(decision.effect.word)}   {_request(request)}{by}{f'   {decision.where}' if decision.where else ''}"
    for text in filter(None, (decision.reason, note)):
        yield textwrap.fill(printable(text), width(), initial_indent="  ", subsequent_indent="  ")
    if why.grants:
        yield f"\n  scopes of {request.tool} for {request.verb}"
        rows = [(s.effect, s.grant.id, s.grant.pattern, clauses(s.grant), s.grant.where) for s in why.grants]
        yield from wrapped_rows(rows, indent=4)


def _request(request: Request) -> str:
    arguments = f" {json.dumps(dict(request.args), ensure_ascii=False)}" if request.args else ""
    if request.verb == "call" or not request.object:
        return f"{request.tool}.{request.operation}{arguments}"
    return f"{request.tool} {request.verb} {request.object}{arguments}"


def matrix_screen(found: Matrix) -> str:
    """A row for each clause, and below those that are not held why."""
    return "\n".join(_matrix_lines(found))


def _matrix_lines(found: Matrix) -> Iterator[str]:
    yield f"{strong(f'{found.agent} → {found.stage}')}   {found.target}   {found.words}"
    for row, line in zip(found.rows, wrapped_rows([_cells(row) for row in found.rows], indent=2), strict=True):
        yield line
        if row.note:
            yield textwrap.fill(printable(row.note), width(), initial_indent=" " * 6, subsequent_indent=" " * 6)


def _cells(row: Row) -> tuple[str, ...]:
    clause = row.clause
    held = " ".join(f"{hold.layer} {'–' if hold.strength == 'none' else hold.strength}" for hold in row.holds)
    return row.verdict, f"{clause.tool or 'never'}/{clause.name}", clause.text, held or "–", clause.where


def matrix_markdown(found: Matrix) -> str:
    """The matrix as a table."""
    from bedplate.review.escape import cell, code

    head = [f"### {code(found.agent)} → {code(found.stage)}: {found.words}", ""]
    head += ["| Verdict | Clause | Says | Layers | Line | Why |", "|---|---|---|---|---|---|"]
    rows = [(*_cells(row), row.note or "–") for row in found.rows]
    return "\n".join([*head, *(f"| {' | '.join(cell(text) for text in row)} |" for row in rows)]) + "\n"


def proof_screen(proof: Proof) -> str:
    """`proved`, or the request that shows the contrary, or why it is not known."""
    return "\n".join(_proof_lines(proof))


def _proof_lines(proof: Proof) -> Iterator[str]:
    inner, outer = printable(proof.inner), printable(proof.outer)
    match proof.verdict:
        case "same":
            yield f"{strong('proved')}: {inner} may do what {outer} may, no more and no less"
        case "narrower":
            yield f"{strong('proved')}: {inner} may do nothing that {outer} may not, and less"
        case "wider":
            yield f"{strong('WIDER')}: {inner} may do what {outer} may not"
        case _:
            yield f"{strong('UNPROVED')}: whether {inner} may do more than {outer} is not known"
    if proof.request:
        yield f"  e.g. {printable(_request(proof.request))}   {proof.where}"
        yield f"  {outer}: {proof.effects[0]}   {inner}: {proof.effects[1]}"
    if proof.reason:
        yield textwrap.fill(printable(proof.reason), width(), initial_indent="  ", subsequent_indent="  ")
    yield f"  judged by {', '.join(proof.judges)}"
