"""What a review finds, as frozen values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from bedplate.access.findings import Finding
from bedplate.problems import ExitCode, Problem, worst_exit
from bedplate.release.behaviour import SuiteOutcome, SuiteState
from bedplate.release.builds.compare import FileChange
from bedplate.release.plan import Change

SCHEMA = "bedplate.dev/review/v1"
Kind = Literal["same", "changed", "added", "removed"]


@dataclass(frozen=True)
class Revision:
    """One side of the comparison. `commit` is the full id; for the files as they are on disk it is empty."""

    commit: str
    asked: str
    build: str = ""

    @property
    def label(self) -> str:
        """Twelve digits of the commit, or `working tree`."""
        return self.commit[:12] or "working tree"


@dataclass(frozen=True)
class Ruling:
    """What a finding needs in one stage: `needed`, `approved` (by `approvers`), or `free`: no approval asked for.

    `required` is how many approvals it needs there, 0 where it is `free`.
    """

    stage: str
    digest: str
    state: Literal["needed", "approved", "free"]
    approvers: tuple[str, ...] = ()
    required: int = 0


@dataclass(frozen=True)
class Row:
    """One finding with its name on the screen (`A1`), and the stages where it holds."""

    id: str
    finding: Finding
    rulings: tuple[Ruling, ...]

    @property
    def widens(self) -> bool:
        """Whether it counts as wider: what is unproved does."""
        return self.finding.effect != "narrower"

    @property
    def needed(self) -> tuple[Ruling, ...]:
        """Where an approval is missing."""
        return tuple(r for r in self.rulings if r.state == "needed")


@dataclass(frozen=True)
class StageReview:
    """One stage. `baseline` says in words what it is compared with; `loosened` the gates and
    datasets that ask for less."""

    name: str
    kind: Kind
    baseline: str = ""
    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    behaviour: Literal["same", "changed", "new", "gone"] = "same"
    suites: tuple[SuiteState, ...] = ()
    loosened: tuple[str, ...] = ()
    promoted_from: str = ""
    cost: str = ""
    files: tuple[FileChange, ...] = ()
    """What else differs: code, datasets, packages, fields of the manifest that no resource shows."""
    enforcement: str = ""
    """Which clauses of its scopes nothing holds, or somebody accepted, in words; "" where all are held."""

    @property
    def failing(self) -> tuple[str, ...]:
        """The suites asked for on pull requests whose gates fail."""
        return tuple(s.suite for s in self.suites if s.pull_request and s.outcome == "FAIL")

    @property
    def invalid(self) -> tuple[str, ...]:
        """The suites asked for on pull requests whose run says nothing."""
        return tuple(s.suite for s in self.suites if s.pull_request and s.outcome == "INVALID")


@dataclass(frozen=True)
class Review:
    """The whole comparison. `file` is the manifest's path in the repository; `problems` are those of the head."""

    agent: str
    file: str
    base: Revision
    head: Revision
    rows: tuple[Row, ...] = ()
    stages: tuple[StageReview, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[StageReview, ...]:
        """The stages that are not as they were."""
        return tuple(stage for stage in self.stages if stage.kind != "same")

    @property
    def needed(self) -> tuple[tuple[Row, Ruling], ...]:
        """Every approval that is missing."""
        return tuple((row, ruling) for row in self.rows for ruling in row.needed)

    @property
    def exit(self) -> ExitCode:
        """1 invalid, 9 a run that says nothing, 4 gate failed, 3 needs approval, 0 nothing to approve."""
        return worst_exit(self._exits())

    def _exits(self) -> Iterable[ExitCode]:
        if self.problems:
            yield ExitCode.ERROR
        if any(stage.failing for stage in self.stages):
            yield ExitCode.GATE_FAILED
        if any(stage.invalid for stage in self.stages):
            yield ExitCode.INVALID_EVIDENCE
        if self.needed:
            yield ExitCode.NEEDS_APPROVAL

    @property
    def headline(self) -> str:
        """The verdict in two to four words."""
        match self.exit:
            case ExitCode.ERROR:
                return "Invalid manifest"
            case ExitCode.GATE_FAILED:
                return "Gate failed"
            case ExitCode.INVALID_EVIDENCE:
                return "Evals say nothing"
            case ExitCode.NEEDS_APPROVAL:
                return "Needs approval"
            case _:
                return "Nothing to approve" if self.changed else "No change"

    @property
    def line(self) -> str:
        """What changes, in one line of fixed length: counts only."""
        if self.problems:
            return counted(len(self.problems), "problem")
        if not self.changed:
            return f"{counted(len(self.stages), 'stage')} as before"
        parts = [f"{counted(len(self.changed), 'stage')} {'changes' if len(self.changed) == 1 else 'change'}"]
        parts += [self._access(), self._infrastructure(), *self._files(), self._evals(), self._cost()]
        return " · ".join(parts)

    def _access(self) -> str:
        wider, rest = [r for r in self.rows if r.widens], [r for r in self.rows if not r.widens]
        parts = [f"WIDER in {_stages(wider)} ({counted(len(wider), 'finding')})"] if wider else []
        parts += [f"narrower in {_stages(rest)} ({counted(len(rest), 'finding')})"] if rest else []
        return f"access {', '.join(parts) or 'unchanged'}"

    def _infrastructure(self) -> str:
        counts = Counter(change.symbol for stage in self.stages for change in stage.changes)
        shown = " ".join(f"{symbol}{counts[symbol]}" for symbol in "+~±-" if counts[symbol])
        at_risk = sum(bool(change.loss) for stage in self.stages for change in stage.changes)
        return f"infrastructure {shown or 'unchanged'}" + (f", DATA AT RISK in {at_risk}" if at_risk else "")

    def _files(self) -> list[str]:
        paths = {file.path for stage in self.stages for file in stage.files}
        return [f"files ~{len(paths)}"] if paths else []

    def _cost(self) -> str:
        costs = [stage.cost for stage in self.changed]
        word = "unknown" if any("unknown" in c for c in costs) else "changes" if any("→" in c for c in costs) else ""
        return f"cost {word or 'unchanged'}"

    def _evals(self) -> str:
        return self._results() + (", GATES LOOSENED" if any(stage.loosened for stage in self.stages) else "")

    def _results(self) -> str:
        states = [s.outcome for stage in self.changed for s in stage.suites if s.pull_request]
        counts = Counter(states)
        if not states:
            return "no evals"
        if len(counts) == 1:
            return f"evals {_OUTCOMES[states[0]]}"
        return "evals " + ", ".join(
            f"{counts[outcome]} {word}" for outcome, word in _OUTCOMES.items() if counts[outcome]
        )


_OUTCOMES: dict[SuiteOutcome, str] = {"FAIL": "FAIL", "INVALID": "invalid", "notRun": "not run", "PASS": "pass"}


def _stages(rows: Iterable[Row]) -> int:
    return len({ruling.stage for row in rows for ruling in row.rulings})


def to_json(review: Review) -> dict[str, Any]:
    """The review as JSON values (schema `bedplate.dev/review/v1`)."""
    values = asdict(review)
    return {
        "schema": SCHEMA,
        "ok": review.exit is ExitCode.OK,
        "exit": int(review.exit),
        "headline": review.headline,
        "line": review.line,
        **{key: values[key] for key in ("agent", "file", "base", "head")},
        "findings": values["rows"],
        "stages": values["stages"],
        "problems": [problem.to_json() for problem in review.problems],
        "notes": list(review.notes),
    }


def groups(stages: Iterable[StageReview]) -> tuple[tuple[tuple[str, ...], StageReview], ...]:
    """Stages that are the same but for their names, each group with its names."""
    found: dict[StageReview, list[str]] = {}
    for stage in stages:
        found.setdefault(replace(stage, name="", promoted_from=""), []).append(stage.name)
    return tuple((tuple(names), stage) for stage, names in found.items())


def counted(number: int, thing: str) -> str:
    """`1 stage`, `3 stages`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
