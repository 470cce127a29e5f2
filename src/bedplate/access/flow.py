"""The rule of two: untrusted input, private data, outside effect; at most two without a person in between. Pure.

The rule is Meta's "Agents Rule of Two" (31 October 2025). The three are read from the compiled grants; labels of the
manifest say what a source or a tool's answers are, beside what their kind says; only `public` lifts that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bedplate.access.facts import READING, Facts, Label, Route, ToolFacts, route
from bedplate.access.globs import covers
from bedplate.access.model import Grant, Operation, ScopeSet, Spans, Test, Texts

RISK = "rule-of-two"
"""The name of the risk in `accept`."""
_DEFAULT: dict[str, frozenset[Label]] = {
    "files": frozenset(),
    "postgres": frozenset({"private"}),
    "s3": frozenset({"private"}),
    "dynamodb": frozenset({"private"}),
}
_READS = frozenset({"read", "list", "get", "query", *READING})


@dataclass(frozen=True)
class Leg:
    """One of the three, shown by a grant: what it is in words, and the line."""

    what: str
    where: str


@dataclass(frozen=True)
class Path:
    """The way that makes all three true: where input comes from, what private data it meets, how it gets out."""

    untrusted: Leg
    private: Leg
    effect: Leg

    @property
    def text(self) -> str:
        """The way in one line."""
        return " → ".join(f"{leg.what} ({leg.where})" if leg.where else leg.what for leg in self.legs)

    @property
    def legs(self) -> tuple[Leg, Leg, Leg]:
        """The three in their order."""
        return self.untrusted, self.private, self.effect


def rule_of_two(scopes: ScopeSet, facts: Facts) -> Path | None:
    """The first way through all three; None where at most two hold, or a person is asked before each outside effect.

    Raises KeyError where a grant's tool or source is none of `facts`.
    """
    usable = [grant for grant in scopes.grants if not _forbidden(grant, scopes)]
    tests = (_untrusted, _private, partial(_effect, scopes.operations))
    found = [next(_legs(usable, facts, test), None) for test in tests]
    match found:
        case [Leg() as untrusted, Leg() as private, Leg() as effect]:
            return Path(untrusted, private, effect)
        case _:
            return None


def _legs(grants: list[Grant], facts: Facts, test: Callable[[Grant, ToolFacts, Route], str]) -> Iterator[Leg]:
    for grant in grants:
        if said := test(grant, facts.tool(grant.tool), route(grant, facts)):
            yield Leg(said, grant.where)


def _untrusted(grant: Grant, tool: ToolFacts, way: Route) -> str:
    """Whether what a grant brings in may have been written by anybody."""
    if way.data and grant.verb not in _READS:
        return ""
    if way.data and "untrusted" in _labels(_DEFAULT[way.data.kind], way.data.labels):
        return f"{way.data.name} is untrusted"
    if "untrusted" in (tool.labels or ()):
        return f"{tool.name} is untrusted"
    # Whoever answers from elsewhere may say anything.
    outside = way.kind == "egress" or (way.kind == "call" and (tool.kind == "http" or tool.remote))
    return f"{tool.name} answers from outside" if outside and "public" not in (tool.labels or ()) else ""


def _private(grant: Grant, tool: ToolFacts, way: Route) -> str:
    """Whether what a grant brings in is nobody else's business."""
    if tool.kind == "memory":
        return "memory holds what users said" if grant.verb == "read" else ""
    if way.data and grant.verb not in _READS:
        return ""
    if way.data and "private" in _labels(_DEFAULT[way.data.kind], way.data.labels):
        return f"{way.data.name} is private"
    return f"{tool.name} is private" if "private" in (tool.labels or ()) else ""


def _effect(operations: Sequence[Operation], grant: Grant, tool: ToolFacts, way: Route) -> str:
    """Whether a grant changes or tells something outside without a person being asked each time."""
    if grant.ask and grant.ask.always:
        return ""
    match way.kind:
        case "data" | "sql":
            changes = grant.verb not in _READS
            return f"{grant.tool} may {grant.verb} {grant.pattern}" if changes else ""
        case "egress":  # whatever the path, the query is free
            return f"{grant.tool} may {grant.verb} {grant.pattern}"
        case "call" if tool.kind == "http":
            return "" if _tells_nothing(grant, operations) else f"{grant.tool} may {grant.verb} {grant.pattern}"
        case "call" if tool.kind == "state":
            return f"{grant.tool} may write {grant.pattern}, which other agents read" if grant.verb == "write" else ""
        case "call" if tool.remote:
            return f"{grant.tool} runs elsewhere"
        case _:
            return ""


def _tells_nothing(grant: Grant, operations: Sequence[Operation]) -> bool:
    """Whether every request of a grant is one that was written down: it only reads, and nothing in it is free."""
    if grant.verb not in READING or "*" in grant.pattern:
        return False
    reached = [o for o in operations if o.tool == grant.tool and o.method.lower() == grant.verb]
    fixed = {condition.path for condition in grant.conditions if _is_one_value(condition.test)}
    return bool(reached) and all(argument.path in fixed for o in reached for argument in o.arguments)


def _is_one_value(test: Test) -> bool:
    match test:
        case Texts(globs=(only,)):
            return "*" not in only
        case Spans(spans=((low, high),)):
            return low is not None and low == high
        case _:
            return False


def _labels(default: frozenset[Label], written: frozenset[Label] | None) -> frozenset[Label]:
    """What is written adds to what the kind says; only `public` takes that away."""
    given = written or frozenset()
    return given if "public" in given else given | default


def _forbidden(grant: Grant, scopes: ScopeSet) -> bool:
    name = f"{grant.tool}.{grant.pattern}" if grant.verb == "call" else f"{grant.tool}.*"
    return any(covers(never.pattern, name) for never in scopes.never)
