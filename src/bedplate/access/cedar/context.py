"""A request as Cedar's context: every argument that a policy reads, in its Cedar type, without loss; or not there.

What `access.values` cannot read as the kind that a policy tests is left out, and no policy reads what is left out, so
a test of it fails, as it does in `access.decide`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.access.cedar.model import Shape, Slot
from bedplate.access.cedar.shapes import TEXT
from bedplate.access.cedar.terms import pointer, within_key
from bedplate.access.cedar.text import address_text, decimal_text, time_text
from bedplate.access.conditions import claim_text, tested
from bedplate.access.model import Kind, Request, Subset
from bedplate.access.values import given, read


def context(shape: Shape, request: Request) -> str:
    """The context as JSON. Raises UnicodeError where the request holds text that is not Unicode."""
    args = request.args
    found: dict[str, Any] = {
        "operation": f"{request.tool}.{request.operation}",
        "object": request.object,
        "kind": request.kind,
    }
    if shape.only:
        found["arguments"] = [name for name in args if args[name] is not None]
    if shape.absent:
        found["given"] = [pointer(path) for path in shape.absent if given(path, args) is not None]
    if shape.within:
        found["within"] = list(_within(shape, args))
    if shape.claims:
        claims = {name: claim_text(request.session, name) for name in shape.claims}
        found["session"] = {name: text for name, text in claims.items() if text is not None}
    for slot in shape.slots:
        _place(found.setdefault(slot.root, {}), slot, args)
    text = json.dumps(found, ensure_ascii=False)
    text.encode()
    return text


def _within(shape: Shape, args: Mapping[str, Any]) -> Iterable[str]:
    """The tests of lists by wildcards that hold."""
    for path, globs in shape.within:
        value = read("strings", given(path, args))
        if value is not None and tested(Subset(globs), value, {}):
            yield within_key(path, globs)


def _place(record: dict[str, Any], slot: Slot, args: Mapping[str, Any]) -> None:
    value = read(slot.kind, given(slot.path, args))
    if value is None:
        return
    for name in slot.path[:-1]:
        record = record.setdefault(name, {})
    record[slot.path[-1]] = str(value) if slot.root.startswith(TEXT) else typed(slot.kind, value)


def typed(kind: Kind, value: int | str | tuple[str, ...]) -> Any:
    """What `access.values.read` gave, as Cedar's JSON spells it."""
    match kind, value:
        case "decimal", int():
            return _extension("decimal", decimal_text(value))
        case "time", int():
            return _extension("datetime", time_text(value))
        case "ip", int():
            return _extension("ip", address_text(value))
        case "boolean", int():
            return bool(value)
        case "strings", tuple():
            return list(value)
        case _:
            return value


def _extension(function: str, text: str) -> dict[str, dict[str, str]]:
    return {"__extn": {"fn": function, "arg": text}}
