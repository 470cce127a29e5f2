"""A plan as Markdown, in the words and with the care of the review's comment. Pure.

Goes in: a `Plan`. Comes out: Markdown in which nothing of the repository is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bedplate.access.findings import Finding
from bedplate.release.plan import Plan
from bedplate.review.accessdiff import AccessDiff
from bedplate.review.comment import change_lines, file_line, gate_words, said
from bedplate.review.escape import cell, code, fence

_MOST = 100


def plan_markdown(plan: Plan) -> str:
    """The whole plan: verdict first, then what has something to say, and what to type next."""
    parts: list[Iterator[str]] = [
        _head(plan),
        _access(plan),
        _enforcement(plan),
        _infrastructure(plan),
        _files(plan),
        _differs(plan),
    ]
    parts += [_files(plan), _differs(plan), _evals(plan), _cost(plan), _next(plan)]
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def diff_markdown(diff: AccessDiff) -> str:
    """A comparison of access: a table for each pair of stages."""
    parts = [[f"### {code(diff.agent)}: {code(diff.old)} → {code(diff.new)}"]]
    for pair in diff.pairs:
        title = f"#### {' → '.join(code(name) for name in dict.fromkeys((pair.old, pair.new)) if name)}: {pair.verdict}"
        rows = ((f"A{n}", f.effect, f) for n, f in enumerate(pair.findings[:_MOST], 1))
        more = _more(len(pair.findings))
        parts.append([title, *([""] if pair.findings else []), *(_findings(rows) if pair.findings else ()), *more])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _head(plan: Plan) -> Iterator[str]:
    yield f"### {code(plan.agent)} → {code(plan.stage)}"
    yield ""
    yield f"**{'stop' if plan.verdict.blocks else 'go'}: {plan.verdict.line}**"
    yield ""
    came = f", from {code(plan.origin.stage)} release {plan.origin.release}" if plan.origin else ""
    was = f", deployed {code(plan.deployed_build[:19])}" if plan.deployed_build else ""
    move = f", release {plan.release} → {plan.release + 1}" if plan.release and not plan.empty else ""
    yield f"build {code(plan.build[:19])}{was}{came}{move}, target {plan.target}, sandbox {plan.sandbox}"


def _access(plan: Plan) -> Iterator[str]:
    access = plan.access
    yield "#### Access"
    yield ""
    against = f"against {code(access.baseline)}" if access.baseline else "nothing runs there yet, nobody has to approve"
    yield f"{access.grants} grants, {against}" if access.findings else f"{access.grants} grants, unchanged {against}"
    if not access.findings:
        return
    yield ""
    named = access.named[:_MOST]
    yield from _findings((n, f"{f.effect}, approved" if n in access.approved else f.effect, f) for n, f in named)
    yield from _more(len(access.findings))


def _enforcement(plan: Plan) -> Iterator[str]:
    if plan.enforcement:
        yield f"Enforcement: {code(plan.enforcement.words)}"


def _findings(named: Iterable[tuple[str, str, Finding]]) -> Iterator[str]:
    """A table of findings, each with its name and its effect in words."""
    yield "|  | Finding | For example | Line |"
    yield "|---|---|---|---|"
    for name, effect, finding in named:
        seen = cell(finding.witness) if finding.witness else "–"
        yield f"| {name} {effect} | {said(finding)} | {seen} | {cell(finding.where) if finding.where else '–'} |"


def _infrastructure(plan: Plan) -> Iterator[str]:
    yield "#### Infrastructure"
    yield ""
    counts = " ".join(f"{s}{n}" for s in "+~±-" if (n := sum(c.symbol == s for c in plan.changes)))
    yield f"{counts or 'no changes'}, {plan.unchanged} unchanged"
    if plan.changes:
        yield ""
        yield from fence([line for change in plan.changes[:_MOST] for line in change_lines(change)], "diff")
        yield from _more(len(plan.changes))


def _files(plan: Plan) -> Iterator[str]:
    if plan.files or plan.files_note:
        yield "#### Files"
        yield ""
        note = [f"! {plan.files_note}"] if plan.files_note else []
        yield from fence([*note, *map(file_line, plan.files[:_MOST])], "diff")
        yield from _more(len(plan.files))


def _differs(plan: Plan) -> Iterator[str]:
    if plan.origin:
        yield f"#### Differs from {code(plan.origin.stage)} only in"
        yield ""
        yield from fence([f"{d.path}: {d.old} → {d.new}" for d in plan.origin.differs] or ["nothing"])


def _evals(plan: Plan) -> Iterator[str]:
    if not plan.evals:
        return
    yield "#### Evals"
    yield ""
    yield "| Eval | Result | Gates | Newly failing | Newly passing |"
    yield "|---|---|---|---|---|"
    for suite in plan.evals:
        gates = ", ".join(gate_words(suite, n) for n in range(len(suite.gates))) or "–"
        moved = [
            (", ".join(cell(name, 60) for name in names[:10]) or "none") if suite.compared else "–"
            for names in (suite.newly_failing, suite.newly_passing)
        ]
        result = "not run" if suite.outcome == "notRun" else f"{suite.outcome} {suite.passed}/{suite.cases}"
        yield f"| {cell(suite.suite)} | {result} | {gates} | {' | '.join(moved)} |"


def _cost(plan: Plan) -> Iterator[str]:
    bound = f", {plan.cost.bound}" if plan.cost.bound else ""
    yield f"Cost: infrastructure {plan.cost.infrastructure}, tokens {plan.cost.tokens}{bound}"


def _next(plan: Plan) -> Iterator[str]:
    steps = plan.verdict.next_steps
    if steps:
        yield "#### Next"
        yield ""
        yield from fence(steps, "sh")


def _more(total: int) -> Iterator[str]:
    if total > _MOST:
        yield ""
        yield f"… and {total - _MOST:,} more"
