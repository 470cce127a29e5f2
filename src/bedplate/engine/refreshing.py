"""Refreshing: the state is made what the providers see. No resource is changed.

Goes in: the resources in state. Comes out: a `refresh` step for each, with what differs, and a state that says what is:
changed inputs and outputs taken over, and what is gone taken out, also of whatever named it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from bedplate.engine.api import Event, Step
from bedplate.engine.diffing import diff_properties
from bedplate.engine.faults import hushed
from bedplate.engine.operations import Operations
from bedplate.engine.ordering import in_any_order
from bedplate.engine.provider import Diff, Incomplete, ReadResult, Resource
from bedplate.engine.state import INIT_ERRORS, PROVIDER_PREFIX, Change, Drop, Put, ResourceState
from bedplate.engine.steps import step_of
from bedplate.engine.targets import Selection
from bedplate.engine.values import annotate, plain
from bedplate.problems import BedplateError

GONE = "gone"
Find = Callable[[ResourceState], Resource]


def refresh(operations: Operations, selection: Selection, find: Find, *, keep_going: bool) -> None:
    """Read every resource that is meant. Raises BedplateError with what could not be read, and Stopped."""
    every = operations.ledger.snapshot.ordered()
    selection.require_known({r.urn for r in every})
    chosen = [r for r in every if selection.includes(r.urn, r.needs) and _readable(r)]
    gone: list[ResourceState] = []

    def look(old: ResourceState) -> None:
        if refreshed(operations, find(old), old) is None:
            gone.append(old)

    try:
        problems = in_any_order(chosen, look, operations.run, keep_going=keep_going)
    finally:
        # Together, so that no state ever names something that is not in it.
        if gone:
            operations.record(*_without(gone, operations.ledger.snapshot.ordered()))
    if problems:
        raise BedplateError(*problems)


def _readable(resource: ResourceState) -> bool:
    # What was deleted to be replaced is known to be gone; its entry waits for the new one.
    return resource.custom and not resource.type.startswith(PROVIDER_PREFIX) and not resource.pending_replacement


def refreshed(operations: Operations, resource: Resource, old: ResourceState) -> ResourceState | None:
    """Read one resource and record what differs; None where it is gone, which is not recorded."""
    operations.emit(Event("started", step_of("refresh", old, old=old)))
    try:
        new = _seen(operations, resource, old)
    except Exception as error:
        quiet = hushed(error, old)
        operations.emit(Event("failed", step_of("refresh", old, old=old), str(quiet)))
        if quiet is error:
            raise
        raise quiet from None
    diff = Diff(note=GONE) if new is None else _drift(old, new)
    if new is not None and new != old:
        operations.record(Put(operations.stamp(new)))
    step: Step = step_of("refresh", new or old, diff, old, gone=new is None)
    operations.emit(Event("done", step))
    return new


def _seen(operations: Operations, resource: Resource, old: ResourceState) -> ResourceState | None:
    """The resource as it is now, with what is wrong with it where it exists and did not come up; None for none."""
    trouble: Incomplete | None = None
    try:
        found = resource.read(old.id, plain(old.inputs), plain(old.outputs))
    except Incomplete as error:
        found, trouble = ReadResult(error.created.id, error.inputs, error.created.outputs), error
    if found is None:
        return None
    # A type that does not say which inputs it would have been made with keeps those it was made with.
    inputs = annotate(found.inputs, old.inputs) if found.inputs and not old.external else old.inputs
    extra = {key: value for key, value in old.extra.items() if key != INIT_ERRORS}
    state = replace(old, inputs=inputs, id=old.id if old.delete else found.id, extra=extra)
    state = replace(state, outputs=operations.marked(resource, state, found.outputs))
    return state if trouble is None else _unwell(operations, state, old, trouble)


def _unwell(operations: Operations, state: ResourceState, old: ResourceState, trouble: Incomplete) -> ResourceState:
    quiet = cast(Incomplete, hushed(trouble, state, old))
    reasons = [problem.summary for problem in quiet.problems]
    operations.emit(Event("log", message=f"{old.name} exists and is not well: {'; '.join(reasons)}"))
    return replace(state, extra={**state.extra, INIT_ERRORS: reasons})


def _drift(old: ResourceState, new: ResourceState) -> Diff:
    def compared(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
        return dict(diff_properties(plain(a), plain(b)).properties)

    note = "" if new.id == old.id else f"is {new.id} now"
    return Diff({**compared(old.outputs, new.outputs), **compared(old.inputs, new.inputs)}, note=note)


def _without(gone: list[ResourceState], every: list[ResourceState]) -> list[Change]:
    """The changes that take resources out of the state, and out of what others say about them."""
    keys = {r.key for r in gone}
    left = {r.urn for r in every if r.key not in keys}
    parents: dict[str, str] = {}
    changes: list[Change] = [Drop(*key) for key in sorted(keys)]
    for resource in every:
        # Needed ones come first, so that the parent of a parent that is gone is right already.
        parent = parents.get(resource.parent, resource.parent)
        if resource.urn not in left:
            parents[resource.urn] = parent
        repaired = _repaired(resource, left, parent)
        if resource.key not in keys and repaired != resource:
            changes.append(Put(repaired))
    return changes


def _repaired(resource: ResourceState, left: set[str], parent: str) -> ResourceState:
    def kept(urns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(urn for urn in urns if urn in left)

    return replace(
        resource,
        parent=parent,
        dependencies=kept(resource.dependencies),
        property_dependencies={name: kept(urns) for name, urns in resource.property_dependencies.items()},
        replace_with=kept(resource.replace_with),
        deleted_with=resource.deleted_with if resource.deleted_with in left else "",
    )
