"""From the tree of a policy's expression back to tests of columns: the inverse of `expressions`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from bedplate.access.model import Claim, Condition, Kind, Present, Span, Spans, Subset, Texts
from bedplate.access.postgres.names import Owner
from bedplate.access.postgres.parse import All, Array, Call, Cast, Column, Compare, IsNull, Node, Unread, Value, parse
from bedplate.access.postgres.rights import Columned
from bedplate.access.values import DOMAINS, UNIT, network

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_NEVER: Columned = ("", Condition(("",), "string", Texts(())))


def tests(text: str | None, owner: Owner) -> tuple[Columned, ...]:
    """The tests that an expression is the conjunction of. Raises `Unread` for one of another shape."""
    if text is None:
        return ()
    found = [one for part in _conjuncts(parse(text)) for one in _test(part, owner)]
    guarded = {(column, kind) for column, kind in found if isinstance(kind, str)}
    made = [(column, one) for column, one in found if isinstance(one, Condition)]
    for column, condition in made:
        ranged = isinstance(condition.test, Spans) and condition.kind in {"decimal", "time"}
        if ranged and (column, condition.kind) not in guarded:
            raise Unread(f"`{column}` is compared without its places: `{text}`")
    if lone := guarded - {(column, condition.kind) for column, condition in made}:
        raise Unread(f"the places of {sorted(lone)} are tested alone: `{text}`")
    return tuple(made)


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, All) and not node.any:
        for part in node.parts:
            yield from _conjuncts(part)
    elif node != Value("true", "word"):
        yield node


def _test(node: Node, owner: Owner) -> Iterator[tuple[str, Condition | Kind]]:
    """The test of one conjunct, or the kind whose guard it is."""
    match node:
        case Value("false", "word"):
            yield _NEVER
        case IsNull(of=Column(name), negated=negated):
            yield name, Condition((name,), "string", Present(negated))
        case Compare(left, "=", Call(("round",), (again, Value("4", "number")))) if left == again:
            yield _column(left, "numeric"), "decimal"
        case Compare(Column(name), "=", Call(("date_trunc",), (unit, Column(again)))) if name == again:
            if _text(unit) != "milliseconds":
                raise _unread(node)
            yield name, "time"
        case Compare(left, "=", Call(name=(schema, "claim"), arguments=(claim,), once=True)) if schema == owner.schema:
            column = _column(left, "text")
            yield column, Condition((column,), "string", Claim(_text(claim)))
        case Call((schema, name), (left, array)) if schema == owner.schema:
            yield _called(name, left, array)
        case _:
            yield _choice(node)


def _called(name: str, left: Node, array: Node) -> Columned:
    match name:
        case "within":
            column = _column(left, "text[]")
            return column, Condition((column,), "strings", Subset(tuple(map(_glob, _items(array)))))
        case "among":
            column = _column(left)
            return column, Condition((column,), "ip", Spans(tuple(map(_network, _items(array)))))
        case _:
            raise Unread(f"function {name}")


def _choice(node: Node) -> Columned:
    """One test, or a disjunction of tests of the same column and kind."""
    parts = node.parts if isinstance(node, All) and node.any else (node,)
    found = [_single(part) for part in parts]
    (column, kind), *others = {(column, kind) for column, kind, _ in found}
    if others:
        raise _unread(node)
    if kind == "string":
        globs = tuple(glob for _, _, some in found for glob in some if isinstance(glob, str))
        return column, Condition((column,), kind, Texts(globs))
    spans = tuple(span for _, _, some in found for span in some if not isinstance(span, str))
    return column, Condition((column,), kind, Spans(spans))


def _single(node: Node) -> tuple[str, Kind, tuple[str | Span, ...]]:
    match node:
        case Compare(Column(name), "=", Array(items), any=True) if items and all(map(_truth, items)):
            return name, "boolean", tuple((n, n) for n in (_bit(item) for item in items))
        case Compare(left, "=", array, any=True):
            return _column(left, "text"), "string", tuple(_exact(text) for text in _items(array))
        case Compare(left, "~~", array, any=True):
            return _column(left, "text"), "string", tuple(map(_glob, _items(array)))
        case Compare(left, op, right):
            return _bound(left, op, right)
        case All(parts=(Compare(any=False) as low, Compare(any=False) as high), any=False):
            column, kind, (first,) = _bound(low.left, low.op, low.right)
            again, same, (second,) = _bound(high.left, high.op, high.right)
            if (column, kind) == (again, same) and not isinstance(first, str) and not isinstance(second, str):
                return column, kind, ((max(first[0] or 0, second[0] or 0), min(first[1] or 0, second[1] or 0)),)
    raise _unread(node)


def _bound(left: Node, op: str, right: Node) -> tuple[str, Kind, tuple[Span, ...]]:
    """A comparison as a span within the kind's domain, both ends given."""
    kind, number = _number(right)
    column = _column(left, *(["numeric"] if kind == "decimal" else []))
    least, most = DOMAINS[kind]
    match op:
        case "=":
            return column, kind, ((number, number),)
        case ">=":
            return column, kind, ((number, most),)
        case "<=":
            return column, kind, ((least, number),)
        case _:
            raise Unread(f"`{column}` {op}")


