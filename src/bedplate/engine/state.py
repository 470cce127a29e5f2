"""What is deployed, as values and as JSON.

Goes in: a Pulumi deployment, version 3 (pulumi/pulumi, sdk/go/common/apitype/core.go). Comes out: a `Snapshot` that
changes are applied to, and the deployment again. Nothing here touches files; `storage` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from bedplate.engine.secrets import Keyring
from bedplate.engine.values import MASK, SECRET_SIGNATURE, SIGNATURE, Secret

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"


@dataclass(frozen=True)
class ResourceState:
    """One resource in state. `delete` marks the old copy of a replaced resource that is still to be deleted."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provider: str = ""
    protect: bool = False
    external: bool = False
    retain_on_delete: bool = False
    delete: bool = False
    additional_secret_outputs: tuple[str, ...] = ()
    pending_replacement: bool = False
    """It was deleted to be replaced, and the new one is not made yet."""
    import_id: str = ""
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()
    replacement_trigger: Any = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    hide_diff: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    """Seconds, by `create`, `read`, `update`, `delete`."""
    created: str = ""
    modified: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the format that this engine does not use: kept as they are."""

    @property
    def name(self) -> str:
        """The resource's own name: the last part of its URN."""
        return self.urn.split("::", 3)[-1]

    @property
    def key(self) -> tuple[str, str]:
        """What identifies this copy: one live copy a URN, and any number that wait to be deleted."""
        return (self.urn, self.id if self.delete else "")

    @property
    def managed(self) -> bool:
        """Whether deleting it is work for its provider: it exists outside of the state, is ours and not to stay."""
        entry = not self.custom or self.type.startswith(PROVIDER_PREFIX)
        return not (entry or self.external or self.retain_on_delete or self.pending_replacement)

    @property
    def needs(self) -> frozenset[str]:
        """URNs of everything that has to exist before this and outlive it."""
        provider = self.provider.rpartition("::")[0]
        return frozenset({*self.dependencies, *self.replace_with, self.parent, self.deleted_with, provider} - {""})


@dataclass(frozen=True)
class PendingOperation:
    """An operation that began and of which no end is known: `creating`, `updating` or `deleting`."""

    type: str
    resource: ResourceState


@dataclass
class Snapshot:
    """All resources of a stack. `apply` is the only thing that changes it, live and when a journal is replayed."""

    resources: dict[tuple[str, str], ResourceState] = field(default_factory=dict)
    pending: dict[str, PendingOperation] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the deployment that this engine does not use: kept as they are."""

    def live(self, urn: str) -> ResourceState | None:
        """The resource with this URN, if there is one that is not waiting to be deleted."""
        return self.resources.get((urn, ""))

    def apply(self, change: Change) -> None:
        """Make one change. Applying the same changes twice gives the same."""
        match change:
            case Put(resource):
                self.resources[resource.key] = resource
            case Mark(urn):
                if (old := self.resources.pop((urn, ""), None)) is not None:
                    doomed = replace(old, delete=True)
                    self.resources[doomed.key] = doomed
            case Drop(urn, id):
                self.resources.pop((urn, id), None)
            case Rename(old_urn, new_urn):
                self._rename(old_urn, new_urn)
            case Begin(operation):
                self.pending[operation.resource.urn] = operation
            case Settle(urn):
                self.pending.pop(urn, None)

    def _rename(self, old: str, new: str) -> None:
        renamed = (_renamed(resource, old, new) for resource in self.resources.values())
        self.resources = {resource.key: resource for resource in renamed}

    def ordered(self) -> list[ResourceState]:
        """The resources with everything that one needs before it, otherwise in the order they came."""
        by_urn: dict[str, list[ResourceState]] = {}
        for resource in self.resources.values():
            by_urn.setdefault(resource.urn, []).append(resource)
        done: dict[tuple[str, str], ResourceState] = {}
        for resource in self.resources.values():
            _place(resource, by_urn, done)
        return list(done.values())


def _place(
    root: ResourceState, by_urn: Mapping[str, list[ResourceState]], done: dict[tuple[str, str], ResourceState]
) -> None:
    # A stack of its own instead of recursion: chains may be longer than Python's stack.
    stack, entered = [root], set()
    while stack:
        resource = stack[-1]
        if resource.key in done or resource.key in entered:
            done.setdefault(resource.key, stack.pop())
            continue
        entered.add(resource.key)
        needed = (r for urn in sorted(resource.needs) for r in by_urn.get(urn, ()))
        stack += [r for r in needed if r.key not in done and r.key not in entered]


def _renamed(resource: ResourceState, old: str, new: str) -> ResourceState:
    def swap(urn: str) -> str:
        return new if urn == old else urn

    if resource.urn != old and old not in resource.needs:
        return resource
    dependencies = {name: tuple(map(swap, urns)) for name, urns in resource.property_dependencies.items()}
    return replace(
        resource,
        urn=swap(resource.urn),
        parent=swap(resource.parent),
        deleted_with=swap(resource.deleted_with),
        replace_with=tuple(map(swap, resource.replace_with)),
        provider=_swapped(resource.provider, old, new),
        dependencies=tuple(map(swap, resource.dependencies)),
        property_dependencies=dependencies,
    )


def _swapped(reference: str, old: str, new: str) -> str:
    urn, _, id = reference.rpartition("::")
    return f"{new}::{id}" if urn == old else reference


@dataclass(frozen=True)
class Put:
    """The resource is now as given."""

    resource: ResourceState


@dataclass(frozen=True)
class Mark:
    """The live copy is replaced: it waits to be deleted."""

    urn: str


@dataclass(frozen=True)
class Drop:
    """The copy is gone. `id` is empty for the live one."""

    urn: str
    id: str = ""


@dataclass(frozen=True)
class Rename:
    """The resource has a new URN, here and wherever others name it."""

    old: str
    new: str


@dataclass(frozen=True)
class Begin:
    """A provider is about to be called."""

    operation: PendingOperation


@dataclass(frozen=True)
class Settle:
    """The end of the resource's operation is known."""

    urn: str


