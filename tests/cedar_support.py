"""Random scope sets and requests: few names, so that they meet, and many odd values, so that none is misread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from bedplate.access import decide
from bedplate.access.cedar.context import typed
from bedplate.access.cedar.emit import compile
from bedplate.access.cedar.evaluate import Decider
from bedplate.access.cedar.model import Policies
from bedplate.access.conditions import claim_text
from bedplate.access.model import (
    Argument,
    Ask,
    Budget,
    Claim,
    Condition,
    Grant,
    Kind,
    Never,
    Operation,
    Present,
    Request,
    ScopeSet,
    Spans,
    Subset,
    Texts,
)
from bedplate.access.values import DOMAINS, given, read, spelled

TOOLS, VERBS, OBJECTS = ("refunds", "docs"), ("call", "read"), ("pay", "pay back", "inbox/a", 'é*"\\x', "")
PATHS = (("a",), ("a", "b"), ("a", "b", "c"), ("amount",), ("odd name", "like"), ("a.b",), ("é~/ |",), ("",))
TEXTS = (
    "",
    "x",
    "USD",
    "EUR",
    "refund 1",
    "a\\\"'\n\0é\U0001f600",
    "*",
    "\u2028",
    "2026-01-01T00:00:00Z",
    "10.0.0.1",
    "7",
)
GLOBS = ("*", "", "x", "USD", "EUR", "refund *", '*\\"*', "a*é**", "*1", "\n*", "7", "pay*", "in*/*")
NUMBERS = (0, 1, 7, -1, 10_000, 1_000_001, 2**31, 2**32, 2**63 - 1, -(2**63), 1_767_225_600_000, 1_767_225_600_001)
ODD: tuple[Any, ...] = (
    None, True, False, float("nan"), float("inf"), -float("inf"), 1e400, 1e300, 1.00005, 0.1, 0.30000000000000004,
    "1.00005", -0.0, 2**63, -(2**63) - 1, 10**40, 922337203685477.5807, [], [[]], ["x", None], ["x", 1], {},
    {"b": None}, {"b": {"c": 1}}, {"b": {"c": "x"}}, {"b": "7"}, {"like": 1}, "\ud800", ["\udfff"], "::ffff:10.0.0.1",
    "fe80::1%eth0", "::1", "10.0.0.256", "2026-01-01T00:00:00.0001Z", "2026-01-01T01:00:00+01:00", "2026-01-01",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999Z", "2026-06-30T23:59:60Z", 7, 7.0, 1767225600000, "x" * 300,
)  # fmt: skip
CLAIMS = ("customer", "odd claim", "7")

globs = st.lists(st.sampled_from(GLOBS), max_size=3).map(tuple)
names = st.sampled_from(TEXTS)


def numbers(kind: Kind) -> st.SearchStrategy[int]:
    """Whole numbers of a kind, near its ends and near each other."""
    least, most = DOMAINS[kind]
    near = [n for base in (*NUMBERS, least, most) for n in (base - 1, base, base + 1) if least <= n <= most]
    return st.sampled_from(near) | st.integers(least, most)


@st.composite
def spans(draw: st.DrawFn, kind: Kind) -> Spans:
    """Up to three spans, sorted and disjoint, open ends among them."""
    ends = sorted(set(draw(st.lists(numbers(kind), max_size=6))))
    pairs: list[tuple[int | None, int | None]] = [
        (a, draw(st.sampled_from((a, b)))) for a, b in zip(ends[::2], ends[1::2], strict=False)
    ]
    if pairs and draw(st.booleans()):
        pairs[0] = (None, pairs[0][1])
    if pairs and draw(st.booleans()):
        pairs[-1] = (pairs[-1][0], None)
    return Spans(tuple(pairs))


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """One condition of any kind with a test that fits it."""
    kind: Kind = draw(st.sampled_from(("string", "integer", "decimal", "boolean", "time", "ip", "strings")))
    present = st.booleans().map(Present)
    match kind:
        case "string":
            test = draw(st.one_of(globs.map(Texts), present, st.sampled_from(CLAIMS).map(Claim)))
        case "strings":
            test = draw(st.one_of(globs.map(Subset), present))
        case "integer":
            test = draw(st.one_of(spans(kind), present, st.sampled_from(CLAIMS).map(Claim)))
        case _:
            test = draw(st.one_of(spans(kind), present))
    return Condition(draw(st.sampled_from(PATHS)), kind, test)


asks = st.builds(Ask, st.lists(conditions(), max_size=2).map(tuple), st.sampled_from((False, False, True)))


@st.composite
def scope_sets(draw: st.DrawFn) -> ScopeSet:
    """Up to four grants with ids of their own, `never`, and pinned operations."""
    grants = tuple(
        Grant(
            id=f"g{n}",
            tool=draw(st.sampled_from(TOOLS)),
            verb=draw(st.sampled_from(VERBS)),
            pattern=draw(st.sampled_from((*OBJECTS[:-2], "*", "pay*", "*a", "é**"))),
            where=f"agent.yaml:{n + 1}",
            conditions=tuple(draw(st.lists(conditions(), max_size=3))),
            only=draw(st.none() | st.none() | st.lists(st.sampled_from([p[0] for p in PATHS]), max_size=4).map(tuple)),
            ask=draw(st.none() | asks),
            budgets=draw(st.sampled_from(((), (), (Budget(20, 3600),)))),
        )
        for n in range(draw(st.integers(0, 4)))
    )
    never = tuple(
        Never(p, "agent.yaml:99") for p in draw(st.lists(st.sampled_from(("*.delete*", "docs.*", "x")), max_size=1))
    )
    pinned = draw(st.lists(operations(), max_size=1)) if draw(st.integers(0, 2)) == 0 else []
    return ScopeSet(grants, never, tuple(pinned))


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """A pinned operation with few arguments."""
    kinds = st.sampled_from(("string", "integer", "decimal", None))
    arguments = [
        Argument(path, draw(kinds), draw(st.booleans()))
        for path in draw(st.lists(st.sampled_from(PATHS), max_size=2, unique=True))
    ]
    return Operation(draw(st.sampled_from(TOOLS)), "pay", tuple(arguments), draw(st.booleans()))


NAMED: dict[Kind, tuple[str, ...]] = {
    "string": ("a", "b"),
    "integer": ("odd name", "like"),
    "decimal": ("amount",),
    "boolean": ("a", "flag"),
    "time": ("at",),
    "ip": ("ip",),
    "strings": ("é~/ |",),
}
"""One argument of each kind, none above another."""


@st.composite
def pinned_sets(draw: st.DrawFn) -> ScopeSet:
    """Scopes on calls of one tool with two pinned operations, as an MCP server behind AgentCore has them."""
    grants = tuple(
        replace(
            grant,
            tool="refunds",
            verb="call",
            pattern=draw(st.sampled_from(("pay", "refund", "*", "pa*", "gone"))),
            conditions=tuple(replace(c, path=NAMED[c.kind]) for c in grant.conditions),
            only=draw(st.none() | st.lists(st.sampled_from([p[0] for p in NAMED.values()]), max_size=6).map(tuple)),
            ask=grant.ask and replace(grant.ask, when=tuple(replace(c, path=NAMED[c.kind]) for c in grant.ask.when)),
        )
        for grant in draw(scope_sets()).grants
    )
    never = tuple(Never(p) for p in draw(st.lists(st.sampled_from(("*.refund", "docs.*")), max_size=1)))
    return ScopeSet(grants, never, tuple(draw(_pinned(name)) for name in ("pay", "refund")))


@st.composite
def _pinned(draw: st.DrawFn, name: str) -> Operation:
    kinds = draw(st.lists(st.sampled_from(list(NAMED)), min_size=5, max_size=7, unique=True))
    arguments = [Argument(NAMED[kind], kind) for kind in kinds]
    return Operation("refunds", name, (*arguments, Argument(("opaque",), None)), draw(st.integers(0, 3)) > 0)


@st.composite
def calls(draw: st.DrawFn, scopes: ScopeSet) -> Request:
    """A call that the pinned operation takes, or nearly."""
    operation = draw(st.sampled_from(scopes.operations))
    args: dict[str, Any] = {}
    for argument in operation.arguments:
        value = draw(st.none() | values(scopes))
        if argument.kind and value is not None and read(argument.kind, value) is None:
            value = draw(st.none() | st.just(_LIKELY[argument.kind]))
        here = args
        for step in argument.path[:-1]:
            here = here.setdefault(step, {})
        here[argument.path[-1]] = value
    session = draw(st.dictionaries(st.sampled_from(CLAIMS), st.sampled_from(("x", "", 7, "7", "q"))))
    return Request("refunds", operation.name, "call", operation.name, "user", "tool", args, session)


_LIKELY: dict[Kind, Any] = {
    "string": "x", "integer": 7, "decimal": 0.5, "boolean": True, "time": "2026-01-01T00:00:00Z", "ip": "10.0.0.1",
    "strings": ["x"],
}  # fmt: skip


def agentcore_allows(policies: Policies, request: Request, gateway: str) -> bool:
    """What the Cedar engine says of a call in AgentCore's form: typed input, claims as tags of the caller."""
    import cedarpy

    given_input: dict[str, Any] = {}
    operation = next(op for op in policies.operations if op.name == request.operation)
    for argument in operation.arguments:
        value = given(argument.path, request.args)
        if value is not None:
            here = given_input
            for step in argument.path[:-1]:
                here = here.setdefault(step, {})
            here[argument.path[-1]] = _cedar(argument.kind, value)
    user = {"type": "AgentCore::OAuthUser", "id": "user"}
    tags = {name: claim_text(request.session, name) for name in request.session}
    answer = cedarpy.is_authorized(
        {
            "principal": user,
            "action": {"type": "AgentCore::Action", "id": f"{request.tool}___{request.operation}"},
            "resource": {"type": "AgentCore::Gateway", "id": gateway},
            "context": {"input": given_input},
        },
        policies.text("permit", "never"),
        [{"uid": user, "attrs": {"id": "user"}, "parents": [], "tags": tags}],
    )
    assert not answer.diagnostics.errors, answer.diagnostics.errors
    return answer.allowed


