"""How Cedar spells names, texts and values. Source: the grammar and the extension types of Cedar's reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range

from bedplate.access.model import Kind, Span
from bedplate.access.values import DOMAINS

V4_LAST = 2**32 - 1
CEDAR_TYPES: dict[Kind, dict[str, object]] = {
    "string": {"type": "String"},
    "integer": {"type": "Long"},
    "decimal": {"type": "Extension", "name": "decimal"},
    "boolean": {"type": "Boolean"},
    "time": {"type": "Extension", "name": "datetime"},
    "ip": {"type": "Extension", "name": "ipaddr"},
    "strings": {"type": "Set", "element": {"type": "String"}},
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {"true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def quoted(text: str) -> str:
    """A string literal. What a reader could not see, or could take for something else, is escaped."""
    ordinary = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text if ordinary else "".join(map(_escaped, text))}"'


def _escaped(ch: str) -> str:
    if ch in '"\\':
        return "\\" + ch
    return ch if ch.isprintable() else f"\\u{{{ord(ch):x}}}"


def plain(name: str) -> bool:
    """Whether `name` can stand behind a dot."""
    return bool(_NAME.fullmatch(name)) and name not in _RESERVED


def reach(base: str, path: Sequence[str]) -> str:
    """The attribute at `path` below the expression `base`."""
    return base + "".join(f".{name}" if plain(name) else f"[{quoted(name)}]" for name in path)


def guards(base: str, path: Sequence[str]) -> list[str]:
    """What has to hold before `reach(base, path)` can be read: one test, or one a level where a name is unusual."""
    if all(map(plain, path)):
        return [f"{base} has {'.'.join(path)}"]
    return [f"{reach(base, path[:n])} has {name if plain(name) else quoted(name)}" for n, name in enumerate(path)]


def either(terms: Sequence[str]) -> str:
    """Any of `terms`, as a balanced tree: Cedar's own reader refuses chains of more than a hundred."""
    if len(terms) <= 8:
        return " || ".join(terms)
    half = len(terms) // 2
    return f"({either(terms[:half])}) || ({either(terms[half:])})"


def value(kind: Kind, number: int) -> str:
    """The literal of one whole number of `access.conditions` (what it counts depends on `kind`; not for `ip`)."""
    match kind:
        case "boolean":
            return "true" if number else "false"
        case "decimal":
            return f'decimal("{decimal_text(number)}")'
        case "time":
            return f'datetime("{time_text(number)}")'
        case _:
            return str(number)


def decimal_text(ten_thousandths: int) -> str:
    """`100.0`, `-0.25`: at least one place, at most four."""
    whole, places = divmod(abs(ten_thousandths), 10_000)
    sign = "-" if ten_thousandths < 0 else ""
    return f"{sign}{whole}.{f'{places:04d}'.rstrip('0') or '0'}"


def time_text(milliseconds: int) -> str:
    """The instant in UTC."""
    at = _EPOCH + milliseconds * _MILLISECOND
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def time_number(text: str) -> int:
    """The milliseconds since 1970 of a text that `time_text` wrote. Raises ValueError for any other."""
    number = (datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
    if time_text(number) != text:
        raise ValueError(f"{text!r} is not as this compiler writes instants")
    return number


def address_text(number: int) -> str:
    """The address of a whole number of `access.conditions`; IPv6 always in groups of hex digits, as Cedar wants it."""
    if number <= V4_LAST:
        return str(IPv4Address(number))
    groups = f"{number - V4_LAST - 1:032x}"
    return ":".join(groups[at : at + 4] for at in range(0, 32, 4))


def networks(spans: Sequence[Span]) -> list[str]:
    """The fewest networks that hold exactly the addresses in `spans`, IPv4 first."""
    found: list[IPv4Network | IPv6Network] = []
    for low, high in spans:
        lo, hi = low or 0, DOMAINS["ip"][1] if high is None else high
        if lo <= V4_LAST:
            found += summarize_address_range(IPv4Address(lo), IPv4Address(min(hi, V4_LAST)))
        if hi > V4_LAST:
            found += summarize_address_range(_v6(max(lo, V4_LAST + 1)), _v6(hi))
    return [_network_text(net) for net in found]


def _v6(number: int) -> IPv6Address:
    return IPv6Address(number - V4_LAST - 1)


def _network_text(net: IPv4Network | IPv6Network) -> str:
    first = int(net.network_address) + (V4_LAST + 1 if net.version == 6 else 0)
    alone = net.prefixlen == net.max_prefixlen
    return address_text(first) if alone else f"{address_text(first)}/{net.prefixlen}"


def decimal_number(text: str) -> int:
    """The ten-thousandths of a text that `decimal_text` wrote. Raises ValueError for any other."""
    number = int(Decimal(text) * 10_000)
    if decimal_text(number) != text:
        raise ValueError(f"{text!r} is not as this compiler writes decimals")
    return number


def network_span(text: str) -> tuple[int, int]:
    """The span of a network that `networks` wrote. Raises ValueError for another text."""
    net = IPv6Network(text) if ":" in text else IPv4Network(text)
    base = V4_LAST + 1 if net.version == 6 else 0
    if _network_text(net) != text:
        raise ValueError(f"{text!r} is not as this compiler writes networks")
    return base + int(net.network_address), base + int(net.broadcast_address)
