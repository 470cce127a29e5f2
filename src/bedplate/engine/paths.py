"""Property paths of `ignoreChanges`, `replaceOnChanges` and `hideDiffs`: `config.limits.tokens`, `argv[2]`, `*.port`.

Goes in: paths as programs write them. Comes out: keys (`*` for any), maps with the values at those paths put back, and
whether a path lies at or below another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bedplate.engine.provider import Properties
from bedplate.engine.values import Secret, plain
from bedplate.problems import BedplateError, Problem

HIDDEN: Final = "[hidden]"
_PART = re.compile(r'\.?([^.\[\]"*]+|\*)|\[(\d+)\]|\[(\*)\]|\["((?:[^"\\]|\\.)*)"\]')
Keys = tuple[str | int, ...]


def parse(path: str) -> Keys:
    """The keys of a path. Raises BedplateError BP217 where it is none."""
    keys: list[str | int] = []
    at = 0
    while at < len(path):
        if (match := _PART.match(path, at)) is None:
            raise BedplateError(Problem("BP217", f"{path!r} is not a property path", fix="write `a.b[0]`"))
        name, index, any_index, quoted = match.groups()
        found = name or any_index
        keys.append(int(index) if index is not None else found if found is not None else quoted.replace('\\"', '"'))
        at = match.end()
    return tuple(keys)


def keep_old(old: Properties, new: Properties, paths: tuple[str, ...]) -> Properties:
    """`new` with the old values at `paths`: what `ignoreChanges` means. What is only in one of them goes by the old."""
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
    if isinstance(new, Secret):
        return Secret(_copied(old.value if isinstance(old, Secret) else old, new.value, keys))
    if isinstance(old, Secret):
        old = _each_secret(old.value)
    if keys[0] == "*":
        for key in _every_key(old, new):
            new = _copied(old, new, (key, *keys[1:]))
        return new
    return _copied_at(old, new, keys[0], keys[1:])


def _every_key(old: Any, new: Any) -> Iterable[str | int]:
    match old, new:
        case Mapping(), Mapping():
            return (*old, *(key for key in new if key not in old))
        case list(), list():
            # Elements that only one of them has can neither be put back nor be taken out.
            return range(min(len(old), len(new)))
        case _:
            return ()


def _each_secret(value: Any) -> Any:
    """A secret's parts, each a secret: what is put back from it into a value that is none stays one."""
    match value:
        case Mapping():
            return {key: Secret(plain(item)) for key, item in value.items()}
        case list() | tuple():
            return [Secret(plain(item)) for item in value]
        case _:
            return value


def _copied_at(old: Any, new: Any, key: str | int, rest: Keys) -> Any:
    before, after = _at(old, key), _at(new, key)
    if (after is _ABSENT and rest) or before is after is _ABSENT:
        return new
    match new:
        case Mapping():
            kept = {k: v for k, v in new.items() if k != key}
            return kept if before is _ABSENT and not rest else {**kept, key: _copied(before, after, rest)}
        case list() if isinstance(key, int) and key < len(new) and before is not _ABSENT:
            return [*new[:key], _copied(before, after, rest), *new[key + 1 :]]
        case _:
            return new


def matches(pattern: str, path: str) -> bool:
    """Whether a changed path lies at or below a pattern of `replaceOnChanges`."""
    keys, found = parse(pattern), parse(path)
    return len(found) >= len(keys) and all(k in {"*", f} for k, f in zip(keys, found, strict=False))


def hide(value: Any, paths: Iterable[str]) -> Any:
    """`value` with what `hideDiffs` names replaced by a word. Raises BedplateError BP217."""
    for path in paths:
        value = _hidden(value, parse(path))
    return value


def _hidden(value: Any, keys: Keys) -> Any:
    if not keys:
        return HIDDEN
    match value:
        case Mapping():
            return {k: _hidden(v, keys[1:]) if keys[0] in {"*", k} else v for k, v in value.items()}
        case list() | tuple():
            return [_hidden(v, keys[1:]) if keys[0] in {"*", i} else v for i, v in enumerate(value)]
        case _:
            return value
