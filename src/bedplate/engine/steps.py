"""Steps as values: what is told of a resource, with secrets masked and hidden properties left out.

Goes in: resources as they were and are, and what differs. Comes out: `Step`s.
"""

from __future__ import annotations

from typing import Final, Literal

from bedplate.engine.api import Step
from bedplate.engine.paths import hide
from bedplate.engine.provider import Diff
from bedplate.engine.state import ResourceState
from bedplate.engine.values import masked

NO_DIFF: Final = Diff()
Op = Literal[
    "same",
    "create",
    "create-replacement",
    "update",
    "replace",
    "delete",
    "delete-replaced",
    "read",
    "read-replacement",
    "refresh",
    "import",
    "import-replacement",
    "discard",
    "discard-replaced",
    "remove-pending-replace",
]
"""Every operation of this engine, by the names that Pulumi has for them. No step is made with another."""


def step_of(
    op: Op, state: ResourceState, diff: Diff = NO_DIFF, old: ResourceState | None = None, *, gone: bool = False
) -> Step:
    """The step `op` on a resource. With `gone` nothing of it is left."""
    return Step(
        op=op,
        urn=state.urn,
        type=state.type,
        name=state.name,
        diff=diff.properties,
        note=diff.note,
        old_inputs=hide(masked(old.inputs), state.hide_diff) if old else None,
        new_inputs=None if gone else hide(masked(state.inputs), state.hide_diff),
        old_outputs=hide(masked(old.outputs), state.hide_diff) if old else None,
    )


def same_step(state: ResourceState) -> Step:
    """A resource in state as a `same` step."""
    return step_of("same", state, NO_DIFF, state)


def delete_op(old: ResourceState) -> Op:
    """The operation that takes a resource out of the state."""
    if old.pending_replacement:
        return "remove-pending-replace"
    if old.external:
        return "discard-replaced" if old.delete else "discard"
    return "delete-replaced" if old.delete else "delete"
