"""What is deployed, as values: a `Snapshot` that changes are applied to.

Nothing here touches files or knows how values are written; `storage` and `encoding` do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"
# Fields of other engines, and of this one, that stand in `ResourceState.extra`.
INIT_ERRORS: Final = "initErrors"
"""Why a resource that exists did not come up: the next update tries again, whatever differs."""
TAINT: Final = "taint"
"""What `pulumi state taint` has marked is replaced by the next update."""
REFRESH_FIRST: Final = "refreshBeforeUpdate"
"""The resource is read before every update, because its provider has said that it changes by itself."""


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
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of hooks, by `BeforeCreate` and so on, and `OnError`."""
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
        needed = (r for urn in sorted(resource.needs) for r in _meant(by_urn.get(urn, ())))
        stack += [r for r in needed if r.key not in done and r.key not in entered]


def _meant(copies: Sequence[ResourceState]) -> Sequence[ResourceState]:
    """Those of the same name that count: the live one, or all where none is. An old one may need what needs that."""
    return [copy for copy in copies if not copy.delete] or copies


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


def timestamp(now: float) -> str:
    """Unix seconds as RFC 3339 in UTC, as Pulumi writes it: no zeros at the end of a fraction."""
    text = datetime.fromtimestamp(now, UTC).isoformat().removesuffix("+00:00")
    return (text.rstrip("0") if "." in text else text) + "Z"
