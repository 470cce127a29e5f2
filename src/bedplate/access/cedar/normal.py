"""One spelling of scopes that mean the same thing clause by clause, so that what was compiled can be compared.

The normal form never changes a decision. It drops what Cedar does not hold: budgets, which are counted outside, and
operations, which requests are held against before Cedar is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bedplate.access.automata import collapse
from bedplate.access.model import (
    Ask,
    Claim,
    Condition,
    Grant,
    Kind,
    Never,
    Present,
    ScopeSet,
    Span,
    Spans,
    Subset,
    Test,
    Texts,
)
from bedplate.access.values import DOMAINS

FITS: dict[type[Test], tuple[Kind, ...]] = {
    Texts: ("string",),
    Spans: ("integer", "decimal", "boolean", "time", "ip"),
    Subset: ("strings",),
    Claim: ("string", "integer"),
    Present: ("string", "integer", "decimal", "boolean", "time", "ip", "strings"),
}
"""The kinds that each test can test."""


def normal(scopes: ScopeSet) -> ScopeSet:
    """Grants by id, `never` by pattern, each once, without operations. Raises ValueError for a test of another kind."""
    grants = sorted({normal_grant(grant) for grant in scopes.grants}, key=repr)
    nevers = {collapse(never.pattern): never.where for never in reversed(scopes.never)}
    return ScopeSet(
        grants=tuple(sorted(grants, key=lambda g: g.id)),
        never=tuple(Never(pattern, nevers[pattern]) for pattern in sorted(nevers)),
    )


def normal_grant(grant: Grant) -> Grant:
    """A grant whose clauses have one spelling and one order."""
    return replace(
        grant,
        pattern=collapse(grant.pattern),
        conditions=_ordered(_required(c) for c in grant.conditions),
        only=None if grant.only is None else tuple(sorted(set(grant.only))),
        ask=_asking(grant.ask),
        budgets=(),
    )


def _ordered(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted(set(conditions), key=repr))


def _required(condition: Condition) -> Condition:
    if condition.test == Present(False):  # whatever kind the argument would have: it is not there
        return Condition(condition.path, "string", condition.test)
    return Condition(condition.path, condition.kind, _test(condition))


def _asking(ask: Ask | None) -> Ask | None:
    """None where nobody is ever asked. `given` asks always: where the argument is, and where it is not."""
    if ask is None or (not ask.always and not ask.when):
        return None
    when = _ordered(_asked(c) for c in ask.when)
    if ask.always or any(c.test == Present(True) for c in when):
        return Ask(always=True)
    return Ask(when)


def _asked(condition: Condition) -> Condition:
    """A test that nothing passes asks only where the argument cannot be read; so does `not given`."""
    test = _test(condition)
    empty = test in (Texts(()), Spans(()))
    return Condition(condition.path, condition.kind, Present(False) if empty else test)


def _test(condition: Condition) -> Test:
    kind, test = condition.kind, condition.test
    if kind not in FITS[type(test)]:
        raise ValueError(f"`{test.op}` cannot test {'.'.join(condition.path)}, which is of kind {kind}")
    match test:
        case Texts(globs=globs):
            found = _globs(globs)
            return Present(True) if "*" in found else Texts(found)
        case Subset(globs=globs):
            found = _globs(globs)
            return Present(True) if "*" in found else Subset(found)
        case Spans(spans=spans):
            merged = merge(kind, spans)
            return Present(True) if merged == ((None, None),) else Spans(merged)
        case _:
            return test


def _globs(globs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({collapse(glob) for glob in globs}))


def merge(kind: Kind, spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same numbers in the fewest spans, sorted. An end of the kind's domain is no bound."""
    least, most = DOMAINS[kind]
    merged: list[tuple[int, int]] = []
    for low, high in sorted((_least(span, least), _most(span, most)) for span in spans):
        if low > high:
            continue
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(_open(span, least, most) for span in merged)


def _open(span: tuple[int, int], least: int, most: int) -> Span:
    low, high = span
    return span if low == high else (None if low == least else low, None if high == most else high)


def _least(span: Span, least: int) -> int:
    return least if span[0] is None else max(least, span[0])


def _most(span: Span, most: int) -> int:
    return most if span[1] is None else min(most, span[1])
