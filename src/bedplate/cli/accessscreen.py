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
    from bedplate.access.why import Why
    from bedplate.review.accessdiff import AccessDiff, Pair

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
