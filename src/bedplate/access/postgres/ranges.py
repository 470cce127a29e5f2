"""Ranges of the whole numbers that values are, with both ends given. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bedplate.access.model import Kind, Span
from bedplate.access.values import DOMAINS, network

V6 = 1 << 32
"""The first number of an IPv6 address among the whole numbers of addresses."""
_MAPPED = network("::ffff:0:0/96")


def clamped(kind: Kind, spans: Sequence[Span]) -> tuple[tuple[int, int], ...]:
    """The spans with both ends, inside of what the kind can hold."""
    least, most = DOMAINS[kind]
    ends = [
        (least if low is None else max(low, least), most if high is None else min(high, most)) for low, high in spans
    ]
    return tuple((low, high) for low, high in ends if low <= high)


def intersection(a: Iterable[tuple[int, int]], b: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for low, high in a:
        for least, most in b:
            if max(low, least) <= min(high, most):
                yield max(low, least), min(high, most)


def joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sorted, and one where they touch."""
    made: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], high))
        else:
            made.append((low, high))
    return tuple(made)


def without_mapped(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Cut where IPv4 ends, so that joined spans say networks of one kind; without addresses that are no value."""
    assert _MAPPED is not None
    first, last = _MAPPED
    assert first is not None
    assert last is not None
    return tuple(intersection(spans, ((0, V6 - 1), (V6, first - 1), (last + 1, V6 + (1 << 128) - 1))))


def within(narrow: Iterable[tuple[int, int]], wide: Iterable[tuple[int, int]]) -> bool:
    """Whether every number of the one is in the other."""
    outer = joined(wide)
    return all(any(least <= low and high <= most for least, most in outer) for low, high in narrow)
