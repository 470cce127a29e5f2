"""Findings and witnesses: by cases, and against brute force over small alphabets."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from access_support import scope_set
from bedplate.access import Grant, Never, Request, ScopeSet, decide, grant_id, matches
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.findings import Finding, compare
from bedplate.access.gains import gains
from bedplate.access.judges import judge
from bedplate.access.reach import Link, Reach, Source, Thing

FOLDER = Path(__file__).parent / "cases" / "access" / "findings"
CASES = [case for file in sorted(FOLDER.glob("*.yaml")) for case in yaml.safe_load(file.read_text("utf-8"))]


def texts(alphabet: str, longest: int) -> list[str]:
    """Every text of at least one character, shortest first."""
    return ["".join(chars) for n in range(1, longest + 1) for chars in itertools.product(alphabet, repeat=n)]


OBJECTS = texts("abc", 4)
TOOLS = (
    Thing("ask", "mcp", "runs", "command a"),
    Thing("get", "http", "connects to", "https://a.example"),
    Thing("doc", "search", "reads", "data doc", (("read", "ab"), ("read", "b"))),
)
VERBS = {"ask": "call", "get": "get", "doc": "read"}
patterns = st.text("ab*", min_size=1, max_size=4)


@st.composite
def scope_sets(draw: st.DrawFn) -> ScopeSet:
    """A few grants of three kinds of tools, and a few prohibitions."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(sorted(VERBS)), patterns), max_size=5))
    grants = tuple(Grant(grant_id(tool, VERBS[tool], p), tool, VERBS[tool], p) for tool, p in pairs)
    whose = st.sampled_from(["*.", "ask.", "get.", "doc.", "a*.", "*"])
    never = draw(st.lists(st.builds(lambda tool, p: Never(tool + p), whose, patterns), max_size=3))
    return ScopeSet(grants, tuple(never))


def requests() -> list[Request]:
    """Requests that the tools have, over a small alphabet."""
    calls = [Request("ask", text, "call", text) for text in OBJECTS]
    gets = [Request("get", op, "get", text) for op in texts("abc", 2) for text in texts("abc", 3)]
    reads = [Request("doc", op, "read", text) for op in ("ab", "b") for text in OBJECTS]
    return [*calls, *gets, *reads]


REQUESTS = requests()


def reach_of(described: dict[str, Any] | None) -> Reach | None:
    """The reach of a case."""
    if described is None:
        return None
    scopes = scope_set(described)
    if ids := described.get("ids"):
        named = (replace(grant, id=name) for grant, name in zip(scopes.grants, ids, strict=True))
        scopes = replace(scopes, grants=tuple(named))
    things = tuple(
        Thing(name, t["kind"], t.get("verb", ""), t.get("behind", ""), operations_of(t))
        for name, t in described.get("tools", {}).items()
    )
    links = tuple(Link(*link) for link in described.get("links", []))
    return Reach(scopes, things, links, tuple(map(source_of, described.get("sources", []))))


