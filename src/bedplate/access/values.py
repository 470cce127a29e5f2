"""The values of arguments as whole numbers or texts, read in one way everywhere, and spelled back for people. Pure.

Everything that decides, proves or compiles reads JSON values here. What is not exactly of its kind is no value of it:
no rounding, no conversion between texts and numbers, no guess.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from bedplate.access.model import Kind, Span

UNIT = 10_000
"""A decimal counts ten-thousandths."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_MOST = 2**63 - 1
_V6 = 2**32
DOMAINS: dict[Kind, tuple[int, int]] = {
    "integer": (-_MOST - 1, _MOST),
    "decimal": (-_MOST - 1, _MOST),
    "boolean": (0, 1),
    "time": (-62_135_596_800_000, 253_402_300_799_999),  # the years 1 to 9999
    "ip": (0, _V6 + 2**128 - 1),
}
"""The least and the greatest number of each kind that is a number. What lies outside is no value of the kind."""
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,3}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def read(kind: Kind, value: Any) -> int | str | tuple[str, ...] | None:
    """The number, text or texts that a JSON value is as `kind`; None where it is no value of that kind.

    Integers are 64 bits, decimals are 64 bits of ten-thousandths. Half surrogates are no text.
    """
    match kind:
        case "string":
            return value if isinstance(value, str) and _is_text(value) else None
        case "strings":
            fits = isinstance(value, list | tuple) and all(isinstance(v, str) and _is_text(v) for v in value)
            return tuple(value) if fits else None
        case _:
            return number(kind, value)


def number(kind: Kind, value: Any) -> int | None:
    """As `read`, of the kinds that are numbers."""
    match kind, value:
        case "boolean", bool():
            return int(value)
        case "integer", int() if not isinstance(value, bool):
            found: int | None = value
        case "decimal", int() | float() | Decimal() if not isinstance(value, bool):
            found = _ten_thousandths(value)
        case "time", str():
            found = _instant(value)
        case "ip", str():
            return _address(value)
        case _:
            return None
    least, most = DOMAINS[kind]
    return found if found is not None and least <= found <= most else None


def network(text: str) -> Span | None:
    """The addresses of a network such as `10.0.0.0/8`, or of one address; None where it is neither."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        return None
    base = _V6 if found.version == 6 else 0
    return base + int(found.network_address), base + int(found.broadcast_address)


def given(path: tuple[str, ...], args: Any) -> Any:
    """The value at a path of nested objects; None where it is null, or not there."""
    for name in path:
        if not isinstance(args, Mapping):
            return None
        args = args.get(name)
    return args


def spelled(kind: Kind, value: int | str | Iterable[str]) -> Any:
    """A JSON value that reads as this number, text or list. A decimal that no float holds is a `Decimal`."""
    match kind, value:
        case "boolean", int():
            return bool(value)
        case "decimal", int():
            return _number(value)
        case "time", int():
            return _moment(value)
        case "ip", int():
            return str(ipaddress.IPv6Address(value - _V6) if value >= _V6 else ipaddress.IPv4Address(value))
        case "strings", _ if not isinstance(value, int):
            return list(value)
        case _:
            return value


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= ch <= "\udfff" for ch in value)


def _ten_thousandths(value: int | float | Decimal) -> int | None:
    """Exact, from the shortest spelling of a float, which is what its writer wrote."""
    if isinstance(value, int):
        return value * UNIT
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        exact = Decimal(repr(value)) if isinstance(value, float) else value
        if not exact.is_finite() or abs(exact.adjusted()) > 40:
            return 0 if exact == 0 else None
        numerator, denominator = exact.as_integer_ratio()
    except (InvalidOperation, ValueError):
        return None
    scaled, rest = divmod(numerator * UNIT, denominator)
    return None if rest else scaled


def _instant(text: str) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 time with its zone; a leap second has no number of its own."""
    found = _RFC3339.fullmatch(text)
    if not found:
        return None
    *parts, fraction, sign, hours, minutes = found.groups()
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    try:
        local = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    at = (local - _EPOCH) // _MS + int((fraction or "").ljust(3, "0"))
    return at + (ahead // _MS) * (1 if sign == "-" else -1)


def _moment(at: int) -> str:
    moment = _EPOCH + at * _MS
    fraction = f".{moment.microsecond // 1000:03}" if moment.microsecond else ""
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}{fraction}Z"


def _address(text: str) -> int | None:
    """An IPv4 address written as IPv6 is refused: it would be two addresses at once."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return int(found)
    return None if found.scope_id is not None or found.ipv4_mapped is not None else _V6 + int(found)


def _number(scaled: int) -> int | float | Decimal:
    if scaled % UNIT == 0:
        return scaled // UNIT
    exact = Decimal(scaled).scaleb(-4)
    return float(exact) if _ten_thousandths(float(exact)) == scaled else exact
