"""Operations that began in a run that died: finished or settled before anything else happens.

Goes in: the pending operations of the state. Comes out: a state that says what is. A create and an update are called
again with the inputs they had, where the provider allows it; a delete is settled by looking, since finishing it could
take what the user has meanwhile decided to keep. What cannot be settled stays pending and is reported; a create that
could make a second one stops the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bedplate.engine.api import Event
from bedplate.engine.faults import hushed, problems_of
from bedplate.engine.operations import Operations
from bedplate.engine.provider import Resource
from bedplate.engine.running import Stopped
from bedplate.engine.state import Drop, Mark, PendingOperation, Put, ResourceState, Settle
from bedplate.engine.values import annotate, plain, seal
from bedplate.problems import BedplateError, Problem


def resolve(operations: Operations) -> None:
    """Settle every pending operation that can be.

    Raises BedplateError BP216 where a create is left of which nobody knows whether it made something, and its provider
    would make another: going on would double it.
    """
    doubtful = [p.resource for p in operations.ledger.snapshot.pending.values() if _may_double(operations, p)]
    if doubtful:
        raise BedplateError(*map(_doubt, doubtful))
    for pending in list(operations.ledger.snapshot.pending.values()):
        name, doing = pending.resource.name, pending.type
        try:
            found = _resolve(operations, pending)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - see below
            # Whatever a provider raises: a command that died of it would leave no way on.
            reasons = BedplateError(*problems_of(name, pending.resource.type, hushed(error, pending.resource)))
            operations.emit(Event("log", message=f"{name}: {doing} was interrupted and cannot be settled: {reasons}"))
        else:
            operations.emit(Event("log", message=f"{name}: {doing} was interrupted; {found}"))


def _may_double(operations: Operations, pending: PendingOperation) -> bool:
    new = pending.resource
    if pending.type != "creating" or new.id:
        return False
    try:
        return not operations.instances.resource(new).repeatable
    except BedplateError:
        # Without its type it cannot be made twice either; why it cannot be settled is reported below.
        return False


def _doubt(new: ResourceState) -> Problem:
    return Problem(
        "BP216",
        f"{new.name}: creating was interrupted, and nobody knows whether it was made",
        detail=new.urn,
        fix="look for it in the package's own console; if it is there, delete it or import it; "
        f"then `bedplate state repair --forget {new.name}`",
    )


def _resolve(operations: Operations, pending: PendingOperation) -> str:
    new = pending.resource
    resource = operations.instances.resource(new)
    match pending.type:
        case "creating" if new.id:
            return _look(operations, resource, new)
        case "creating":
            made = operations.create_at(resource, new)
            state = replace(new, id=made.id, outputs=_marked(resource, new, made.outputs))
            old = operations.ledger.snapshot.live(new.urn)
            # A replacement that died: the copy it replaces is still live and has to go at the end.
            marks = (Mark(old.urn),) if old and not old.pending_replacement else ()
            operations.ledger.record(*marks, Put(operations.stamp(state)), Settle(new.urn))
            return f"it was created again as {made.id}"
        case "updating":
            return _update_again(operations, resource, new)
        case _:
            return _look(operations, resource, new)


def _update_again(operations: Operations, resource: Resource, new: ResourceState) -> str:
    old = operations.ledger.snapshot.live(new.urn) or new
    outputs = resource.update(new.id, plain(old.inputs), plain(old.outputs), plain(new.inputs))
    state = operations.stamp(replace(new, outputs=_marked(resource, new, outputs)))
    operations.ledger.record(Put(state), Settle(new.urn))
    return "the update was done again"


def _look(operations: Operations, resource: Resource, new: ResourceState) -> str:
    found = resource.read(new.id, plain(new.inputs), plain(new.outputs))
    if found is None:
        operations.ledger.record(Drop(*new.key), Settle(new.urn))
        return "it is gone"
    state = replace(new, outputs=_marked(resource, new, found.outputs))
    operations.ledger.record(Put(state), Settle(new.urn))
    return "it is still there"


def _marked(resource: Resource, new: ResourceState, outputs: Mapping[str, object]) -> Mapping[str, object]:
    marked: Mapping[str, object] = annotate(
        seal(outputs, {*resource.secret_outputs, *new.additional_secret_outputs}), new.inputs
    )
    return marked