def operations_of(tool: dict[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """The fixed operations of a case's tool."""
    return tuple((verb, name) for verb, name in tool["operations"]) if "operations" in tool else None


def source_of(written: list[Any]) -> Source:
    """A case's data source."""
    tool, name, path, include, exclude, *prefix = written
    return Source(tool, name, path, tuple(include), tuple(exclude), *prefix, text=f"{name}: {path}")


def said(finding: Finding) -> str:
    """A finding as cases write it."""
    return f"{finding.effect}: {finding.subject} {finding.verb} {finding.object} | {finding.witness} | {finding.reason}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_findings_are_those_of_the_case(case: dict[str, Any]) -> None:
    """Each case of old and new gives exactly its findings, in their order, with witness and reason."""
    new = reach_of(case["new"])
    assert new is not None
    found = compare(reach_of(case["old"]), new, case.get("known", {}))
    assert [" ".join(said(f).split()) for f in found] == [" ".join(line.split()) for line in case["find"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_cedar_confirms_the_findings_of_the_case(case: dict[str, Any]) -> None:
    """With the Cedar engine as a second judge of each witness the findings of each case are the same."""
    pytest.importorskip("cedarpy", reason="the replay in Cedar needs the extra `cedar`")
    old, new = reach_of(case["old"]), reach_of(case["new"])
    assert new is not None
    known = case.get("known", {})
    assert compare(old, new, known, oracle=judge()) == compare(old, new, known)


@given(st.lists(patterns, max_size=3), st.lists(patterns, max_size=4))
def test_a_witness_is_a_shortest_text(all_of: list[str], none_of: list[str]) -> None:
    """`witness` finds a text exactly where brute force over all texts up to length 6 does, and none that is longer."""
    fits = lambda text: all(matches(p, text) for p in all_of) and not any(matches(p, text) for p in none_of)  # noqa: E731
    shortest = next(filter(fits, ["", *texts("abx", 6)]), None)
    found = witness(all_of, none_of)
    if found is None:
        assert shortest is None
    else:
        assert fits(found)
        assert len(found) == len(shortest) if shortest is not None else len(found) > 6


@given(scope_sets(), scope_sets())
def test_what_is_found_is_what_the_decider_decides(old: ScopeSet, new: ScopeSet) -> None:
    """A tool has a wider finding exactly where some request is newly allowed; each witness shows it in the decider."""
    before, after = Reach(old, TOOLS), Reach(new, TOOLS)
    found = compare(before, after)
    wider, narrower = ({f.subject for f in found if f.effect == effect} for effect in ("wider", "narrower"))
    for request in REQUESTS:
        was, now = decide(old, request).allowed, decide(new, request).allowed
        assert was or not now or request.tool in wider
        assert now or not was or request.tool in narrower
    for a, b in ((before, after), (after, before)):
        for gain in gains(a, b, {}):
            assert gain.request is not None
            assert decide(b.scopes, gain.request).allowed
            assert not decide(a.scopes, gain.request).allowed


@given(scope_sets(), st.randoms(use_true_random=False))
def test_form_means_nothing(scopes: ScopeSet, rnd: random.Random) -> None:
    """A scope set against itself, renamed, reordered, or with parts of its patterns added, gives no finding."""
    parts = [
        replace(g, pattern=g.pattern.replace("*", text, 1)) for g in scopes.grants for text in ("", "b", "**", "a*")
    ]
    grants = [replace(g, id=f"id-{i}", where="agent.yaml:7") for i, g in enumerate((*scopes.grants, *parts))]
    never = [*scopes.never, *(Never(n.pattern.replace("*", "*a", 1)) for n in scopes.never)]
    rnd.shuffle(grants)
    rnd.shuffle(never)
    other = Reach(ScopeSet(tuple(grants), tuple(never)), tuple(reversed(TOOLS)))
    assert compare(Reach(scopes, TOOLS), Reach(scopes, TOOLS)) == ()
    assert compare(Reach(scopes, TOOLS), other) == ()
    assert compare(other, Reach(scopes, TOOLS)) == ()


@given(st.tuples(*(st.lists(patterns, min_size=n, max_size=2) for n in (1, 1, 0, 1, 1, 0))))
def test_documents_are_those_of_grants_and_definition(lists: tuple[list[str], ...]) -> None:
    """There is a wider finding exactly where a document is newly both granted and in its data source."""
    old, new = (
        Reach(
            ScopeSet(tuple(Grant(p, "doc", "read", p) for p in granted)),
            TOOLS,
            sources=(Source("doc", "doc", "docs", tuple(include), tuple(exclude)),),
        )
        for granted, include, exclude in (lists[:3], lists[3:])
    )
    found = compare(old, new)
    fresh = [text for text in texts("abx", 5) if readable(new, text) and not readable(old, text)]
    assert not fresh or any(f.effect == "wider" for f in found)
    for finding in found:
        a, b = (old, new) if finding.effect == "wider" else (new, old)
        assert readable(b, finding.witness)
        assert not readable(a, finding.witness)


def readable(reach: Reach, path: str) -> bool:
    """Whether the definition has a document, and a grant gives it."""
    source = reach.sources[0]
    there = any(matches(p, path) for p in source.include) and not any(matches(p, path) for p in source.exclude)
    return there and decide(reach.scopes, Request("doc", "ab", "read", path)).allowed


def test_giving_up_is_said() -> None:
    """A search that meets its bound raises; in a comparison the grant is unproved or "at most" narrower, and why."""
    with pytest.raises(TooManyStates):
        witness(["*abc*", "*cba*"], [], most=5)
    rnd = random.Random(3)
    grant, never = ("*".join(["", *rnd.choices("ab", k=250), ""]) for _ in range(2))
    with_never = Reach(ScopeSet((Grant("g", "crm", "call", grant),), (Never(never),)))
    without = Reach(replace(with_never.scopes, never=()))
    (wider,) = compare(with_never, without)
    (narrower,) = compare(without, with_never)
    assert (wider.effect, wider.witness) == ("unproved", "")
    assert "too many patterns" in wider.reason
    assert narrower.effect == "narrower"
    assert narrower.reason.startswith("at most: ")


def test_an_approval_is_bound_to_the_finding_and_to_nothing_else() -> None:
    """The digest changes with agent, stage and each field but witness and line."""
    finding = Finding("wider", "crm", "call", "*", "command a", "crm.x", "first release", "agent.yaml:3")
    digest = finding.digest("support", "prod")
    assert digest.startswith("sha256:")
    assert replace(finding, witness="crm.y", where="").digest("support", "prod") == digest
    others = [
        replace(finding, effect="unproved"),
        *(replace(finding, **{name: "other"}) for name in ("subject", "verb", "object", "behind", "reason")),
    ]
    digests = {digest, *(f.digest("support", "prod") for f in others)}
    digests |= {finding.digest("support", "staging"), finding.digest("other", "prod")}
    assert len(digests) == len(others) + 3


def test_what_never_still_forbids_belongs_to_the_finding() -> None:
    """A grant approved beside a `never` is another finding once that `never` is gone, though no release ever had it."""
    granted = (Grant("g", "crm", "call", "*"),)
    kept, gone = (compare(Reach(), Reach(ScopeSet(granted, never))) for never in ((Never("*.delete_*"),), ()))
    assert kept[0].digest("a", "b") != gone[0].digest("a", "b")
