"""Sets of whole numbers as spans, and numbers of them that people would write. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bedplate.access.model import Span
from bedplate.access.values import DOMAINS, UNIT

Closed = tuple[int, int]
"""Both ends belong to it."""
_LIKELY = {"time": (1_767_225_600_000,), "ip": (3_221_225_985, 3_325_256_705)}
"""2026-01-01, and two addresses for documentation (RFC 5737)."""
_ROUND = {"decimal": UNIT // 100, "time": 1000}
"""What a person writes no finer than."""


def closed(spans: Iterable[Span], domain: Closed) -> tuple[Closed, ...]:
    """The spans within a domain, sorted, with those that touch joined."""
    least, most = domain
    found: list[Closed] = []
    for low, high in sorted(
        (least if a is None else max(a, least), most if b is None else min(b, most)) for a, b in spans
    ):
        if low > high:
            continue
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def both(a: Sequence[Closed], b: Sequence[Closed]) -> tuple[Closed, ...]:
    """What lies in both."""
    found: list[Closed] = []
    i = j = 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low <= high:
            found.append((low, high))
        i, j = (i + 1, j) if a[i][1] < b[j][1] else (i, j + 1)
    return tuple(found)


def others(spans: Sequence[Closed], domain: Closed) -> tuple[Closed, ...]:
    """What of a domain lies in none of the spans."""
    found: list[Closed] = []
    at = domain[0]
    for low, high in spans:
        if low > at:
            found.append((at, low - 1))
        at = high + 1
    return (*found, (at, domain[1])) if at <= domain[1] else tuple(found)


def whole(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans of ten-thousandths as spans of whole units."""
    return tuple((None if a is None else -(-a // UNIT), None if b is None else b // UNIT) for a, b in spans)


def pick(shape: str, spans: Sequence[Closed]) -> Iterator[int]:
    """Numbers of the spans without repetition: first one that a person would write, near a border where there is one.

    It ends only where the spans do.
    """
    seen: set[int] = set()
    ordered = sorted(spans, key=_strangeness)
    likely = [n for n in _LIKELY.get(shape, ()) if any(a <= n <= b for a, b in spans)]
    for found in (*likely, *(_near(shape, span) for span in ordered)):
        if found not in seen:
            seen.add(found)
            yield found
    for low, high in ordered:
        yield from (n for n in range(low, high + 1) if n not in seen)


def _strangeness(span: Closed) -> tuple[int, int]:
    """Positive spans first, from the least; then those of zero; then negative ones."""
    low, high = span
    return (0, low) if low > 0 else (1, 0) if high >= 0 else (2, -high)


def _near(shape: str, span: Closed) -> int:
    """A round number by the end that matters: the low one of what is above zero, else the high one."""
    low, high = span
    step = _ROUND.get(shape, 1)
    if low > 0:
        if shape == "ip" and low < high and low % 256 == 0:
            return low + 1  # the address of a network itself is nobody's
        up = -(-low // step) * step
        return up if up <= high else low
    if high < DOMAINS["decimal"][1] // UNIT:
        down = high // step * step
        return down if down >= low else high
    return UNIT if shape == "decimal" else 1
