"""Access: globs, URLs and decisions, by cases and by property."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.access import (
    Effect,
    Grant,
    Never,
    Request,
    ScopeSet,
    UrlRefused,
    covers,
    decide,
    grant_id,
    matches,
    may_use,
    normalise_url,
)

CASES = Path(__file__).parent / "cases" / "access"
URLS = yaml.safe_load((CASES / "urls.yaml").read_text("utf-8"))
DECISIONS = yaml.safe_load((CASES / "decisions.yaml").read_text("utf-8"))


patterns = st.text("ab/*", max_size=8)
texts = st.text("ab/", max_size=10)


def scopes_of(case: dict[str, Any]) -> ScopeSet:
    grants = tuple(Grant(grant_id(*g), *g, where=f"agent.yaml:{i}") for i, g in enumerate(case["grants"], 1))
    return ScopeSet(grants, tuple(Never(p, "agent.yaml:99") for p in case.get("never", ())))


@pytest.mark.parametrize("case", URLS, ids=lambda c: c["url"] or "empty")
def test_a_url_has_one_form_or_none(case: dict[str, str]) -> None:
    """Each URL of the cases normalises to the form given, or is refused with the reason given."""
    if "refused" in case:
        with pytest.raises(UrlRefused, match=re.escape(case["refused"])):
            normalise_url(case["url"])
    else:
        assert normalise_url(case["url"]) == case["is"]
        assert normalise_url(case["is"]) == case["is"]


@given(st.text(max_size=30), st.text(max_size=40))
def test_normalising_is_total_and_idempotent(host: str, path: str) -> None:
    """Any text is either refused by UrlRefused or given a form that normalising leaves alone."""
    try:
        once = normalise_url(f"https://{host}/{path}")
    except UrlRefused:
        return
    assert normalise_url(once) == once
    assert once.isascii()
    assert not {".", ".."} & set(once.split("/")[3:])


@given(st.text("abAB%2eEfF./;:@*~é", max_size=20))
def test_a_normalised_path_has_one_meaning(path: str) -> None:
    """However a path is escaped, its form decodes to no slash, dot segment or percent sign that was not written."""
    try:
        form = normalise_url(f"http://h/{path}")
    except UrlRefused:
        return
    assert normalise_url(form) == form
    assert not re.search(r"%(2[fF5eE]|5[cC]|00|[46][1-9A-F])", form)


@pytest.mark.parametrize("case", DECISIONS, ids=lambda c: c["name"])
def test_decisions_follow_the_scopes(case: dict[str, Any]) -> None:
    """Each request of the cases is allowed or denied as the case says, with its grant or a reason."""
    scopes = scopes_of(case)
    for question in case["decide"]:
        decision = decide(scopes, Request(*question["ask"]))
        assert decision.effect.word == question["is"], question
        assert bool(decision.grant) == decision.allowed
        assert bool(decision.reason) != decision.allowed
        if decision.allowed:
            assert decision.grant in {grant.id for grant in scopes.grants}
            assert decision.where.startswith("agent.yaml:")


@pytest.mark.parametrize("case", DECISIONS, ids=lambda c: c["name"])
def test_what_is_allowed_is_listed(case: dict[str, Any]) -> None:
    """An operation that some request may use is worth listing, and one that `never` forbids is not."""
    scopes = scopes_of(case)
    for question in case["decide"]:
        tool, operation, verb, _ = question["ask"]
        if question["is"] == "allow":
            assert may_use(scopes, tool, operation, verb)
        elif any(matches(n.pattern, f"{tool}.{operation}") for n in scopes.never):
            assert not may_use(scopes, tool, operation, verb)


def test_a_call_that_no_grant_names_is_not_listed() -> None:
    """The pattern of a `call` grant names operations; that of another verb names objects, which no list knows."""
    grants = (Grant("a", "desk", "call", "run*", "agent.yaml:1"), Grant("b", "files", "read", "docs/*", "agent.yaml:2"))
    scopes = ScopeSet(grants=grants, never=())
    assert may_use(scopes, "desk", "run_all", "call")
    assert not may_use(scopes, "desk", "forbidden", "call")
    assert may_use(scopes, "files", "fetch", "read")


@given(patterns, texts)
def test_matching_is_that_of_a_regular_expression(pattern: str, text: str) -> None:
    """A glob matches what the regular expression with `.*` for each `*` matches."""
    form = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, text) == bool(re.fullmatch(form, text, re.DOTALL))


@given(patterns, patterns, texts)
def test_what_is_covered_is_matched(wide: str, narrow: str, text: str) -> None:
    """If one pattern covers another, no text matches the narrow one and not the wide one."""
    if covers(wide, narrow) and matches(narrow, text):
        assert matches(wide, text)


@given(patterns, patterns)
def test_covering_is_exact(wide: str, narrow: str) -> None:
    """If one pattern does not cover another, a text proves it: the narrow one with something new for each `*`."""
    if not covers(wide, narrow):
        witness = narrow.replace("*", "z")
        assert matches(narrow, witness)
        assert not matches(wide, witness)


@given(patterns, patterns, patterns)
def test_covering_is_an_order(a: str, b: str, c: str) -> None:
    """Covering is reflexive and transitive, and `*` covers everything."""
    assert covers(a, a)
    assert covers("*", a)
    if covers(a, b) and covers(b, c):
        assert covers(a, c)


def test_matching_does_not_explode() -> None:
    """A pattern of many stars against a long text that nearly matches takes no noticeable time."""
    assert not matches("*a" * 40 + "b", "a" * 5000)


@given(st.lists(st.tuples(patterns, st.sampled_from(["read", "call"])), max_size=4), patterns, texts)
def test_adding_never_never_allows_more(grants: list[tuple[str, str]], never: str, text: str) -> None:
    """Every request is decided the same or lower when a `never` is added."""
    base = ScopeSet(tuple(Grant(grant_id("t", v, p), "t", v, p) for p, v in grants))
    bounded = ScopeSet(base.grants, (Never(never),))
    request = Request("t", text, "read", text)
    assert decide(bounded, request).effect <= decide(base, request).effect
    if matches(never, f"t.{text}"):
        assert decide(bounded, request).effect is Effect.DENY


@given(patterns, patterns, texts)
def test_a_covered_grant_allows_no_more(wide: str, piece: str, text: str) -> None:
    """A grant whose `*` is replaced by anything narrower never allows a request that was denied."""
    narrow = wide.replace("*", piece)
    assert covers(wide, narrow)
    request = Request("t", "op", "read", text)
    before = decide(ScopeSet((Grant("w", "t", "read", wide),)), request)
    after = decide(ScopeSet((Grant("n", "t", "read", narrow),)), request)
    assert after.effect <= before.effect


def test_ids_of_grants_are_of_their_content() -> None:
    """A grant's id depends on tool, verb and pattern and on nothing else, and their borders cannot be confused."""
    assert grant_id("a", "read", "*") == grant_id("a", "read", "*")
    assert (
        len({grant_id("a", "b", "c"), grant_id("ab", "", "c"), grant_id("a", "bc", ""), grant_id("", "ab", "c")}) == 4
    )
    assert re.fullmatch(r"[0-9a-f]{12}", grant_id("a", "read", "*"))
