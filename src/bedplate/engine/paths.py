"""Property paths of `ignoreChanges` and `replaceOnChanges`: `config.limits.tokens`, `argv[2]`, `labels["a.b"]`, `*`.

Goes in: paths as programs write them. Comes out: keys, and maps with the values at those paths put back. Wildcards
inside a path are refused, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bedplate.engine.goals import unsupported
from bedplate.engine.provider import Properties
from bedplate.problems import BedplateError, Problem

_PART = re.compile(r'\.?([^.\[\]"*]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]')
Keys = tuple[str | int, ...]


def parse(path: str) -> Keys:
    """The keys of a path. Raises BedplateError BP217 where it is none."""
    if "*" in path:
        raise unsupported(f"the wildcard in the property path {path!r}")
    keys: list[str | int] = []
    at = 0
    while at < len(path):
        if (match := _PART.match(path, at)) is None:
            raise BedplateError(Problem("BP217", f"{path!r} is not a property path", fix="write `a.b[0]`"))
        name, index, quoted = match.groups()
        keys.append(int(index) if index is not None else name if name is not None else quoted.replace('\\"', '"'))
        at = match.end()
    return tuple(keys)


def keep_old(old: Properties, new: Properties, paths: tuple[str, ...]) -> Properties:
    """`new` with the old values at `paths` (`*` for all): what `ignoreChanges` means."""
    if "*" in paths:
        return old
    result: Any = new
    for path in paths:
        result = _copied(old, result, parse(path))
    return result  # type: ignore[no-any-return]


_ABSENT = object()


def _at(value: Any, key: str | int) -> Any:
    match value, key:
        case Mapping(), str():
            return value.get(key, _ABSENT)
        case list(), int() if key < len(value):
            return value[key]
        case _:
            return _ABSENT


def _copied(old: Any, new: Any, keys: Keys) -> Any:
    if not keys:
        return old
    key, rest = keys[0], keys[1:]
    before, after = _at(old, key), _at(new, key)
    if (before is _ABSENT or after is _ABSENT) and (rest or before is after):
        return new
    match new:
        case Mapping():
            kept = {k: v for k, v in new.items() if k != key}
            return kept if before is _ABSENT else {**kept, key: _copied(before, after, rest)}
        case list() if isinstance(key, int) and key < len(new) and before is not _ABSENT:
            return [*new[:key], _copied(before, after, rest), *new[key + 1 :]]
        case _:
            return new


def matches(pattern: str, path: str) -> bool:
    """Whether a changed path lies at or below a pattern of `replaceOnChanges`."""
    if pattern == "*":
        return True
    keys = parse(pattern)
    return parse(path)[: len(keys)] == keys
