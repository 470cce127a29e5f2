"""What is deployed, as JSON.

Goes in: a Pulumi deployment, version 3 (pulumi/pulumi, sdk/go/common/apitype/core.go), or changes as journal lines hold
them. Comes out: a `Snapshot`, changes, and the same JSON again, secrets encrypted.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.engine.assets import ARCHIVE_SIGNATURE, ASSET_SIGNATURE, SIGNATURE, Archive, Asset, from_map, to_map
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import (
    Begin,
    Change,
    Drop,
    Mark,
    PendingOperation,
    Put,
    Rename,
    ResourceState,
    Settle,
    Snapshot,
    timestamp,
)
from bedplate.engine.values import MASK, SECRET_SIGNATURE, Secret
from bedplate.problems import BedplateError, Problem

# Field of ResourceState → key of the format, for what is left out when it is empty.
_OPTIONAL = {
    "delete": "delete",
    "parent": "parent",
    "protect": "protect",
    "external": "external",
    "provider": "provider",
    "retain_on_delete": "retainOnDelete",
    "pending_replacement": "pendingReplacement",
    "import_id": "importID",
    "deleted_with": "deletedWith",
    "custom_timeouts": "customTimeouts",
    "created": "created",
    "modified": "modified",
}
_LISTS = {
    "dependencies": "dependencies",
    "additional_secret_outputs": "additionalSecretOutputs",
    "replace_with": "replaceWith",
    "ignore_changes": "ignoreChanges",
    "replace_on_changes": "replaceOnChanges",
    "hide_diff": "hideDiff",
}
_MAPS = {"inputs", "outputs", "propertyDependencies", "replacementTrigger", "resourceHooks"}
_KNOWN = {"urn", "type", "custom", "id", *_MAPS} | {
    *_OPTIONAL.values(),
    *_LISTS.values(),
}

_DEPLOYMENT = {"manifest", "resources", "pending_operations", "secrets_providers"}


def encode_resource(resource: ResourceState, keys: Keyring | None) -> dict[str, Any]:
    """The resource as it stands in a deployment, secrets encrypted, or in plain text without keys."""
    raw: dict[str, Any] = {"urn": resource.urn, "custom": resource.custom, "type": resource.type, **resource.extra}
    if resource.id:
        raw["id"] = resource.id
    raw["inputs"] = _encode_all(resource, "inputs", keys)
    raw["outputs"] = _encode_all(resource, "outputs", keys)
    raw |= {key: getattr(resource, name) for name, key in _OPTIONAL.items() if getattr(resource, name)}
    raw |= {key: list(getattr(resource, name)) for name, key in _LISTS.items() if getattr(resource, name)}
    if resource.replacement_trigger is not None:
        raw["replacementTrigger"] = _encode(resource.replacement_trigger, keys)
    if resource.hooks:
        raw["resourceHooks"] = {kind: list(names) for kind, names in resource.hooks.items()}
    if resource.property_dependencies:
        raw["propertyDependencies"] = {k: list(v) for k, v in sorted(resource.property_dependencies.items())}
    return raw


def decode_resource(raw: Mapping[str, Any], keys: Keyring | None) -> ResourceState:
    """The resource of a deployment. Without keys its secrets are masked. Raises KeyError or TypeError on nonsense."""
    return ResourceState(
        urn=raw["urn"],
        type=raw["type"],
        custom=bool(raw.get("custom", False)),
        id=raw.get("id", ""),
        inputs=_decode(raw.get("inputs") or {}, keys),
        outputs=_decode(raw.get("outputs") or {}, keys),
        property_dependencies={k: tuple(v or ()) for k, v in (raw.get("propertyDependencies") or {}).items()},
        hooks={kind: tuple(names or ()) for kind, names in (raw.get("resourceHooks") or {}).items()},
        replacement_trigger=_decode(raw.get("replacementTrigger"), keys),
        extra={key: value for key, value in raw.items() if key not in _KNOWN},
        **_present(raw),
    )


def _present(raw: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(raw[key] or ()) for name, key in _LISTS.items() if key in raw}
    return {name: raw[key] for name, key in _OPTIONAL.items() if key in raw} | lists


def _encode_all(resource: ResourceState, which: str, keys: Keyring | None) -> dict[str, Any]:
    """Its inputs or outputs. Raises BedplateError BP205 or BP207 that names what JSON has nothing for."""
    raw = {}
    for name, value in getattr(resource, which).items():
        try:
            raw[name] = _encode(value, keys)
        except _UnwritableError as error:
            made = which == "outputs" and resource.custom
            fix = f"mend the resource type {resource.type}" if made else "give it a value that JSON has"
            what = f"{resource.name}: {which[:-1]} {name} holds {error}, which no state can"
            raise BedplateError(Problem("BP207" if made else "BP205", what, detail=resource.urn, fix=fix)) from error
    return raw


class _UnwritableError(ValueError):
    """Says what JSON has nothing for."""


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int() | float() if abs(value) <= sys.float_info.max:
            return value
        case float():
            raise _UnwritableError(str(value))
        case int():
            raise _UnwritableError("a number beyond every float")
        case _:
            raise _UnwritableError(f"a {type(value).__name__}")


def _encode(value: Any, keys: Keyring | None) -> Any:
    match value:
        case Secret():
            text = json.dumps(_encode(value.value, keys), separators=(",", ":"), sort_keys=True)
            sealed = {"plaintext": text} if keys is None else {"ciphertext": keys.encrypt(text)}
            return {SIGNATURE: SECRET_SIGNATURE, **sealed}
        case Asset() | Archive():
            return to_map(value)
        case Mapping():
            return {key: _encode(item, keys) for key, item in value.items()}
        case list() | tuple():
            return [_encode(item, keys) for item in value]
        case _:
            return _plain(value)


def _decode(value: Any, keys: Keyring | None) -> Any:
    match value:
        case dict() if value.get(SIGNATURE) == SECRET_SIGNATURE:
            if keys is None:
                return Secret(MASK)
            text = value["plaintext"] if "plaintext" in value else keys.decrypt(value["ciphertext"])
            return Secret(_decode(json.loads(text), keys))
        case dict():
            found = {key: _decode(item, keys) for key, item in value.items()}
            return from_map(found) if value.get(SIGNATURE) in {ASSET_SIGNATURE, ARCHIVE_SIGNATURE} else found
        case list():
            return [_decode(item, keys) for item in value]
        case _:
            return value


def encode_deployment(snapshot: Snapshot, keys: Keyring | None, version: str, now: float) -> dict[str, Any]:
    """The whole state as a deployment of version 3. Without keys its secrets are in plain text."""
    deployment: dict[str, Any] = {
        **snapshot.extra,
        "manifest": {"time": timestamp(now), "magic": _magic(version), "version": version},
        "resources": [encode_resource(resource, keys) for resource in snapshot.ordered()],
        "pending_operations": [encode_operation(operation, keys) for operation in snapshot.pending.values()],
    }
    if keys is not None and keys.providers is not None:
        deployment["secrets_providers"] = keys.providers
    return {"version": 3, "deployment": deployment}


def decode_deployment(deployment: Mapping[str, Any], keys: Keyring | None) -> Snapshot:
    """The snapshot of a deployment. Raises KeyError, TypeError or AttributeError when it is not one."""
    resources = [decode_resource(raw, keys) for raw in deployment.get("resources") or ()]
    operations = [decode_operation(raw, keys) for raw in deployment.get("pending_operations") or ()]
    extra = {key: value for key, value in deployment.items() if key not in _DEPLOYMENT}
    return Snapshot({r.key: r for r in resources}, {o.resource.urn: o for o in operations}, extra)


def encode_operation(operation: PendingOperation, keys: Keyring | None) -> dict[str, Any]:
    """A pending operation as it stands in a deployment."""
    return {"resource": encode_resource(operation.resource, keys), "type": operation.type}


def decode_operation(raw: Mapping[str, Any], keys: Keyring | None) -> PendingOperation:
    """The pending operation of a deployment."""
    return PendingOperation(raw["type"], decode_resource(raw["resource"], keys))


def encode_changes(changes: Iterable[Change], keys: Keyring) -> list[list[Any]]:
    """Changes as a journal line holds them: `["put", {…}]`."""
    return [_encode_change(change, keys) for change in changes]


def _encode_change(change: Change, keys: Keyring) -> list[Any]:
    match change:
        case Put(resource):
            return ["put", encode_resource(resource, keys)]
        case Mark(urn):
            return ["mark", urn]
        case Drop(urn, id):
            return ["drop", urn, id]
        case Rename(old, new):
            return ["rename", old, new]
        case Begin(operation):
            return ["begin", encode_operation(operation, keys)]
        case Settle(urn):
            return ["settle", urn]


def decode_change(raw: list[Any], keys: Keyring | None) -> Change:
    """One change of a journal line. Raises ValueError or KeyError on nonsense."""
    match raw:
        case ["put", dict(resource)]:
            return Put(decode_resource(resource, keys))
        case ["mark", str(urn)]:
            return Mark(urn)
        case ["drop", str(urn), str(id)]:
            return Drop(urn, id)
        case ["rename", str(old), str(new)]:
            return Rename(old, new)
        case ["begin", dict(operation)]:
            return Begin(decode_operation(operation, keys))
        case ["settle", str(urn)]:
            return Settle(urn)
        case _:
            raise ValueError(f"unknown change {raw!r}")


def _magic(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest() if version else ""
