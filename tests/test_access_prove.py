"""The prover: by cases, against brute force over small domains, and against what a change of form may not do."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.access import (
    Argument,
    Ask,
    Budget,
    Claim,
    Condition,
    Effect,
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
from bedplate.access.findings import compare
from bedplate.access.gains import gains
from bedplate.access.prove import widens
from bedplate.access.prover import patience
from bedplate.access.reach import Reach

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
numbered = st.lists(grants(), max_size=3).map(lambda found: tuple(replace(g, id=f"g{i}") for i, g in enumerate(found)))
scope_sets = st.builds(ScopeSet, numbered, nevers, operations)

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


REQUESTS = requests(1, 1_500)


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


def same(old: ScopeSet, new: ScopeSet) -> None:
    """Neither proof nor findings see a difference."""
    assert isinstance(widens(old, new, spent=never_spent), Same)
    assert compare(Reach(old), Reach(new)) == ()


@given(scope_sets, st.randoms(use_true_random=False))
def test_form_means_nothing(scopes: ScopeSet, rnd: random.Random) -> None:
    """Renaming, reordering grants, conditions and values, and adding what is covered is neither wider nor narrower."""
    shuffled = [shuffle(grant, rnd) for grant in scopes.grants]
    pieces = [replace(grant, conditions=(*grant.conditions, *rnd.choice(PIECES))) for grant in scopes.grants]
    grants_ = [*shuffled, *pieces]
    rnd.shuffle(grants_)
    same(scopes, replace(scopes, grants=tuple(grants_), never=tuple(reversed(scopes.never))))
    same(replace(scopes, grants=tuple(grants_)), scopes)


PIECES: list[tuple[Condition, ...]] = [
    (),
    (Condition(("n",), "integer", Spans(((1, 2),))),),
    (Condition(("s",), "string", Texts(("x",))), Condition(("o", "s"), "string", Claim("c"))),
    (Condition(("l",), "strings", Subset(("x",))),),
]


def shuffle(grant: Grant, rnd: random.Random) -> Grant:
    """The same grant written otherwise."""
    turned = [replace(c, where="agent.yaml:9", test=turn(c.test)) for c in grant.conditions]
    rnd.shuffle(turned)
    ask = grant.ask and replace(grant.ask, when=tuple(reversed(grant.ask.when)))
    listed = grant.only and tuple(reversed(grant.only))
    return replace(grant, id="other", where="agent.yaml:7", conditions=tuple(turned), ask=ask, only=listed)


def turn(test: Any) -> Any:
    """A test with its alternatives in another order."""
    return replace(test, globs=tuple(reversed(test.globs))) if isinstance(test, Texts | Subset) else test


@given(scope_sets, st.integers(0, 2), st.sampled_from(["n", "d"]))
def test_a_split_range_is_the_same(scopes: ScopeSet, at: int, path: str) -> None:
    """A grant with a bound is the same as two that share its range, and a merge of two as both."""
    kind: Any = {"n": "integer", "d": "decimal"}[path]
    low, high, all_ = (Condition((path,), kind, Spans((span,))) for span in ((None, at), (at + 1, None), (None, None)))
    whole = tuple(replace(g, conditions=(*g.conditions, all_)) for g in scopes.grants)
    parts = tuple(replace(g, conditions=(c, *g.conditions)) for g in scopes.grants for c in (low, high))
    same(replace(scopes, grants=whole), replace(scopes, grants=parts))
    same(replace(scopes, grants=parts), replace(scopes, grants=whole))


def test_what_opens_is_always_wider() -> None:
    """Dropping an ask, raising a bound or a threshold, removing a `never`, a condition or a list of names is wider."""
    base = Grant(
        "g", "t", "call", "pay", "", (Condition(("d",), "decimal", Spans(((None, 100),))),), ("d", "s"),
        Ask((Condition(("d",), "decimal", Spans(((50, None),))),)),
    )  # fmt: skip
    never = (Never("*.drop"), Never("t.p*y"))
    wider = [
        replace(base, ask=None),
        replace(base, ask=Ask((Condition(("d",), "decimal", Spans(((51, None),))),))),
        replace(base, conditions=(Condition(("d",), "decimal", Spans(((None, 101),))),)),
        replace(base, conditions=()),
        replace(base, only=None),
        replace(base, only=("d", "s", "x")),
        replace(base, pattern="pa*"),
    ]
    for grant in wider:
        assert isinstance(widens(ScopeSet((base,)), ScopeSet((grant,)), spent=never_spent), Wider), grant
        assert isinstance(widens(ScopeSet((grant,)), ScopeSet((base,)), spent=never_spent), Narrower), grant
    assert isinstance(widens(ScopeSet((base,), never), ScopeSet((base,), never[:1]), spent=never_spent), Wider)
    assert isinstance(widens(ScopeSet((base,), never), ScopeSet((base,), never[1:]), spent=never_spent), Same)


@given(scope_sets, scope_sets)
def test_findings_are_those_of_the_proof(old: ScopeSet, new: ScopeSet) -> None:
    """There is a wider finding where the prover says so, each witness shows it, and none where nothing is raised."""
    answer = widens(old, new, spent=never_spent)
    found = compare(Reach(old), Reach(new))
    risen = [f for f in found if f.effect in {"wider", "unproved"}]
    assert bool(risen) == isinstance(answer, Wider | Unproved)
    for gain in gains(Reach(old), Reach(new), {}):
        assert gain.request is not None
        assert decide(new, gain.request).effect > decide(old, gain.request).effect


def test_no_time_is_no_proof() -> None:
    """When time is up the answer is unproved, and says so; so it is where another judge disagrees."""
    old, new = (ScopeSet((Grant("g", "t", "call", "*", conditions=(c,)),)) for c in PIECES[2])
    assert widens(old, new, spent=lambda: True) == Unproved("time is up")
    answer = widens(old, new, spent=never_spent, oracle=lambda request, scopes: Effect.ALLOW)
    assert isinstance(answer, Unproved)
    assert "another judge" in answer.reason
    honest = widens(old, new, spent=never_spent, oracle=lambda request, scopes: decide(scopes, request).effect)
    assert isinstance(honest, Wider)


@settings(max_examples=40)
@given(scope_sets, st.data())
def test_cedar_confirms_each_witness(old: ScopeSet, data: st.DataObject) -> None:
    """The Cedar engine, asked about both sides' compiled policies, never disagrees with the decider on a witness."""
    pytest.importorskip("cedarpy", reason="the replay in Cedar needs the extra `cedar`")
    from bedplate.access.cedar.replay import oracle

    new = replace(old, grants=tuple(data.draw(changed(grant)) for grant in old.grants))
    answer = widens(old, new, spent=never_spent, oracle=oracle)
    assert "judge" not in getattr(answer, "reason", "")


