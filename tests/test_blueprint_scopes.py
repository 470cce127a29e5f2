"""From scopes as they are written to grants: what tests mean, ids, digests, ceilings."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bedplate.access import Condition, Request, decide, grant_id
from bedplate.access.conditions import holds
from bedplate.access.model import Kind
from bedplate.blueprint.conditions import FITS, Misfit, typed
from bedplate.blueprint.model import Blueprint
from bedplate.manifest import arguments
from bedplate.problems import BedplateError
from manifest_support import CASES, blueprint_of, searching, small, write_files

TABLE = yaml.safe_load((CASES / "tests.yaml").read_text("utf-8"))
PAY = {"name": "pay", "type": "python", "entrypoint": "tools.pay:pay"}


def as_typed(kind: Kind, written: Any) -> Any:
    """A test as the manifest writes it, typed."""
    return typed(TypeAdapter(arguments.Tests).validate_python({"x": written})["x"], kind, ())


def passes(kind: Kind, written: Any, value: Any) -> bool:
    """Whether a value passes all that is written."""
    conditions = [Condition(("x",), kind, test) for test in as_typed(kind, written)]
    args = {} if value is None else {"x": value}
    return all(holds(condition, args, {"who": "ann", "count": 7}) for condition in conditions)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case['kind']} {case['test']}")
def test_a_test_passes_what_it_says(case: dict[str, Any]) -> None:
    """Each way of writing a test passes the values of its case and no other of them; nothing passes when absent."""
    good, bad = case.get("passes", []), case.get("fails", [])
    assert [value for value in good if not passes(case["kind"], case["test"], value)] == []
    assert [value for value in bad if passes(case["kind"], case["test"], value)] == []
    assert passes(case["kind"], case["test"], None) == case.get("absent", False)


def test_every_test_of_every_kind_has_a_case() -> None:
    """The cases write each test that fits each kind at least once."""
    said = {(case["kind"], word) for case in TABLE for word in _words(case["test"])}
    assert {(kind, word) for kind, words in FITS.items() for word in words} - said == set()


def _words(test: Any) -> tuple[str, ...]:
    return tuple(test) if isinstance(test, dict) else ("equals",)


numbers = st.integers(-6, 6)
bounds = st.dictionaries(st.sampled_from(["min", "max", "over", "under", "equals"]), numbers, min_size=1)


@given(bounds, st.sampled_from(["integer", "decimal"]))
def test_bounds_together_are_their_conjunction(written: dict[str, int], kind: Kind) -> None:
    """Several bounds pass what each passes; where nothing between the least and the greatest does, they are refused."""
    tries = [n / 2 if kind == "decimal" else n for n in range(-16, 17)]
    alone = {n for n in tries if all(passes(kind, {word: value}, n) for word, value in written.items())}
    try:
        together = {n for n in tries if passes(kind, written, n)}
    except Misfit as found:
        assert found.code == "BP806"  # noqa: PT017 (both outcomes are right)
        together = set()
    assert together == alone


def project(folder: Path, *scopes: dict[str, Any]) -> Blueprint:
    """A project whose python tool has these scopes."""
    shutil.copytree(CASES / "project", folder, dirs_exist_ok=True)
    return blueprint_of(folder, small(tools=[{**PAY, "scopes": list(scopes)}]))


def ids(folder: Path, *scopes: dict[str, Any]) -> list[str]:
    """The ids of the grants."""
    return [grant.id for grant in project(folder, *scopes).scopes.grants]


def test_ids_are_hashes_of_the_content(tmp_path: Path) -> None:
    """A scope without clauses keeps the id that it always had; every clause changes it, the order written does not."""
    (plain,) = ids(tmp_path, {"call": "pay"})
    assert plain == grant_id("pay", "call", "pay")
    one = {"call": "pay", "where": {"amount": {"max": 5}, "currency": {"in": ["USD", "EUR"]}}}
    turned = {"where": {"currency": {"in": ["USD", "EUR"]}, "amount": {"max": 5.0}}, "call": "pay"}
    assert ids(tmp_path, one) == ids(tmp_path, turned)
    clauses: list[dict[str, Any]] = [
        {"only": True},
        {"ask": True},
        {"limit": {"calls": "5/1h"}},
        {"where": {"amount": 5}},
    ]
    others = [ids(tmp_path, {**one, **clause})[0] for clause in clauses]
    assert len({plain, *ids(tmp_path, one), *others}) == 2 + len(clauses)


def test_one_budget_is_shared_by_the_patterns_of_its_scope(tmp_path: Path) -> None:
    """Grants of one scope with a limit have one id, under which what they use is counted; else each has its own."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    tool = {"name": "t", "type": "mcp", "command": ["x"]}
    limited = small(tools=[{**tool, "scopes": [{"call": ["a*", "b*"], "limit": {"calls": "5/1h"}}]}])
    free = small(tools=[{**tool, "scopes": [{"call": ["a*", "b*"]}]}])
    assert len({grant.id for grant in blueprint_of(tmp_path, limited).scopes.grants}) == 1
    assert len({grant.id for grant in blueprint_of(tmp_path, free).scopes.grants}) == 2


CLAUSES: dict[str, dict[str, Any]] = {
    "where": {"where": {"amount": {"max": 6}}},
    "only": {"only": True},
    "ask": {"ask": {"amount": {"over": 3}}},
    "limit": {"limit": {"calls": "5/1h"}},
}


