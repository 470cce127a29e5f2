"""The plan on a screen and as Markdown: the same facts at every width, with and without colour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bedplate.access.clauses import Clause
from bedplate.access.findings import Finding
from bedplate.access.matrix import Hold, Row
from bedplate.cli.planscreen import plan_screen
from bedplate.problems import ExitCode
from bedplate.release.behaviour import GateState, SuiteState
from bedplate.release.builds.compare import FileChange
from bedplate.release.cost import Cost
from bedplate.release.enforcing import Matrix
from bedplate.release.plan import Access, Change, Detail, Origin, Plan
from bedplate.release.verdict import Cause, Verdict
from bedplate.review.markdown import plan_markdown

COMMAND = 'bedplate approve A1 --stage prod --reason "…" --expires 30d'
PLAN = Plan(
    agent="shop",
    stage="prod",
    target="local",
    sandbox="bubblewrap",
    build="sha256:" + "a" * 64,
    behaviour="sha256:" + "b" * 64,
    deployed_build="sha256:" + "c" * 64,
    first=False,
    changes=(
        Change(
            "update", "process", "gateway", "agent.yaml:3", (Detail("limits.tokens", "60000", "90000", "agent.yaml:9"),)
        ),
        Change("delete", "memory", "memory", loss="deletes 1,204 remembered facts"),
    ),
    unchanged=5,
    access=Access(
        (
            Finding(
                "wider",
                "refunds",
                "call",
                "refund_*",
                "command python -m refunds",
                "refunds.refund_all",
                "",
                "agent.yaml:31",
            ),
            Finding("unproved", "orders", "runs", "python -m orders", reason="a → b", where="agent.yaml:40"),
            Finding("narrower", "docs", "read", "inner/*", witness="inner/prices.md"),
        ),
        grants=4,
        baseline="prod release 3",
        required=1,
        approved=("A2",),
    ),
    enforcement=Matrix(
        "shop",
        "prod",
        "local",
        (
            Row(Clause("g1", "refunds", "call", "object", "call refund_*"), (Hold("gateway", "exact"),), "ok"),
            Row(
                Clause("g2", "sums", "read", "object", "read docs/*"), (Hold("kernel", "none", "none"),), "open", "none"
            ),
        ),
    ),
    evals=(
        SuiteState(
            "faq",
            "FAIL",
            (GateState("contains", "min 0.9", "FAIL", 0.83, "agent.yaml:50"),),
            10,
            12,
            "",
            True,
            ("q1",),
            ("q2",),
        ),
        SuiteState("safety", "notRun", (GateState("errors", "max 0", "notRun"),)),
    ),
    cost=Cost("$0 (this machine)", "unknown", "at most $0.25 a turn"),
    verdict=Verdict((Cause(ExitCode.NEEDS_APPROVAL, "A1 needs approval for prod", COMMAND),)),
    release=3,
    origin=Origin("staging", 7, (Detail("limits.tokens", "30000", "90000", "agent.yaml:77"),)),
    orphans=("old",),
    files=(
        FileChange("evals/faq.yaml", "changed", 1, 96, "dataset of eval faq: 50 → 1 case", "agent.yaml:48"),
        FileChange("tools/quote.py", "added", 1, 0, "code of tool quote", "agent.yaml:28"),
        FileChange("agent.yaml", "changed", what="runtime.type: (none) → managed", where="agent.yaml:70"),
    ),
    files_note="unknown, it cannot be read",
)
FACTS = (
    *("dataset of eval faq: 50 → 1 case", "+1 −96 lines", "code of tool quote", "agent.yaml:28"),
    *("runtime.type: (none) → managed", "unknown, it cannot be read"),
    *(
        "shop → prod",
        "release 3 → 4",
        "from staging release 7",
        "1 wider",
        "1 unproved",
        "1 narrower",
        "prod release 3",
    ),
    *("A1", "refunds may call refund_*", "refunds.refund_all", "command python -m refunds", "agent.yaml:31"),
    *("unproved, approved", "orders runs python -m orders", "a → b", "docs may no longer read inner/*"),
    *("~1 -1", "5 unchanged", "process gateway", "limits.tokens", "60000 → 90000", "agent.yaml:9"),
    *("deletes 1,204 remembered facts", "faq FAIL 10/12", "1 newly failing", "safety not run for this behaviour"),
    *("0.83", "min 0.9", "agent.yaml:50", "q1", "q2", "differs from staging only in", "30000 → 90000", "agent.yaml:77"),
    *("tokens unknown", "at most $0.25 a turn", "sha256:aaaaaaaaaaaa", "A1 needs approval for prod"),
    *("bedplate destroy --stage old", "enforcement", "! 2 clauses, 1 open: sums/object"),
)


@pytest.fixture(params=[40, 60, 100])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Terminals of several widths."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def test_every_fact_stands_on_every_screen(columns: int) -> None:
    """A narrow terminal folds lines and loses nothing: each fact is there."""
    screen = plan_screen(PLAN)
    flat = " ".join(screen.split())
    assert [fact for fact in FACTS if " ".join(fact.split()) not in flat] == []
    longest = max(len(word) for word in screen.split()) + 16
    too_long = [line for line in screen.splitlines() if len(line) > max(columns, longest)]
    assert [line for line in too_long if line.startswith("  ") and not line.startswith("  !")] == []


def test_a_screen_without_a_terminal_has_no_colour() -> None:
    """What stands in a pipe holds no escape sequence: nothing is told by colour."""
    assert "\x1b" not in plan_screen(PLAN)


def test_unchanged_things_are_counted() -> None:
    """A plan without changes is one sentence and a number."""
    empty = replace(PLAN, changes=(), verdict=Verdict(), orphans=())
    assert plan_screen(empty).splitlines()[-1].strip() == "No changes. 5 unchanged."


def test_long_lists_are_cut_and_say_so() -> None:
    """Of a hundred findings the first are shown and the rest is counted, with the command that lists them all."""
    many = tuple(Finding("wider", f"tool{n}", "call", "*", where=f"agent.yaml:{n}") for n in range(100))
    screen = plan_screen(replace(PLAN, access=replace(PLAN.access, findings=many)))
    assert "… and 80 more; all: bedplate plan --json" in screen
    assert screen.count("may call") == 20


def test_a_first_stage_shows_access_without_ids() -> None:
    """Where nothing runs yet every grant is shown, without an id that nobody can approve."""
    first = replace(PLAN, access=replace(PLAN.access, baseline="", required=0, approved=()), first=True)
    screen = plan_screen(first)
    assert "refunds may call refund_*" in screen
    assert "A1  " not in screen.partition("verdict")[0].replace("A1 needs", "")


def test_markdown_says_the_same() -> None:
    """The Markdown holds the verdict, findings, changes, data at risk, gates and the commands."""
    text = plan_markdown(PLAN)
    wanted = ("A1 needs approval for prod", "`refunds` may call `refund_*`", "deletes 1,204 remembered facts", COMMAND)
    assert [fact for fact in (*wanted, "`q1`", "**FAIL**", "agent.yaml:31", "limits.tokens") if fact not in text] == []
    hostile = replace(PLAN, agent="x`<img src=x>@all")
    assert "``x`<img src=x>@all``" in plan_markdown(hostile)