Change = Put | Mark | Drop | Rename | Begin | Settle

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
_MAPS = {"inputs", "outputs", "propertyDependencies", "replacementTrigger"}
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
    raw["inputs"] = _encode(resource.inputs, keys)
    raw["outputs"] = _encode(resource.outputs, keys)
    raw |= {key: getattr(resource, name) for name, key in _OPTIONAL.items() if getattr(resource, name)}
    raw |= {key: list(getattr(resource, name)) for name, key in _LISTS.items() if getattr(resource, name)}
    if resource.replacement_trigger is not None:
        raw["replacementTrigger"] = _encode(resource.replacement_trigger, keys)
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
        replacement_trigger=_decode(raw.get("replacementTrigger"), keys),
        extra={key: value for key, value in raw.items() if key not in _KNOWN},
        **_present(raw),
    )


def _present(raw: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(raw[key] or ()) for name, key in _LISTS.items() if key in raw}
    return {name: raw[key] for name, key in _OPTIONAL.items() if key in raw} | lists


def _encode(value: Any, keys: Keyring | None) -> Any:
    match value:
        case Secret():
            text = json.dumps(value.value, separators=(",", ":"), sort_keys=True)
            sealed = {"plaintext": text} if keys is None else {"ciphertext": keys.encrypt(text)}
            return {SIGNATURE: SECRET_SIGNATURE, **sealed}
        case Mapping():
            return {key: _encode(item, keys) for key, item in value.items()}
        case list() | tuple():
            return [_encode(item, keys) for item in value]
        case _:
            return value


def _decode(value: Any, keys: Keyring | None) -> Any:
    match value:
        case dict() if value.get(SIGNATURE) == SECRET_SIGNATURE:
            if keys is None:
                return Secret(MASK)
            return Secret(json.loads(value["plaintext"] if "plaintext" in value else keys.decrypt(value["ciphertext"])))
        case dict():
            return {key: _decode(item, keys) for key, item in value.items()}
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


def timestamp(now: float) -> str:
    """Unix seconds as RFC 3339 in UTC, as Pulumi writes it: no zeros at the end of a fraction."""
    text = datetime.fromtimestamp(now, UTC).isoformat().removesuffix("+00:00")
    return (text.rstrip("0") if "." in text else text) + "Z"


def _magic(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest() if version else ""
