"""The condition operators of IAM, and how their values are written."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, Literal

from bedplate.access.iam.document import Operator, Pattern, Unreadable, Value
from bedplate.access.iam.patterns import read_pattern

_TEXT = ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")
_LIKE = ("StringLike", "StringNotLike")
_ARN = ("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike")
_ORDER = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
_NUMBER = tuple(f"Numeric{order}" for order in _ORDER)
_DATE = tuple(f"Date{order}" for order in _ORDER)
_ADDRESS = ("IpAddress", "NotIpAddress")
NAMES = (*_TEXT, *_LIKE, *_ARN, *_NUMBER, *_DATE, *_ADDRESS, "Bool", "BinaryEquals", "Null")
_FOLDED = {name.lower(): name for name in NAMES}
_NEGATED = {name for name in NAMES if "Not" in name}
_DECORATED = re.compile(r"(?:(forallvalues|foranyvalue):)?(.*?)(ifexists)?", re.IGNORECASE)
_DATES = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?")

Family = Literal["text", "arn", "number", "date", "address", "bool", "binary", "null"]


def family(name: str) -> Family:
    """What kind of value an operator compares."""
    if name in _NUMBER:
        return "number"
    if name in _DATE:
        return "date"
    if name in _ADDRESS:
        return "address"
    if name in _ARN:
        return "arn"
    other: dict[str, Family] = {"Bool": "bool", "BinaryEquals": "binary", "Null": "null"}
    return other.get(name, "text")


def negated(name: str) -> bool:
    """Whether an operator holds where its values do not match: such ones hold for an absent key too."""
    return name in _NEGATED


@lru_cache(maxsize=512)
def read_operator(text: str) -> Operator:
    """Read an operator with its decoration; upper and lower case do not matter. Raises Unreadable."""
    found = _DECORATED.fullmatch(text)
    name = _FOLDED.get(found[2].lower()) if found else None
    if found is None or name is None:
        raise Unreadable("", f"{text!r} is no condition operator")
    if name == "Null" and (found[1] or found[3]):
        raise Unreadable("", "Null goes with neither IfExists nor a set operator")
    each: dict[str, Literal["any", "all"]] = {"foranyvalue": "any", "forallvalues": "all"}
    return Operator(name, each[found[1].lower()] if found[1] else "", bool(found[3]))


def read_value(name: str, value: Any, with_variables: bool) -> Value:
    """Read one value of the operator `name`. Raises Unreadable."""
    text = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value
    if not isinstance(text, str):
        raise Unreadable("", f"{value!r} is no value")
    match family(name):
        case "text" | "arn":
            return _text(name, text, with_variables)
        case "number":
            return read_number(text)
        case "date":
            return read_date(text)
        case "address":
            return _network(text)
        case "binary":
            return _binary(text)
        case "bool" | "null":
            return _bool(text)


def _text(name: str, text: str, with_variables: bool) -> Pattern:
    pattern = read_pattern(text, with_variables, name in _LIKE or name in _ARN)
    if family(name) == "arn" and sum(part.count(":") for part in pattern.parts if isinstance(part, str)) < 5:
        raise Unreadable("", f"{text!r} is no ARN: it has fewer than six fields")
    return pattern


def read_number(text: str) -> Decimal:
    """Read an integer or decimal. Raises Unreadable."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Unreadable("", f"{text!r} is no number") from None
    if not number.is_finite():
        raise Unreadable("", f"{text!r} is no number")
    return number


def read_date(text: str) -> Decimal:
    """Read a W3C profile ISO 8601 date or a number of seconds since 1970. Raises Unreadable."""
    found = _DATES.fullmatch(text)
    if found is None or (len(text) == 4 and int(text) < 1970):
        return read_number(text)
    year, month, day, hour, minute, second = (int(found[i] or (1 if i in (2, 3) else 0)) for i in range(1, 7))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Unreadable("", f"{text!r} is no date") from None
    return Decimal(int(moment.timestamp())) + Decimal(found[7] or 0) - _offset(found[8])


def _offset(zone: str | None) -> int:
    if zone in (None, "Z"):
        return 0
    assert zone is not None
    seconds = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _network(text: str) -> Value:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise Unreadable("", f"{text!r} is no IP address or CIDR range") from None


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Unreadable("", f"{text!r} is not base64") from None


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise Unreadable("", f"{text!r} is neither true nor false")
    return text.lower() == "true"
