"""The verdict: whether a plan may be applied, and if not why and what to do. Pure.

Goes in: findings, the stage's rule for approvals, the approvals that count, the state of the eval suites, changes.
Comes out: a `Verdict` whose highest-ranked cause is the exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bedplate.access.findings import Finding
from bedplate.problems import ExitCode, worst_exit
from bedplate.release.behaviour import SuiteState


@dataclass(frozen=True)
class Cause:
    """One thing that the verdict rests on: its exit code, one sentence, and what to type next ("" for nothing)."""

    exit: ExitCode
    text: str
    next: str = ""


@dataclass(frozen=True)
class Verdict:
    """All causes, those that stop an `up` first."""

    causes: tuple[Cause, ...] = ()

    @property
    def exit(self) -> ExitCode:
        """The exit code of the highest-ranked cause."""
        return worst_exit(cause.exit for cause in self.causes)

    @property
    def blocks(self) -> bool:
        """Whether nothing may be applied as it stands. Pending changes alone stop nothing."""
        return self.exit not in {ExitCode.OK, ExitCode.CHANGES_PENDING}

    @property
    def waits(self) -> bool:
        """Whether an approval is missing."""
        return any(cause.exit is ExitCode.NEEDS_APPROVAL for cause in self.causes)

    @property
    def line(self) -> str:
        """The verdict in one line, without a period."""
        stopping = [c.text for c in self.causes if c.exit not in {ExitCode.OK, ExitCode.CHANGES_PENDING}]
        if stopping:
            return "; ".join(stopping)
        return "ready" if self.exit is ExitCode.CHANGES_PENDING else "nothing to do"

    @property
    def next_steps(self) -> tuple[str, ...]:
        """The commands to type next, each once. Applying is one only where an approval is all that is missing."""
        stuck = self.exit not in {ExitCode.OK, ExitCode.CHANGES_PENDING, ExitCode.NEEDS_APPROVAL}
        causes = [c for c in self.causes if c.next and not (stuck and c.exit is ExitCode.CHANGES_PENDING)]
        return tuple(dict.fromkeys(cause.next for cause in causes))

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        causes = [{"exit": int(c.exit), "text": c.text, "next": c.next} for c in self.causes]
        return {"exit": int(self.exit), "blocks": self.blocks, "line": self.line, "causes": causes}


def judge(
    *,
    stage: str,
    pending: bool,
    findings: Sequence[Finding],
    minimum: int,
    approved: Callable[[Finding], bool],
    suites: Iterable[SuiteState],
    gated: bool,
    replan: str = "",
) -> Verdict:
    """The verdict on one plan.

    `minimum` is how many approvals each wider finding needs (0: none), `approved` whether it has them; `gated` whether
    failing gates stop this stage. `replan` names the command that plans again, to be typed when all is approved.
    """
    causes = [*_approvals(stage, findings, minimum, approved), *(_gates(suites) if gated else ())]
    if pending:
        causes.append(Cause(ExitCode.CHANGES_PENDING, "changes are pending", replan))
    return Verdict(tuple(causes))


def needing_approval(findings: Sequence[Finding]) -> tuple[tuple[str, Finding], ...]:
    """The findings that widen, with their ids on the screen: `A1`, `A2`… What is unproved counts as wider."""
    named = ((f"A{n}", finding) for n, finding in enumerate(findings, 1))
    return tuple((name, finding) for name, finding in named if finding.effect != "narrower")


def _approvals(
    stage: str, findings: Sequence[Finding], minimum: int, approved: Callable[[Finding], bool]
) -> Iterable[Cause]:
    waiting = [name for name, finding in needing_approval(findings) if minimum and not approved(finding)]
    for name in waiting:
        command = f'bedplate approve {name} --stage {stage} --reason "…" --expires 30d'
        yield Cause(ExitCode.NEEDS_APPROVAL, f"{name} needs approval for {stage}", command)


def _gates(suites: Iterable[SuiteState]) -> Iterable[Cause]:
    for suite in suites:
        if suite.promote and suite.outcome == "FAIL":
            missed = ", ".join(f"{g.metric} {_number(g.value)}, {g.bound}" for g in suite.gates if g.outcome == "FAIL")
            yield Cause(ExitCode.GATE_FAILED, f"eval {suite.suite} fails ({missed})", f"bedplate eval {suite.suite}")
        elif suite.promote and suite.outcome == "INVALID":
            yield Cause(ExitCode.INVALID_EVIDENCE, f"the run of eval {suite.suite} says nothing", "bedplate status")


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
