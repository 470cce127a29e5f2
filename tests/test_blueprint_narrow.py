"""Overlays whose scopes test arguments, ask or limit: they only narrow, proved against the base as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bedplate.problems import BedplateError
from manifest_support import blueprint_of, small, write_files

PAY = "def pay(amount: float, currency: str = 'EUR', note: str = '') -> str:\n    return note\n"
SMALL = {"call": "pay", "where": {"amount": {"min": 0, "max": 50}}}
LARGE = {"call": "pay", "where": {"amount": {"over": 50, "max": 100}}}
ASKED = {"call": "pay", "where": {"amount": {"max": 100}}, "ask": {"amount": {"over": 50}}}
LIMITED = {"call": "pay", "limit": {"calls": "20/1h"}}
ONLY = {"call": "pay", "where": {"amount": {"max": 100}}, "only": True}

NARROW = {
    "a range that two scopes of the base share": (
        [SMALL, LARGE],
        [{"call": "pay", "where": {"amount": {"min": 1, "max": 99}}}],
    ),
    "a choice split by values": (
        [{"call": "pay", "where": {"currency": {"in": ["EUR", "USD"]}}}],
        [{"call": "pay", "where": {"currency": "EUR"}}, {"call": "pay", "where": {"currency": "USD"}}],
    ),
    "a lower threshold": ([ASKED], [{**ASKED, "ask": {"amount": {"over": 20}}}]),
    "always asked": ([ASKED], [{"call": "pay", "where": {"amount": {"max": 100}}, "ask": True}]),
    "a lower limit": ([LIMITED], [{"call": "pay", "limit": {"calls": "10/1h"}}]),
    "a condition more": ([{"call": "pay"}], [SMALL]),
}
WIDE = {
    "a gap between two scopes of the base": (
        [SMALL, {"call": "pay", "where": {"amount": {"min": 60, "max": 100}}}],
        [{"call": "pay", "where": {"amount": {"min": 0, "max": 100}}}],
        'pay.pay {"amount": 50.01} is beyond it',
    ),
    "an ask dropped": ([ASKED], [{"call": "pay", "where": {"amount": {"max": 100}}}], '{"amount": 50.01} is beyond it'),
    "a higher threshold": ([ASKED], [{**ASKED, "ask": {"amount": {"over": 60}}}], '{"amount": 50.01} is beyond it'),
    "other arguments": ([ONLY], [{"call": "pay", "where": {"amount": {"max": 100}}}], '"currency": "example"'),
    "a higher limit": ([LIMITED], [{"call": "pay", "limit": {"calls": "30/1h"}}], "is under a wider limit"),
    "a limit of another window": ([LIMITED], [{"call": "pay", "limit": {"calls": "5/1m"}}], "cannot be compared"),
    "one limit twice": (
        [LIMITED],
        [{**LIMITED, "where": {"currency": "EUR"}}, {**LIMITED, "where": {"currency": "USD"}}],
        "its limit counts beside those of other scopes",
    ),
}  # fmt: skip


def resolved(tmp_path: Path, base: list[Any], stage: list[Any]) -> None:
    """Resolve a project whose one stage replaces the scopes of its tool."""
    write_files(tmp_path, {"tools/__init__.py": "", "tools/pay.py": PAY})
    tool = {"name": "pay", "type": "python", "entrypoint": "tools.pay:pay", "scopes": base}
    stages = {"a": {"target": "local", "tools": [{"name": "pay", "scopes": stage}]}}
    blueprint_of(tmp_path, small(tools=[tool], stages=stages))


@pytest.mark.parametrize(("base", "stage"), NARROW.values(), ids=NARROW)
def test_what_the_base_allows_as_a_whole_is_narrow(tmp_path: Path, base: list[Any], stage: list[Any]) -> None:
    """No single scope of the base has to cover a scope of the stage."""
    resolved(tmp_path, base, stage)


@pytest.mark.parametrize(("base", "stage", "detail"), WIDE.values(), ids=WIDE)
def test_what_goes_beyond_the_base_is_shown(tmp_path: Path, base: list[Any], stage: list[Any], detail: str) -> None:
    """What no scope of the base allows is refused, with a request that shows it or why it is not known."""
    with pytest.raises(BedplateError) as caught:
        resolved(tmp_path, base, stage)
    assert {problem.code for problem in caught.value.problems} == {"BP113"}
    assert detail in caught.value.problems[0].detail


def test_a_looser_bound_names_both_lines(tmp_path: Path) -> None:
    """The problem stands at the overlay's line and says what the base has, and on which line or by default."""
    stages = {"a": {"target": "local", "sandbox": {"pids": 65}, "limits": {"tokens": 200}}}
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, small(limits={"tokens": 100}, stages=stages))
    lines = (tmp_path / "agent.yaml").read_text().splitlines()
    details = {lines[p.where.line - 1].strip(): p.detail for p in caught.value.problems if p.where}
    assert details == {
        "pids: 65": "The base has 64 by default, the stage 65.",
        "tokens: 200": f"The base has 100 on line {lines.index('  tokens: 100') + 1}, the stage 200.",
    }
