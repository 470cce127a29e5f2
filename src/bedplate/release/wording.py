"""Differences in the manifest's words: two values in, the fields that differ out. Pure.

Lists of named things (tools, data, evals) are compared by name, so that order means nothing and a new tool is one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bedplate.engine.provider import UNKNOWN

ABSENT = "(none)"
_LONGEST = 60
_DURATIONS = ("retention", "timeout", "sessions", "longTerm")
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_SIZES = ((1024**3, "Gi"), (1024**2, "Mi"), (1024, "Ki"))


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, old, new) of every field that differs; values as a person writes them in the manifest."""
    if old == new:
        return
    match old, new:
        case Mapping(), Mapping():
            for key in sorted({*old, *new}):
                yield from differences(old.get(key), new.get(key), _join(path, key))
        case list() | tuple(), list() | tuple() if _named(old) and _named(new):
            yield from differences({_name(i): i for i in old}, {_name(i): i for i in new}, path)
        case None, Mapping() if _name(new):
            yield path, ABSENT, "added"
        case Mapping(), None if _name(old):
            yield path, "there", "removed"
        case None, Mapping():
            for key in sorted(new):
                yield from differences(None, new[key], _join(path, key))
        case Mapping(), None:
            for key in sorted(old):
                yield from differences(old[key], None, _join(path, key))
        case _:
            yield path, *_pair(path, old, new)


def camel(name: str) -> str:
    """`tool_calls` as `toolCalls`."""
    return re.sub(r"_([a-z])", lambda m: m[1].upper(), name)


def _join(path: str, key: str) -> str:
    return f"{path}.{camel(key)}" if path else camel(key)


def _name(item: Any) -> str | None:
    """What tells an item of a list from the others: its name, or of a gate its metric."""
    return item.get("name") or item.get("metric") if isinstance(item, Mapping) else None


def _named(items: Sequence[Any]) -> bool:
    return all(_name(item) for item in items)


def _pair(path: str, old: Any, new: Any) -> tuple[str, str]:
    """Both values as text. Of long texts what stands before the first difference is left out."""
    before, after = value_text(path, old), value_text(path, new)
    if max(len(before), len(after)) > _LONGEST:
        ends = min(len(before), len(after))
        same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), ends)
        start = before.rfind(" ", 0, same) + 1
        if start > 0:
            before, after = f"…{before[start:]}", f"…{after[start:]}"
    return _cut(before), _cut(after)


def value_text(path: str, value: Any) -> str:
    """A value as the manifest writes it: durations and sizes with their unit, lists in brackets, no value as (none)."""
    leaf = path.rpartition(".")[2]
    match value:
        case None:
            return ABSENT
        case bool():
            return "true" if value else "false"
        case int() | float() if leaf in _DURATIONS:
            return _with_unit(value, _UNITS)
        case int() if path.endswith("sandbox.memory"):
            return _with_unit(value, _SIZES)
        case float() if value.is_integer():
            return str(int(value))
        case list() | tuple():
            return f"[{', '.join(value_text('', item) for item in value)}]"
        case Mapping():
            written = ", ".join(f"{key}: {value_text('', item)}" for key, item in value.items())
            return f"{{{written}}}"
        case _ if value is UNKNOWN:
            return "(known after up)"
        case _:
            return " ".join(str(value).split())


def _with_unit(value: float, units: Sequence[tuple[int, str]]) -> str:
    for size, unit in units:
        if value and value % size == 0:
            return f"{int(value // size)}{unit}"
    return f"{value:g}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