TILES = range(5)


def test_what_many_cover_together_is_proved_in_few_steps() -> None:
    """125 boxes that fill a cube cover it, and without one of them the witness lies in the gap."""
    kind: Any = "integer"

    def box(*at: tuple[int, int]) -> Grant:
        conditions_ = (Condition((name,), kind, Spans((span,))) for name, span in zip("abc", at, strict=True))
        return Grant(f"g{at}", "t", "call", "a", "", tuple(conditions_))

    spans_ = [(i * 10, i * 10 + 9) for i in TILES]
    boxes = [box(a, b, c) for a in spans_ for b in spans_ for c in spans_]
    cube = ScopeSet((box((0, 49), (0, 49), (0, 49)),))
    assert widens(ScopeSet(tuple(boxes)), cube, spent=patience(5_000)) == Same()
    gap = boxes.pop(31)
    answer = widens(ScopeSet(tuple(boxes)), cube, spent=patience(5_000))
    assert isinstance(answer, Wider)
    assert decide(ScopeSet((gap,)), answer.witness).allowed


@pytest.mark.parametrize("order", [1, -1])
def test_scopes_that_shared_one_budget_are_not_given_one_each(order: int) -> None:
    """One scope of two patterns has one budget: as two scopes it is wider, as one under less it is narrower."""
    budget = (Budget(5, 3600),)
    names = ("send_a", "send_b")[::order]
    together = ScopeSet(tuple(Grant("one", "mail", "call", name, budgets=budget) for name in names))
    apart = ScopeSet(tuple(Grant(name, "mail", "call", name, budgets=budget) for name in names))
    wide = ScopeSet((Grant("all", "mail", "call", "*", budgets=budget),))
    assert isinstance(widens(together, apart, spent=patience()), Unproved)
    assert isinstance(widens(apart, together, spent=patience()), Narrower)
    assert isinstance(widens(wide, together, spent=patience()), Narrower)