def _cedar(kind: Kind | None, value: Any) -> Any:
    if kind is None:
        return "opaque"
    if kind in ("time", "ip"):
        return value
    found = read(kind, value)
    assert found is not None
    return typed(kind, found)


def near(scopes: ScopeSet) -> st.SearchStrategy[Any]:
    """Values on the borders of the scopes' own tests."""
    found: list[Any] = []
    for grant in scopes.grants:
        for condition in (*grant.conditions, *(grant.ask.when if grant.ask else ())):
            if isinstance(condition.test, Spans):
                least, most = DOMAINS[condition.kind]
                ends = [end for span in condition.test.spans for end in span if end is not None]
                around = {n for end in ends for n in (end - 1, end, end + 1) if least <= n <= most}
                found += [spelled(condition.kind, n) for n in sorted(around)]
            elif isinstance(condition.test, Texts | Subset):
                filled = [glob.replace("*", "q") for glob in condition.test.globs]
                found += [*filled, filled]
    return st.sampled_from(found) if found else st.just("x")


def values(scopes: ScopeSet) -> st.SearchStrategy[Any]:
    """JSON values: near the tests, odd, and any."""
    lists = st.lists(st.sampled_from(TEXTS) | st.sampled_from(GLOBS), max_size=3)
    return st.one_of(near(scopes), near(scopes), st.sampled_from(ODD), names, lists, st.floats(), st.integers())


