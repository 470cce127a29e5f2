"""Which resources have to go along when one is deleted before its replacement is made.

Goes in: the state, and the resource that is going. Comes out: the resources that a change of it would replace, needed
ones first. The rules are those of `calculateDependentReplacements` in pulumi/pulumi (deploy/step_generator.go).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from bedplate.engine.paths import matches
from bedplate.engine.provider import UNKNOWN, Diff, Resource
from bedplate.engine.state import ResourceState, Snapshot
from bedplate.engine.values import plain

Find = Callable[[ResourceState], Resource]


def going_along(snapshot: Snapshot, root: ResourceState, settled: Collection[str], find: Find) -> list[ResourceState]:
    """Live resources that `root` takes with it. What is `settled` in this run already cannot depend on it."""
    replaced, reached = {root.urn}, {root.urn}
    found: list[ResourceState] = []
    for resource in snapshot.ordered():
        if resource.delete or resource.urn in settled or reached.isdisjoint(resource.needs - {resource.parent}):
            continue
        reached.add(resource.urn)
        if _goes(resource, replaced, find) or root.urn in (resource.deleted_with, *resource.replace_with):
            replaced.add(resource.urn)
            found.append(resource)
    return found


def _goes(resource: ResourceState, replaced: set[str], find: Find) -> bool:
    if not resource.custom or resource.external:
        return False
    if resource.provider.rpartition("::")[0] in replaced or resource.deleted_with in replaced:
        return True
    unknown = {key for key, urns in resource.property_dependencies.items() if not replaced.isdisjoint(urns)}
    if not unknown:
        return False
    inputs = plain({key: UNKNOWN if key in unknown else value for key, value in resource.inputs.items()})
    diff = find(resource).diff(resource.id, plain(resource.inputs), plain(resource.outputs), inputs)
    return bool(forced(diff, resource.replace_on_changes).replaces)


def forced(diff: Diff, patterns: tuple[str, ...]) -> Diff:
    """The difference with every change at or below a pattern of `replaceOnChanges` made one that replaces."""
    if not patterns:
        return diff
    changed: Mapping[str, Any] = {
        path: kind.replacing if any(matches(pattern, path) for pattern in patterns) else kind
        for path, kind in diff.properties.items()
    }
    return replace(diff, properties=changed)
