"""Comparing property maps: what changed, by path, and what is known before a change.

Goes in: plain property maps, which may hold `UNKNOWN` in a preview. Comes out: a `Diff`, or preview outputs. It knows
no resource, touches nothing and imports no Pulumi.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from bedplate.engine.assets import Archive, Asset
from bedplate.engine.provider import UNKNOWN, Diff, DiffKind, Properties

_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$-]*\Z")
_REPLACE = {
    DiffKind.ADD: DiffKind.ADD_REPLACE,
    DiffKind.DELETE: DiffKind.DELETE_REPLACE,
    DiffKind.UPDATE: DiffKind.UPDATE_REPLACE,
}


def diff_properties(old: Properties, new: Properties, replace_keys: Set[str] = frozenset()) -> Diff:
    """Compare two property maps deeply.

    Paths follow Pulumi's: `config.limits.tokens`, `argv[2]`, `labels["a.b"]`. A change anywhere below a top-level key
    in `replace_keys` replaces. An `UNKNOWN` value differs from everything: the update may change it.
    """
    changes: dict[str, DiffKind] = {}
    for key in (*old, *(k for k in new if k not in old)):
        for path, kind in _walk_key("", key, old, new):
            changes[path] = _REPLACE[kind] if key in replace_keys else kind
    return Diff(changes)


def join(path: str, key: str) -> str:
    """The path of `key` inside the map at `path`."""
    if not _PLAIN_KEY.match(key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def same(a: Any, b: Any) -> bool:
    """Deep equality in which true is not 1, and unknown equals nothing."""
    return not any(_walk("", a, b))


def _walk_key(path: str, key: str, old: Properties, new: Properties) -> Iterator[tuple[str, DiffKind]]:
    here = join(path, key)
    if key not in old:
        yield here, DiffKind.ADD
    elif key not in new:
        yield here, DiffKind.DELETE
    else:
        yield from _walk(here, old[key], new[key])


def _walk(path: str, old: Any, new: Any) -> Iterator[tuple[str, DiffKind]]:
    match old, new:
        case Mapping(), Mapping():
            for key in (*old, *(k for k in new if k not in old)):
                yield from _walk_key(path, key, old, new)
        case (list() | tuple(), list() | tuple()):
            yield from _walk_list(path, old, new)
        case (Asset(hash=before), Asset(hash=after)) | (Archive(hash=before), Archive(hash=after)) if before:
            # Where a content comes from makes no difference.
            if before != after:
                yield path, DiffKind.UPDATE
        case _ if old is UNKNOWN or new is UNKNOWN or old != new or isinstance(old, bool) != isinstance(new, bool):
            yield path, DiffKind.UPDATE


def _walk_list(path: str, old: Any, new: Any) -> Iterator[tuple[str, DiffKind]]:
    for index, (a, b) in enumerate(zip(old, new, strict=False)):
        yield from _walk(f"{path}[{index}]", a, b)
    for index in range(len(new), len(old)):
        yield f"{path}[{index}]", DiffKind.DELETE
    for index in range(len(old), len(new)):
        yield f"{path}[{index}]", DiffKind.ADD


def default_preview(
    news: Properties, old_outputs: Properties | None, stable: Set[str], computed: Set[str]
) -> Properties:
    """Outputs as far as they are known before the change.

    The inputs, then for every other output (those in `computed` and those there were before): its old value where it
    is in `stable`, else `UNKNOWN`.
    """
    old = old_outputs or {}
    rest = {key: old[key] if key in stable and key in old else UNKNOWN for key in (*old, *sorted(computed))}
    return {**rest, **news}