@st.composite
def requests(draw: st.DrawFn, scopes: ScopeSet) -> Request:
    """A request with up to five arguments, where the scopes look for them."""
    args: dict[str, Any] = {}
    tested = [c.path for g in scopes.grants for c in (*g.conditions, *(g.ask.when if g.ask else ()))]
    for path in (*tested, *draw(st.lists(st.sampled_from(PATHS), max_size=2))):
        if draw(st.integers(0, 9)) == 0:
            continue
        here = args
        for name in path[:-1]:
            inner = here.get(name)
            here[name] = inner if isinstance(inner, dict) else {}
            here = here[name]
        here[path[-1]] = draw(values(scopes))
    grant = draw(st.sampled_from(scopes.grants)) if scopes.grants and draw(st.integers(0, 9)) else None
    object = grant.pattern.replace("*", draw(st.sampled_from(("", "q")))) if grant else draw(st.sampled_from(OBJECTS))
    return Request(
        tool=grant.tool if grant else draw(st.sampled_from(TOOLS)),
        operation=draw(st.sampled_from(("pay", "delete_x", "é\n"))),
        verb=grant.verb if grant else draw(st.sampled_from(VERBS)),
        object=object,
        principal=draw(names),
        args=args,
        session=draw(
            st.dictionaries(st.sampled_from(CLAIMS), st.sampled_from(("x", "", 7, "7", True, None, "\ud800", "q")))
        ),
    )


def decided_alike(data: st.DataObject) -> None:
    """Random requests under random scopes have one effect by the engine and by the model."""
    scopes = data.draw(scope_sets())
    decider = Decider(compile(scopes))
    for request in data.draw(st.lists(requests(scopes), min_size=10, max_size=20)):
        assert decider.decide(request).effect is decide(scopes, request).effect, request


def changed(old: ScopeSet, other: ScopeSet, how: int) -> ScopeSet:
    """`old` with some grants gone, with others, with looser ones, or something else altogether."""
    match how:
        case 0:
            return replace(old, grants=old.grants[1:])
        case 1:
            more = tuple(replace(grant, id=f"new-{grant.id}") for grant in other.grants[:1])
            return replace(old, grants=(*old.grants, *more))
        case 2:
            return replace(old, grants=tuple(replace(g, ask=None, conditions=g.conditions[1:]) for g in old.grants))
        case _:
            return other
