"""One value of a condition key: a value that passes some tests and fails others, exactly, by the family of the key."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from typing import TypeAlias

from bedplate.access.iam.document import Network, Pattern, Test
from bedplate.access.iam.operators import Family, family, negated
from bedplate.access.iam.texts import Glob, Spent, Text, find, matches
from bedplate.access.iam.tokens import ARN, glob, letters

# What is asked of a value: a test, and whether it must hold, Not included.
Asked: TypeAlias = tuple[Test, bool]
_LARGEST = {4: 2**32 - 1, 6: 2**128 - 1}


class Mixed(Exception):
    """A key is compared as values of two kinds, so its values have no known kind."""


def family_of(key: str, tests: Iterable[Test]) -> Family:
    """What kind of value a key has, from every test of it. Raises Mixed."""
    found = {family(test.operator.name) for test in tests} - {"null"}
    if found <= {"text"}:
        return "text"
    if found == {"text", "arn"}:
        return "text"
    if found in ({"bool"}, {"bool", "text"}):
        return "bool"
    if len(found) == 1:
        return found.pop()
    raise Mixed(f"{key} is compared as {' and as '.join(sorted(found))}")


def element(kind: Family, asked: Sequence[Asked], liked: Sequence[str], spent: Spent) -> Text | None:
    """A value of a key of that kind for which everything asked is so, or None; one of `liked` if it will do."""
    match kind:
        case "text" | "arn":
            return _text(kind, asked, liked, spent)
        case "bool":
            return _first(("true", "false"), asked, _bool)
        case "binary":
            return _first((*_binaries(asked),), asked, _binary)
        case "number" | "date":
            return _ordered(kind, asked)
        case _:
            return _address(asked)


def globs_of(test: Test) -> tuple[Glob, ...]:
    """The globs of a text or ARN test."""
    name = test.operator.name
    folded, fields = name.endswith("IgnoreCase"), family(name) == "arn"
    return tuple(glob(v, folded=folded, fields=fields) for v in test.values if isinstance(v, Pattern))


def _text(kind: Family, asked: Sequence[Asked], liked: Sequence[str], spent: Spent) -> Text | None:
    wanted: list[tuple[Glob, ...]] = [(ARN,)] if kind == "arn" else []
    refused: list[Glob] = []
    for test, truth in asked:
        if truth != negated(test.operator.name):
            wanted.append(globs_of(test))
        else:
            refused += globs_of(test)
    for choice in map(letters, liked):
        if all(any(matches(g, choice) for g in union) for union in wanted) and not any(
            matches(g, choice) for g in refused
        ):
            return choice
    if any(not union for union in wanted):
        return None
    found = find(wanted, refused, spent)
    # An empty text is rarely what anybody sends: another one if there is one.
    return (find([*wanted, (("??", "**"),)], refused, spent) or found) if found == () else found


def _first(choices: Iterable[str], asked: Sequence[Asked], equal: object) -> Text | None:
    assert callable(equal)
    for choice in choices:
        if all((any(equal(t, v, choice) for v in t.values) != negated(t.operator.name)) == truth for t, truth in asked):
            return letters(choice)
    return None


def _bool(test: Test, value: object, choice: str) -> bool:
    if isinstance(value, Pattern):
        (found,) = globs_of(Test(test.operator, test.key, (value,)))
        return matches(found, letters(choice))
    return str(value).lower() == choice


def _binary(_test: Test, value: object, choice: str) -> bool:
    return isinstance(value, bytes) and base64.b64encode(value).decode() == choice


def _binaries(asked: Sequence[Asked]) -> list[str]:
    named = [value for test, _ in asked for value in test.values if isinstance(value, bytes)]
    other = next(text for n in range(len(named) + 1) if (text := b"other" + bytes([65 + n])) not in named)
    return [base64.b64encode(value).decode() for value in (*named, other)]


def _ordered(kind: Family, asked: Sequence[Asked]) -> Text | None:
    """At every bound, between neighbours and beyond both ends: every test is constant between its bounds."""
    bounds = sorted({v for test, _ in asked for v in test.values if isinstance(v, Decimal)})
    if not bounds:
        bounds = [Decimal(1), Decimal(2)] if kind == "number" else [Decimal(1767225600)]
    points = list(bounds)
    points += [_between(low, high) for low, high in pairwise(bounds)]
    points += [bounds[0] - 1, bounds[-1] + 1]
    for point in sorted(points, key=lambda p: (p < 0, p != p.to_integral_value())):
        if all(_compares(test, point) == truth for test, truth in asked):
            return letters(_spelled(kind, point))
    return None


def _between(low: Decimal, high: Decimal) -> Decimal:
    whole = low.to_integral_value(rounding="ROUND_FLOOR") + 1
    return whole if whole < high else (low + high) / 2


def _compares(test: Test, point: Decimal) -> bool:
    name = test.operator.name
    order = name.replace("Numeric", "").replace("Date", "").replace("Not", "")
    found = any(_in_order(order, point, value) for value in test.values if isinstance(value, Decimal))
    return found != negated(name)


def _in_order(order: str, point: Decimal, value: Decimal) -> bool:
    if order.endswith("Equals") and point == value:
        return True
    return (order.startswith("Less") and point < value) or (order.startswith("Greater") and point > value)


def _spelled(kind: Family, point: Decimal) -> str:
    if kind == "number" or not 0 <= point < 32503680000:
        return f"{point:f}"
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(point * 1_000_000))
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def _address(asked: Sequence[Asked]) -> Text | None:
    """At the ends of every range and just beyond: every test is constant between them."""
    networks = [v for test, _ in asked for v in test.values if not isinstance(v, Pattern | Decimal | bytes | bool)]
    liked = ip_address("203.0.113.7"), ip_address("198.51.100.7"), ip_address("2001:db8::7")
    points = [*liked, *(p for n in networks for p in _points(n))]
    for point in sorted(dict.fromkeys(points), key=lambda p: (p.version, p.is_unspecified, p not in liked)):
        if all((_inside(test, point)) == truth for test, truth in asked):
            return letters(str(point))
    return None


def _points(network: Network) -> list[IPv4Address | IPv6Address]:
    first, last = int(network.network_address), int(network.broadcast_address)
    made = IPv4Address if network.version == 4 else IPv6Address
    near = (first + 1 if last > first + 1 else first, first, last, first - 1, last + 1)
    return [made(n) for n in near if 0 <= n <= _LARGEST[network.version]]


def _inside(test: Test, point: IPv4Address | IPv6Address) -> bool:
    networks = [v for v in test.values if not isinstance(v, Pattern | Decimal | bytes | bool)]
    return any(point in network for network in networks) != negated(test.operator.name)
