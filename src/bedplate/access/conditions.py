"""Whether conditions hold, and how they read. Pure.

Goes in: a condition, the arguments of a request and the claims of its session. `holds` is for `where`, `asks` for
`ask`: what cannot be read fails the one and means the other, so that it never opens anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.access.globs import matches
from bedplate.access.model import Ask, Claim, Condition, Grant, Kind, Present, Span, Spans, Subset, Test, Texts
from bedplate.access.values import DOMAINS, UNIT, given, network, number, read, spelled

__all__ = ["asks", "claim_text", "given", "holds", "network", "number", "read", "said", "spelled", "tested"]


def holds(condition: Condition, args: Mapping[str, Any], session: Mapping[str, Any]) -> bool:
    """Whether the argument is there, is of its kind and passes the test; `Present(False)`: whether it is not there."""
    value = given(condition.path, args)
    if condition.test == Present(False):
        return value is None
    found = None if value is None else read(condition.kind, value)
    return found is not None and tested(condition.test, found, session)


def asks(ask: Ask, args: Mapping[str, Any], session: Mapping[str, Any]) -> bool:
    """Whether a person is to be asked: always, or where a test holds or its argument cannot be read."""
    return ask.always or any(
        read(condition.kind, given(condition.path, args)) is None or holds(condition, args, session)
        for condition in ask.when
    )


def tested(test: Test, value: int | str | tuple[str, ...], session: Mapping[str, Any]) -> bool:
    """Whether a value that was read passes."""
    match test, value:
        case Present(present=present), _:
            return present
        case Texts(globs=globs), str():
            return any(matches(glob, value) for glob in globs)
        case Spans(spans=spans), int():
            return any((low is None or low <= value) and (high is None or value <= high) for low, high in spans)
        case Subset(globs=globs), tuple():
            return all(any(matches(glob, element) for glob in globs) for element in value)
        case Claim(name=name), str() | int():
            return claim_text(session, name) == str(value)
        case _:
            return False


def claim_text(session: Mapping[str, Any], name: str) -> str | None:
    """The text of a claim: a text, or a whole number in digits. Anything else is as if it were absent."""
    match session.get(name):
        case str() as text:
            return read("string", text)  # type: ignore[return-value]
        case int() as count if not isinstance(count, bool):
            return str(count)
        case _:
            return None


def said(condition: Condition) -> str:
    """A condition in words that do not depend on how it was written: `amount ≤ 100`, `currency in [EUR, USD]`."""
    name = ".".join(condition.path)
    match condition.test:
        case Present(present=present):
            return f"{name} {'given' if present else 'not given'}"
        case Claim(name=claim):
            return f"{name} = session {claim}"
        case Subset(globs=globs):
            return f"{name} all in [{', '.join(sorted(set(globs)))}]"
        case Texts(globs=globs):
            return f"{name} {_choice(sorted(set(globs)))}"
        case Spans(spans=spans):
            return f"{name} {_spans(condition.kind, spans)}"


def clauses(grant: Grant) -> str:
    """What a grant demands besides its pattern, in words; "" where nothing. The order written does not matter."""
    where = sorted({said(c) for c in grant.conditions})
    only = [] if grant.only is None else [f"only {', '.join(sorted(grant.only)) or 'no arguments'}"]
    parts = [f"where {', '.join(where)}"] if where else []
    return "; ".join([*parts, *only, *([_asking(grant.ask)] if grant.ask else [])])


def _asking(ask: Ask) -> str:
    return "asks" if ask.always else f"asks where {' or '.join(sorted({said(c) for c in ask.when}))}"


def _choice(globs: Sequence[str]) -> str:
    return f"= {globs[0]}" if len(globs) == 1 and "*" not in globs[0] else f"in [{', '.join(globs)}]"


def _spans(kind: Kind, spans: Sequence[Span]) -> str:
    if len(spans) == 1:
        return _span(kind, spans[0])
    return f"in [{', '.join(_range(kind, span) for span in spans)}]"


def _span(kind: Kind, span: Span) -> str:
    if span[0] == span[1] and span[0] is not None:
        return f"= {_word(kind, span[0])}"
    least, most = DOMAINS[kind]
    low, high = (None if span[0] == least else span[0]), (None if span[1] == most else span[1])
    match low, high:
        case None, None:
            return "of any value"
        case None, int():
            return _at_most(kind, high)
        case int(), None:
            return _at_least(kind, low)
        case _:
            return f"in {_range(kind, span)}"


def _at_most(kind: Kind, high: int) -> str:
    """`< 50` where the number itself would be a tick below a round one."""
    return f"< {_word(kind, high + 1)}" if _ticks(kind, high + 1, high) else f"≤ {_word(kind, high)}"


def _at_least(kind: Kind, low: int) -> str:
    return f"> {_word(kind, low - 1)}" if _ticks(kind, low - 1, low) else f"≥ {_word(kind, low)}"


def _ticks(kind: Kind, rounder: int, number: int) -> bool:
    unit = {"decimal": UNIT // 100, "time": 1000}.get(kind, 0)
    return bool(unit) and rounder % unit == 0 and number % unit != 0


def _range(kind: Kind, span: Span) -> str:
    low, high = span
    if low == high and low is not None:
        return _word(kind, low)
    return f"{'' if low is None else _word(kind, low)}..{'' if high is None else _word(kind, high)}"


def _word(kind: Kind, value: int) -> str:
    return str(spelled(kind, value)).lower() if kind == "boolean" else str(spelled(kind, value))
