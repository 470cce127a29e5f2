"""Taking up what exists already: `get` (never ours) and `import` (ours from now on).

Goes in: a resource that the program names by id. Comes out: its state as its provider reads it, recorded.
"""

from __future__ import annotations

from dataclasses import replace

from bedplate.engine.api import Event
from bedplate.engine.goals import Goal
from bedplate.engine.operations import Operations
from bedplate.engine.provider import ReadResult, Resource
from bedplate.engine.state import Change, Mark, Put, ResourceState
from bedplate.engine.steps import step_of
from bedplate.engine.values import UNKNOWN_SENTINEL, annotate, plain
from bedplate.problems import BedplateError, Problem


def is_import(goal: Goal, old: ResourceState | None) -> bool:
    """Whether the resource is to be imported now: it is not there yet, or has another id."""
    return bool(goal.import_id) and (old is None or old.external or goal.import_id != (old.import_id or old.id))


def get(operations: Operations, resource: Resource, wanted: ResourceState, old: ResourceState | None) -> ResourceState:
    """Read a resource that is not ours. One of ours that stood under the name goes, unless it is the same one."""
    if wanted.id in {"", UNKNOWN_SENTINEL}:
        return replace(wanted, id="", outputs=resource.preview_outputs(plain(wanted.inputs), None))
    relieved = old is not None and not old.external and old.id != wanted.id

    def look() -> ResourceState:
        found = _found(resource.read(wanted.id, plain(wanted.inputs), {}), wanted.type, wanted.id)
        state = replace(wanted, id=found.id, outputs=operations.marked(resource, wanted, found.outputs))
        if old is not None and not relieved:
            state = replace(state, created=old.created, modified=old.modified)
        return _recorded(operations, state, old, [Mark(wanted.urn)] if relieved else [])

    state = operations.perform(step_of("read-replacement" if relieved else "read", wanted), look, wanted)
    if relieved:
        operations.emit(Event("done", step_of("replace", state, old=old)))
    return state


def _recorded(
    operations: Operations, state: ResourceState, old: ResourceState | None, marks: list[Change]
) -> ResourceState:
    if state == old:
        return state
    state = operations.stamp(state)
    operations.record(*marks, Put(state))
    return state


def adopt(
    operations: Operations, resource: Resource, wanted: ResourceState, import_id: str, old: ResourceState | None
) -> ResourceState:
    """Import a resource: from now on it is ours. Another one that stood under the name goes at the end of the run."""
    replaced = old is not None and not old.pending_replacement

    def look() -> ResourceState:
        found = _found(resource.read(import_id, {}, {}), wanted.type, import_id)
        state = replace(wanted, id=found.id or import_id, import_id=import_id)
        state = replace(state, inputs=annotate(dict(found.inputs), wanted.inputs))
        state = replace(state, outputs=operations.marked(resource, state, found.outputs))
        marks: list[Change] = [Mark(wanted.urn)] if old is not None and replaced and old.id != state.id else []
        return _recorded(operations, state, None, marks)

    state = operations.perform(step_of("import-replacement" if replaced else "import", wanted), look, wanted)
    if replaced:
        operations.emit(Event("done", step_of("replace", state, old=old)))
    return state


def _found(found: ReadResult | None, type: str, id: str) -> ReadResult:
    if found is None:
        raise BedplateError(Problem("BP208", f"there is no {type} with the id {id}"))
    return found
