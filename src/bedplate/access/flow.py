"""The rule of two: untrusted input, private data, outside effect; at most two without a person in between. Pure.

The rule is Meta's "Agents Rule of Two" (31 October 2025). The three are read from the compiled grants; labels of the
manifest say what a source or a tool's answers are, and without labels its kind does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bedplate.access.facts import READING, Facts, Label, Route, ToolFacts, route
from bedplate.access.globs import covers
from bedplate.access.model import Grant, ScopeSet

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
    found = [next(_legs(usable, facts, test), None) for test in (_untrusted, _private, _effect)]
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
    if way.data:
        reads = grant.verb in _READS
        return f"{way.data.name} is untrusted" if reads and "untrusted" in _labels(way) else ""
    if tool.labels is not None:
        return f"{tool.name} is untrusted" if "untrusted" in tool.labels else ""
    # Whoever answers from elsewhere may say anything.
    outside = way.kind == "egress" or (way.kind == "call" and (tool.kind == "http" or tool.remote))
    return f"{tool.name} answers from outside" if outside else ""


def _private(grant: Grant, tool: ToolFacts, way: Route) -> str:
    """Whether what a grant brings in is nobody else's business."""
    if tool.kind == "memory":
        return "memory holds what users said" if grant.verb == "read" else ""
    if way.data:
        reads = grant.verb in _READS
        return f"{way.data.name} is private" if reads and "private" in _labels(way) else ""
    return f"{tool.name} is private" if tool.labels and "private" in tool.labels else ""


def _effect(grant: Grant, tool: ToolFacts, way: Route) -> str:
    """Whether a grant changes or tells something outside without a person being asked each time."""
    if grant.ask and grant.ask.always:
        return ""
    match way.kind:
        case "data" | "sql":
            changes = grant.verb not in _READS
            return f"{grant.tool} may {grant.verb} {grant.pattern}" if changes else ""
        case "egress":
            return _told(grant)
        case "call" if tool.kind == "http":
            return _told(grant)
        case "call" if tool.kind == "state":
            return f"{grant.tool} may write {grant.pattern}, which other agents read" if grant.verb == "write" else ""
        case "call" if tool.remote:
            return f"{grant.tool} runs elsewhere"
        case _:
            return ""


def _told(grant: Grant) -> str:
    """A request that only reads still tells what stands in a free part of its URL."""
    if grant.verb in READING and "*" not in grant.pattern:
        return ""
    return f"{grant.tool} may {grant.verb} {grant.pattern}"


def _labels(way: Route) -> frozenset[Label]:
    assert way.data is not None
    return _DEFAULT[way.data.kind] if way.data.labels is None else way.data.labels


def _forbidden(grant: Grant, scopes: ScopeSet) -> bool:
    name = f"{grant.tool}.{grant.pattern}" if grant.verb == "call" else f"{grant.tool}.*"
    return any(covers(never.pattern, name) for never in scopes.never)
