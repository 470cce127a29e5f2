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

from bedplate.access import ScopeSet
from bedplate.blueprint.model import FileRef, Limits, Memory, ModelSpec, Tool

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
) -> str:
    """The digest of a stage's behaviour. `files` are the project's code and API documents, `data` digests by name."""
    return digest_of(
        {
            "format": BEHAVIOUR_FORMAT,
            "model": _shape(model, without={"where", "credentials"}),
            "instructions": instructions,
            "tools": [_shape(tool, without={"where", "env", "credentials", "document", "files"}) for tool in tools],
            "grants": sorted([g.tool, g.verb, g.pattern] for g in scopes.grants),
            "never": sorted(n.pattern for n in scopes.never),
            "data": dict(data),
            "files": {file.path: file.sha256 for file in files},
            "memory": _shape(memory),
            "limits": _shape(limits),
        }
    )


def _shape(value: Any, without: frozenset[str] | set[str] = frozenset()) -> Any:
    """A dataclass as plain values, without some of its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _shape(getattr(value, f.name)) for f in fields(value) if f.name not in without}
    return value
