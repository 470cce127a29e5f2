"""Tests of columns as SQL, in the few forms that PostgreSQL prints back unchanged and `parse` reads.

Each expression is true exactly where the condition holds for the column's value; it is false or null for null and for
every value that the condition's kind does not have (a decimal with five places, a time with microseconds, a network
where an address is asked for). That the column is of a type of that kind is for `read` to see in the catalog.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

from bedplate.access.model import Claim, Condition, Kind, Present, Span, Spans, Subset, Texts
from bedplate.access.postgres.names import Owner, ident, literal
from bedplate.access.postgres.ranges import V6, clamped
from bedplate.access.values import UNIT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unwritable(ValueError):
    """A condition that has no form in SQL. The message says why."""


def expression(condition: Condition, column: str, owner: Owner) -> str:
    """The condition on `column` (its bare name) as a boolean SQL expression. Raises `Unwritable`."""
    name = ident(column)
    match condition.test:
        case Present(present=False):
            return f"({name} IS NULL)"
        case Present():
            return _given(name, condition.kind, owner)
        case Claim(name=claim):
            return f"({name}::text = (SELECT {ident(owner.schema)}.claim({literal(claim)})))"
        case Texts(globs=globs):
            return _texts(f"{name}::text", globs)
        case Subset(globs=globs):
            return _within(name, globs, owner)
        case Spans(spans=spans):
            return _spans(name, condition.kind, spans, owner)
        case _:
            assert_never(condition.test)


def _given(name: str, kind: Kind, owner: Owner) -> str:
    """Whether there is a value of this kind."""
    match kind:
        case "string":
            return f"({name} IS NOT NULL)"
        case "strings":
            return _within(name, ("*",), owner)
        case _:
            return _spans(name, kind, ((None, None),), owner)


def _within(name: str, globs: Sequence[str], owner: Owner) -> str:
    return f"{ident(owner.schema)}.within({name}::text[], {_array(map(like, storable(globs)), 'text')})"


def like(glob: str) -> str:
    """A glob as a LIKE pattern: `*` is `%`, and everything else stands for itself."""
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def storable(globs: Iterable[str]) -> list[str]:
    """Globs that some text of PostgreSQL can match: it has no zero byte and no lone surrogates."""
    return [glob for glob in globs if "\0" not in glob and not any("\ud800" <= ch <= "\udfff" for ch in glob)]


def _texts(value: str, globs: Sequence[str]) -> str:
    words = storable(globs)
    exact = [glob for glob in words if "*" not in glob]
    wild = [like(glob) for glob in words if "*" in glob]
    parts = [f"({value} = ANY ({_array(exact, 'text')}))"] if exact else []
    parts += [f"({value} LIKE ANY ({_array(wild, 'text')}))"] if wild else []
    return either(parts)


def _array(values: Iterable[str], kind: str) -> str:
    items = ", ".join(f"{literal(value)}::{kind}" for value in values)
    return f"ARRAY[{items}]" if items else f"'{{}}'::{kind}[]"


def _spans(name: str, kind: Kind, spans: Sequence[Span], owner: Owner) -> str:
    schema = ident(owner.schema)
    held = clamped(kind, spans)
    match kind:
        case "integer":
            return either([_between(name, span, lambda n: f"'{n}'::bigint") for span in held])
        case "decimal":
            value = f"{name}::numeric"
            inside = either([_between(value, span, _decimal) for span in held])
            return both([f"({value} = round({value}, 4))", inside])
        case "time":
            inside = either([_between(name, span, _time) for span in held])
            return both([f"({name} = date_trunc('milliseconds'::text, {name}))", inside])
        case "boolean":
            values = [word for n, word in ((0, "false"), (1, "true")) if _contains(held, n)]
            return f"({name} = ANY (ARRAY[{', '.join(values)}]))" if values else "false"
        case "ip":
            return f"{schema}.among({name}, {_array(networks(held), 'inet')})" if held else "false"
        case _:
            raise Unwritable(f"a range of {kind} has no meaning")


def _between(value: str, span: tuple[int, int], write: Callable[[int], str]) -> str:
    """One span. The ends of a kind's domain are written out: a column may hold more, such as infinity."""
    low, high = span
    if low == high:
        return f"({value} = {write(low)})"
    return f"(({value} >= {write(low)}) AND ({value} <= {write(high)}))"


def _decimal(count: int) -> str:
    whole, places = divmod(abs(count), UNIT)
    return f"'{'-' if count < 0 else ''}{whole}.{places:04}'::numeric"


def _time(milliseconds: int) -> str:
    at = _EPOCH + timedelta(milliseconds=milliseconds)
    day = f"{at.year:04}-{at.month:02}-{at.day:02}"
    return f"'{day} {at.hour:02}:{at.minute:02}:{at.second:02}.{at.microsecond // 1000:03}+00'::timestamptz"


def _contains(spans: Sequence[tuple[int, int]], number: int) -> bool:
    return any(low <= number <= high for low, high in spans)


def networks(spans: Sequence[tuple[int, int]]) -> list[str]:
    """The fewest networks that hold the addresses of `spans` and no other."""
    found: list[str] = []
    for first, last in spans:
        if first < V6:
            ends = (ipaddress.IPv4Address(first), ipaddress.IPv4Address(min(last, V6 - 1)))
            found += map(str, ipaddress.summarize_address_range(*ends))
        if last >= V6:
            wide = (ipaddress.IPv6Address(max(first, V6) - V6), ipaddress.IPv6Address(last - V6))
            found += map(str, ipaddress.summarize_address_range(*wide))
    return found


def both(parts: Sequence[str]) -> str:
    """All of them; `true` for none."""
    return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})" if parts else "true"


def either(parts: Sequence[str]) -> str:
    """One of them; `false` for none."""
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})" if parts else "false"
