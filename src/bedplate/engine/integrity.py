"""What must hold of a state for an engine to work on it, Pulumi's or this one.

Goes in: a snapshot. Comes out: what is wrong with it, and what can be mended without knowing more. The order of the
resources is no matter here: whoever writes a state puts them in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bedplate.engine.state import Put, ResourceState, Snapshot


def flaws(snapshot: Snapshot) -> list[str]:
    """Each flaw in a sentence: an id without a provider's resource, or something named that is not there."""
    urns = {resource.urn for resource in snapshot.resources.values()}
    references = {f"{resource.urn}::{resource.id}" for resource in snapshot.resources.values()}
    return [
        flaw for resource in snapshot.resources.values() for flaw in _flaws_of(resource, urns, references, snapshot)
    ]


def _flaws_of(resource: ResourceState, urns: set[str], references: set[str], snapshot: Snapshot) -> Iterator[str]:
    if not resource.custom and resource.id:
        yield f"{resource.name} is a component and has an id"
    if resource.provider and resource.provider not in references and not resource.pending_replacement:
        yield f"{resource.name} names a provider that is not there: {resource.provider}"
    for urn in sorted(_named(resource) - urns):
        yield f"{resource.name} needs a resource that is not there: {urn}"
    if resource.urn in _named(resource) and snapshot.live(resource.urn) is resource:
        yield f"{resource.name} needs itself"


def _named(resource: ResourceState) -> set[str]:
    by_property = {urn for urns in resource.property_dependencies.values() for urn in urns}
    others = {resource.parent, resource.deleted_with, *resource.dependencies, *resource.replace_with}
    return (others | by_property) - {""}


def pruned(snapshot: Snapshot) -> list[Put]:
    """The changes that take out of each resource what names something that is not there."""
    urns = {resource.urn for resource in snapshot.resources.values()}
    return [Put(_without(resource, urns)) for resource in list(snapshot.resources.values()) if _named(resource) - urns]


def _without(resource: ResourceState, urns: set[str]) -> ResourceState:
    def kept(named: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(urn for urn in named if urn in urns)

    return replace(
        resource,
        parent=resource.parent if resource.parent in urns else "",
        deleted_with=resource.deleted_with if resource.deleted_with in urns else "",
        dependencies=kept(resource.dependencies),
        replace_with=kept(resource.replace_with),
        property_dependencies={name: kept(named) for name, named in resource.property_dependencies.items()},
    )