@pytest.mark.parametrize("clause", CLAUSES.values(), ids=CLAUSES)
def test_clauses_are_behaviour(tmp_path: Path, clause: dict[str, Any]) -> None:
    """Each clause of a scope moves the digest of the behaviour; a comment or an id does not."""
    scope = {"call": "pay", "where": {"amount": {"max": 5}}}
    before = project(tmp_path, scope).digests.behaviour
    assert project(tmp_path, {**scope, "id": "small"}).digests.behaviour == before
    assert project(tmp_path, {**scope, **clause}).digests.behaviour != before


def test_digests_of_older_manifests_stay(tmp_path: Path) -> None:
    """A manifest without any of the new clauses has the digests that earlier versions made of it."""
    write_files(tmp_path, {"docs/a.md": "a", "docs/b c.md": "b"})
    document = searching()
    document["tools"][0]["scopes"] = [{"read": ["a*", "a b*", "a!", "a"]}]
    document["tools"].append({"name": "t", "type": "mcp", "url": "https://a.example/mcp", "scopes": [{"call": "*"}]})
    found = blueprint_of(tmp_path, document).digests
    assert found.build == "sha256:8e438787c7297b2cac92a70782530915f1df27fae8c05e28f049e0b1d3e6007d"
    assert found.behaviour == "sha256:4c04387f9572a27d2a9e8a4f01f982f4089a3a0c60cff6d77efbd224a4b3f17f"


CEILING = """\
apiVersion: bedplate.dev/v1
kind: Ceiling
allow:
  - {id: small, tool: "p*", call: "*", where: {amount: {max: 100}}, ask: {amount: {over: 50}}}
  - {tool: "*", read: "*"}
  - {tool: memory, write: "*"}
never:
  - {call: "*.refund"}
"""


def test_a_ceiling_is_written_out_for_the_tools(tmp_path: Path) -> None:
    """Scopes of a ceiling apply to tools by name, typed by each tool's arguments, and belong to the build."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    write_files(tmp_path, {"ceiling.yaml": CEILING})
    document = searching()
    document["tools"].append({**PAY, "scopes": [{"call": "*"}]})
    document["tools"].append({**PAY, "name": "plain", "entrypoint": "tools.calc:add", "scopes": [{"call": "*"}]})
    document["ceiling"] = "ceiling.yaml"
    blueprint = blueprint_of(tmp_path, document)
    assert blueprint.ceiling
    calls = [grant for grant in blueprint.ceiling.scopes.grants if grant.verb == "call"]
    assert [(grant.tool, grant.id, grant.where) for grant in calls] == [("pay", "small", "ceiling.yaml:4")]
    scopes = replace(blueprint.ceiling.scopes, operations=())
    words = [decide(scopes, Request("pay", "pay", "call", "pay", args={"amount": n})).effect.word for n in (5, 60, 101)]
    assert words == ["allow", "ask", "deny"]
    before = blueprint.digests
    write_files(tmp_path, {"ceiling.yaml": CEILING + "# changed\n"})
    after = blueprint_of(tmp_path, document).digests
    assert before.build != after.build
    assert before.behaviour == after.behaviour


BAD_CEILINGS = {
    "no mapping": ("- a\n", "BP817", 1),
    "kind": (CEILING.replace("kind: Ceiling", "kind: Agent"), "BP013", 2),
    "near miss": (CEILING.replace("allow:", "alow:"), "BP012", 3),
    "verb": (CEILING.replace('tool: "*", read', 'tool: "*", raed'), "BP012", 5),
    "no verb": (CEILING.replace(', read: "*"', ""), "BP017", 5),
    "no tool": (CEILING.replace("tool: memory, ", ""), "BP011", 6),
    "value": (CEILING.replace("max: 100", "max: 1.00001"), "BP804", 4),
    "host": (CEILING.replace('read: "*"', 'get: "https://*.example.com/*"'), "BP019", 5),
    "never": (CEILING.replace("*.refund", "refund"), "BP019", 8),
    "yaml": (CEILING.replace("never:", "allow:"), "BP003", 7),
}


@pytest.mark.parametrize(("text", "code", "line"), BAD_CEILINGS.values(), ids=BAD_CEILINGS)
def test_a_bad_ceiling_is_told_at_its_line(tmp_path: Path, text: str, code: str, line: int) -> None:
    """What is wrong with a ceiling is told by its file and line, with the codes of manifests."""
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    write_files(tmp_path, {"ceiling.yaml": text})
    document = small(tools=[{**PAY, "scopes": [{"call": "*"}]}], ceiling="ceiling.yaml")
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, document)
    places = [(p.code, p.where.file, p.where.line) for p in caught.value.problems if p.where]
    assert (code, "ceiling.yaml", line) in places
    assert all(problem.fix for problem in caught.value.problems)


def test_own_names_of_bedplate_are_no_tools(tmp_path: Path) -> None:
    """`memory`, `state`, `sandbox` and `model` are not names of tools."""
    tools = [
        {"name": name, "type": "mcp", "command": ["x"], "scopes": [{"call": "*"}]}
        for name in ("state", "sandbox", "model")
    ]
    with pytest.raises(BedplateError) as caught:
        blueprint_of(tmp_path, small(tools=tools))
    assert [problem.code for problem in caught.value.problems] == ["BP116"] * 3
