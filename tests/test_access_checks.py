"""The checks of every build on access: enforcement matrix, rule of two, ceiling."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from access_cases import cases, facts, scopes
from bedplate.access import Grant, Never, Operation, ScopeSet, layers
from bedplate.access.artefacts import Remainder
from bedplate.access.ceiling import under
from bedplate.access.flow import rule_of_two
from bedplate.access.matrix import Acceptance, matrix, unused

TODAY = dt.date(2026, 1, 1)


@pytest.mark.parametrize("case", cases("flow"))
def test_the_rule_of_two_names_the_way_through_all_three(case: dict[str, Any]) -> None:
    """Untrusted input, private data and an outside effect together give a path; any two do not."""
    path = rule_of_two(scopes(case), facts(case))
    assert (path.text if path else "") == case.get("path", "")


@pytest.mark.parametrize("case", cases("matrix"))
def test_each_clause_has_a_verdict(case: dict[str, Any]) -> None:
    """A clause is ok where some layer holds all of it, accepted where somebody said so in time, open otherwise."""
    granted = scopes(case)
    left: dict[Any, list[Remainder]] = {}
    for layer, place, clause in case.get("left", ()):
        left.setdefault(layer, []).append(Remainder(granted.grants[place].id, clause, "no way to say it"))
    holding = {
        "local": lambda: layers.local(isolated=case.get("isolated", True)),
        "docker": lambda: layers.docker(left),
        "aws": lambda: layers.aws(left),
    }[case["target"]]()
    accepted = [Acceptance(e["of"], "known", "team-a", e["until"]) for e in case.get("accept", ())]
    rows = matrix(granted, facts(case), holding, accepted, TODAY)
    found = {}
    for row in rows:
        layer = "".join(f" {hold.layer}" for hold in row.holds if hold.strength == "exact")
        found[f"{row.clause.tool or 'never'}/{row.clause.name}"] = f"{row.verdict}{layer}"
    last = {key: value for key, value in found.items() if key in case["rows"]}
    assert last == case["rows"]
    assert set(found) == set(case["rows"])
    assert [entry.of for entry in unused(rows, accepted)] == case.get("unused", [])


def test_a_ceiling_speaks_of_tools_by_pattern() -> None:
    """A grant of the ceiling holds for every tool whose name its pattern matches, and for no other."""
    ceiling = ScopeSet((Grant("c", "pay*", "call", "refund"),), (Never("*.delete"),))
    found = under(ceiling, ScopeSet(operations=(Operation("payments", "refund"),)), ["payments", "docs", "pay"])
    assert [grant.tool for grant in found.grants] == ["pay", "payments"]
    assert (found.never, [op.name for op in found.operations]) == (ceiling.never, ["refund"])
