"""The verdict: which causes stop a plan, which exit code wins, and what is typed next."""

from __future__ import annotations

import pytest

from bedplate.access.findings import Finding
from bedplate.problems import ExitCode
from bedplate.release.behaviour import GateState, SuiteState
from bedplate.release.verdict import Verdict, judge, needing_approval

WIDER = Finding("wider", "docs", "read", "*")
UNPROVED = Finding("unproved", "refunds", "runs", "python -m refunds")
NARROWER = Finding("narrower", "docs", "read", "inner/*")
MISSED = (GateState("contains", "min 0.9", "FAIL", 0.8), GateState("errors", "max 0", "PASS", 0.0))


def suite(outcome: str, *, promote: bool = True) -> SuiteState:
    return SuiteState("faq", outcome, MISSED if outcome == "FAIL" else (), promote=promote)  # type: ignore[arg-type]


CASES: list[tuple[str, dict[str, object], int, str]] = [
    ("nothing to do", {"pending": False}, 0, "nothing to do"),
    ("changes alone", {}, 2, "ready"),
    ("narrower needs nobody", {"findings": (NARROWER,), "minimum": 1}, 2, "ready"),
    ("wider waits", {"findings": (WIDER,), "minimum": 1}, 3, "A1 needs approval for prod"),
    ("unproved counts as wider", {"findings": (UNPROVED,), "minimum": 1}, 3, "A1 needs approval for prod"),
    ("nobody is asked", {"findings": (WIDER,), "minimum": 0}, 2, "ready"),
    ("approved", {"findings": (WIDER,), "minimum": 1, "approved": {WIDER}}, 2, "ready"),
    (
        "each waits for its own",
        {"findings": (WIDER, UNPROVED), "minimum": 1, "approved": {WIDER}},
        3,
        "A2 needs approval for prod",
    ),
    ("a failing gate", {"suites": (suite("FAIL"),)}, 4, "eval faq fails (contains 0.8, min 0.9)"),
    ("a failing gate where nothing is gated", {"suites": (suite("FAIL"),), "gated": False}, 2, "ready"),
    ("a suite of pull requests only", {"suites": (suite("FAIL", promote=False),)}, 2, "ready"),
    ("a suite that did not run yet", {"suites": (suite("notRun"),)}, 2, "ready"),
    ("a run that says nothing", {"suites": (suite("INVALID"),)}, 9, "the run of eval faq says nothing"),
    (
        "a gate before an approval",
        {"suites": (suite("FAIL"),), "findings": (WIDER,), "minimum": 1},
        4,
        "A1 needs approval for prod; eval faq fails (contains 0.8, min 0.9)",
    ),
    (
        "an invalid run before a failing gate",
        {"suites": (suite("FAIL"), suite("INVALID"))},
        9,
        "eval faq fails (contains 0.8, min 0.9); the run of eval faq says nothing",
    ),
]


@pytest.mark.parametrize(("_what", "given", "code", "line"), CASES, ids=[case[0] for case in CASES])
def test_verdicts(_what: str, given: dict[str, object], code: int, line: str) -> None:
    """Each cause has its exit code, the highest-ranked one wins, and the line names all that stop it."""
    agreed = given.pop("approved", set()) if "approved" in given else set()
    facts = {"pending": True, "findings": (), "minimum": 0, "suites": (), "gated": True, **given}
    verdict = judge(stage="prod", approved=lambda finding: finding in agreed, **facts)  # type: ignore[arg-type, operator]
    assert (int(verdict.exit), verdict.line) == (code, line)
    assert verdict.blocks == (code not in {0, 2})


def test_only_what_widens_is_asked_for_and_ids_stay() -> None:
    """Findings keep the ids of the screen, and those that narrow are not asked for."""
    assert [name for name, _ in needing_approval((WIDER, NARROWER, UNPROVED))] == ["A1", "A3"]


def test_the_next_steps_lead_on() -> None:
    """What waits names the command that approves it, then the one that applies; a failing gate names none."""
    facts = {
        "stage": "prod",
        "pending": True,
        "approved": lambda _: False,
        "gated": True,
        "replan": "bedplate promote prod",
    }
    waiting = judge(findings=(WIDER, WIDER), minimum=1, suites=(), **facts)  # type: ignore[arg-type]
    agree = 'bedplate approve A{} --stage prod --reason "…" --expires 30d'
    assert waiting.next_steps == (agree.format(1), agree.format(2), "bedplate promote prod")
    failing = judge(findings=(), minimum=1, suites=(suite("FAIL"), suite("FAIL")), **facts)  # type: ignore[arg-type]
    assert failing.next_steps == ("bedplate eval faq",)


def test_no_cause_is_nothing_to_do() -> None:
    """A verdict without causes allows everything and asks for nothing."""
    assert (Verdict().exit, Verdict().blocks, Verdict().line) == (ExitCode.OK, False, "nothing to do")
