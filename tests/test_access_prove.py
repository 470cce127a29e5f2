"""The prover: by cases, against brute force over small domains, and against what a change of form may not do."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bedplate.access import (
    Argument,
    Ask,
    Claim,
    Condition,
    Grant,
    Never,
    Operation,
    Present,
    Request,
    ScopeSet,
    Spans,
    Subset,
    Texts,
    decide,
)
from bedplate.access.answers import Narrower, Same, Unproved, Wider
from bedplate.access.prove import widens

VERBS = {"t": "call", "u": "read"}
patterns = st.sampled_from(["*", "a", "b", "a*", "*b", "ab"])
globs = st.lists(st.sampled_from(["*", "x", "y", "x*", "*y", "1", "2"]), min_size=1, max_size=2).map(tuple)
spans = st.sampled_from([((None, 1),), ((2, None),), ((1, 2),), ((0, 0), (3, None)), ((2, 2),), ((None, None),)])


def condition(path: str, kind: Any, test: st.SearchStrategy[Any]) -> st.SearchStrategy[Condition]:
    """A condition on a path."""
    return st.builds(lambda t: Condition(tuple(path.split(".")), kind, t), test)


conditions = st.one_of(
    condition("n", "integer", st.builds(Spans, spans) | st.just(Claim("c"))),
    condition("s", "string", st.builds(Texts, globs) | st.sampled_from([Claim("c"), Claim("k")])),
    condition("o.s", "string", st.builds(Texts, globs) | st.just(Claim("c")) | st.builds(Present, st.booleans())),
    condition("o", "string", st.builds(Present, st.booleans())),
    condition("l", "strings", st.builds(Subset, globs)),
    condition("d", "decimal", st.sampled_from([Spans(((None, 10_000),)), Spans(((5_000, None),)), Present(False)])),
)
asks = (
    st.none()
    | st.builds(lambda c: Ask(tuple(c)), st.lists(conditions, min_size=1, max_size=2))
    | st.just(Ask(always=True))
)
only = st.none() | st.lists(st.sampled_from(["n", "s", "o", "l", "d"]), max_size=3, unique=True).map(tuple)


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """A grant of one of two tools."""
    tool = draw(st.sampled_from(sorted(VERBS)))
    demanded = tuple(draw(st.lists(conditions, max_size=3)))
    return Grant("g", tool, VERBS[tool], draw(patterns), "", demanded, draw(only), draw(asks))


nevers = st.lists(st.sampled_from(["t.a", "*b", "u.*", "*.a*", "t.b*"]).map(Never), max_size=2).map(tuple)
SCHEMAS = (
    Operation("t", "a", (Argument(("n",), "integer", required=True), Argument(("s",), "string", values=("x", "y")))),
    Operation("t", "ab", (Argument(("o",), None), Argument(("o", "s"), "string", required=True)), closed=True),
    Operation("t", "b", (Argument(("d",), "decimal"), Argument(("l",), "strings", values=("x", "2")))),
)
operations = st.sampled_from([(), (), SCHEMAS, SCHEMAS[:2]])
scope_sets = st.builds(ScopeSet, st.lists(grants(), max_size=3).map(tuple), nevers, operations)

VALUES: dict[str, list[Any]] = {
    "n": [None, 0, 1, 2, 3, "x"],
    "s": [None, "x", "y", "xy", "1", "2", "z", 1],
    "o": [None, "x", {}, {"s": "x"}, {"s": "y"}, {"s": "1"}, {"s": "z"}, {"s": 2}],
    "l": [None, [], ["x"], ["z"], ["x", "y"], ["2", "xz"], "x"],
    "d": [None, 0.5, 1, 2, "x"],
    "e": [None, 1],
}
CLAIMS: dict[str, list[Any]] = {"c": [None, "1", "2", "x", "z"], "k": [None, "x", "y"]}


def requests(seed: int, count: int) -> list[Request]:
    """Random requests over small domains."""
    rnd = random.Random(seed)
    found = []
    for _ in range(count):
        tool = rnd.choice(sorted(VERBS))
        name = rnd.choice(["a", "b", "ab", "x", "axb"])
        args = {key: v for key, of in VALUES.items() if (v := rnd.choice(of)) is not None}
        session = {key: v for key, of in CLAIMS.items() if (v := rnd.choice(of)) is not None}
        object_ = name if tool == "t" else rnd.choice(["a", "b", "ab", "x"])
        found.append(Request(tool, name, VERBS[tool], object_, args=args, session=session))
    return found


REQUESTS = requests(1, 4_000)


def never_spent() -> bool:
    """There is always time."""
    return False


def check(old: ScopeSet, new: ScopeSet) -> None:
    """The answer agrees with the decider on every request of the domain."""
    answer = widens(old, new, spent=never_spent)
    match answer:
        case Wider(witness=request):
            assert decide(new, request).effect > decide(old, request).effect
        case Unproved(reason=reason):
            assert "pinned" in reason, reason
        case Same() | Narrower():
            pairs = [(decide(old, r).effect, decide(new, r).effect, r) for r in REQUESTS]
            assert not [r for was, now, r in pairs if now > was]
            assert isinstance(answer, Narrower) or not [r for was, now, r in pairs if now < was]


@given(scope_sets, scope_sets)
def test_the_prover_agrees_with_the_decider(old: ScopeSet, new: ScopeSet) -> None:
    """Wider has a witness that the decider confirms; where it says not wider, no request of the domain is raised."""
    check(old, new)


@given(scope_sets, st.data())
def test_the_prover_agrees_on_small_changes(old: ScopeSet, data: st.DataObject) -> None:
    """The same where one grant lost or gained a condition, an ask or its list of arguments."""
    grants_ = [data.draw(changed(grant)) for grant in old.grants]
    check(old, replace(old, grants=tuple(grants_)))


def changed(grant: Grant) -> st.SearchStrategy[Grant]:
    """A grant with one thing of it replaced."""
    return st.one_of(
        st.builds(lambda c: replace(grant, conditions=(*grant.conditions, c)), conditions),
        st.just(replace(grant, conditions=grant.conditions[1:])),
        st.builds(lambda a: replace(grant, ask=a), asks),
        st.builds(lambda o: replace(grant, only=o), only),
        st.builds(lambda p: replace(grant, pattern=p), patterns),
    )
