"""The two digests that need no image.

`buildDigest` covers what is committed: the manifest (comments and order of keys do not matter), every file it names,
and `bedplate.lock`. It is the same on every machine and for every stage. `behaviourDigest` covers the resolved fields
that shape answers in one stage. Both are `sha256:` and 64 hex digits. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from bedplate.access import Condition, Grant, ScopeSet
from bedplate.blueprint.model import DataStore, FileRef, Limits, Memory, ModelSpec, Tool

BUILD_FORMAT = "bedplate.build/1"
BEHAVIOUR_FORMAT = "bedplate.behaviour/1"


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no white space, UTF-8, whole floats as integers; the same for equal values."""
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def digest_of(value: Any) -> str:
    """`sha256:` and the hash of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def files_digest(files: Iterable[FileRef], root: str = "") -> str:
    """The digest of some files, by their paths below `root` and their contents."""
    return digest_of({file.path.removeprefix(root): file.sha256 for file in files})


def build_digest(document: Mapping[str, Any], files: Iterable[FileRef], lock: FileRef | None) -> str:
    """The digest of a build."""
    return digest_of(
        {
            "format": BUILD_FORMAT,
            "manifest": document,
            "files": {file.path: file.sha256 for file in files},
            "lock": lock.sha256 if lock else None,
        }
    )


def behaviour_digest(
    *,
    model: ModelSpec,
    instructions: str,
    tools: tuple[Tool, ...],
    scopes: ScopeSet,
    data: Mapping[str, str],
    files: Iterable[FileRef],
    memory: Memory,
    limits: Limits,
    stores: tuple[DataStore, ...] = (),
) -> str:
    """The digest of a stage's behaviour. `files` are the project's code and API documents, `data` digests by name."""
    return digest_of(
        {
            "format": BEHAVIOUR_FORMAT,
            "model": _shape(model, without={"where", "credentials"}),
            "instructions": instructions,
            "tools": [_tool_shape(tool) for tool in tools],
            "grants": sorted(map(grant_shape, scopes.grants), key=lambda shape: (shape[:3], canonical(shape))),
            "never": sorted(n.pattern for n in scopes.never),
            "data": dict(data),
            "files": {file.path: file.sha256 for file in files},
            "memory": _shape(memory),
            "limits": _shape(limits),
            **({"stores": [_shape(store, without={"where", "labels"}) for store in stores]} if stores else {}),
        }
    )


def _tool_shape(tool: Tool) -> Any:
    """A tool without what shapes no answer; what came with a later version only where it says something."""
    shape = _shape(tool, without={"where", "env", "credentials", "document", "files", "labels"})
    return {name: value for name, value in shape.items() if name != "data" or value or tool.type == "python"}


def grant_shape(grant: Grant) -> list[Any]:
    """What a grant grants, whatever its id, its line and the order of its parts; older grants are three words."""
    extra = {
        "where": _conditions(grant.conditions),
        "only": grant.only,
        "ask": grant.ask and {"always": grant.ask.always, "when": _conditions(grant.ask.when)},
        "limit": sorted(([b.amount, b.window, list(b.path), b.per] for b in grant.budgets), key=canonical),
    }
    said = {name: value for name, value in extra.items() if value or value == ()}
    return [grant.tool, grant.verb, grant.pattern, *([said] if said else [])]


def _conditions(conditions: Iterable[Condition]) -> list[Any]:
    return sorted((_shape(c, without={"where"}) for c in conditions), key=canonical)


def _shape(value: Any, without: frozenset[str] | set[str] = frozenset()) -> Any:
    """A dataclass as plain values, without some of its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _shape(getattr(value, f.name)) for f in fields(value) if f.name not in without}
    return value