def _number(node: Node) -> tuple[Kind, int]:
    match node:
        case Value(text, "number") if "." not in text:
            return "integer", int(text)
        case Cast(Value(text), kind) if kind in _INTEGERS:
            return "integer", int(text)
        case Value(text, "number") | Cast(Value(text), "numeric"):
            return "decimal", _scaled(text)
        case Cast(Value(text), "timestamp with time zone"):
            return "time", _instant(text)
        case _:
            raise _unread(node)


def _scaled(text: str) -> int:
    try:
        number = Decimal(text) * UNIT
        if number != int(number):
            raise Unread(f"`{text}` has more than four places")
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Unread(f"`{text}` is no number") from error
    return int(number)


def _instant(text: str) -> int:
    try:
        at = datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", text.strip()))
    except ValueError as error:
        raise Unread(f"`{text}` is no time of the years 1 to 9999") from error
    if at.tzinfo is None or at.microsecond % 1000:
        raise Unread(f"`{text}` has no zone or is finer than milliseconds")
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _network(text: str) -> Span:
    found = network(text)
    if found is None:
        raise Unread(f"`{text}` is no network")
    return found


def _column(node: Node, *casts: str) -> str:
    """The column that is compared, itself or in one of these types."""
    match node:
        case Column(name):
            return name
        case Cast(Column(name), kind) if kind in casts:
            return name
        case _:
            raise _unread(node)


def _items(node: Node) -> Iterable[str]:
    match node:
        case Array(items):
            return [_text(item) for item in items]
        case Cast(Value("{}"), _):
            return []
        case _:
            raise _unread(node)


def _text(node: Node) -> str:
    match node:
        case Value(text, "text") | Cast(Value(text, "text"), "text" | "inet"):
            return text
        case _:
            raise _unread(node)


def _truth(node: Node) -> bool:
    return isinstance(node, Value) and node.form == "word"


def _bit(node: Node) -> int:
    return int(node == Value("true", "word"))


def _exact(text: str) -> str:
    if "*" in text:
        raise Unread(f"`{text}` is compared as it is, and would read as a glob")
    return text


def _glob(pattern: str) -> str:
    """A LIKE pattern as a glob. `_` and a star have none."""
    made: list[str] = []
    characters = iter(pattern)
    for ch in characters:
        following = next(characters, "") if ch == "\\" else ""
        match ch, following:
            case ("%", _):
                made.append("*")
            case ("_", _) | ("*", _) | ("\\", "" | "*"):
                raise Unread(f"LIKE pattern `{pattern}`")
            case _:
                made.append(following or ch)
    return "".join(made)


def _unread(node: Node) -> Unread:
    return Unread(f"{node}")
