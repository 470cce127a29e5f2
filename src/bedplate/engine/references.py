"""References to other stacks, by name.

Goes in: a name as programs write it, the stack that asks. Comes out: the other stack's outputs, as they stand in its
state. Its own key opens its secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bedplate.engine.api import StackRef
from bedplate.engine.places import Place
from bedplate.engine.state import STACK_TYPE
from bedplate.engine.storage import load
from bedplate.problems import BedplateError, Problem


def read_outputs(
    name: str, asking: StackRef, place: Callable[[StackRef], Place], environment: Mapping[str, str]
) -> Mapping[str, Any]:
    """The outputs of the stack with this name. Raises BedplateError BP224 where it is not to be found.

    A name is `stack`, `organization/stack` or `organization/project/stack`, as Pulumi has it; a state that is kept here
    knows no organization, so any name of one will do.
    """
    *owner, stack = name.split("/")
    if len(owner) > 2 or owner[1:] not in ([], [asking.project]):
        raise _unknown(name, f"only stacks of the project {asking.project} can be read")
    other = replace(asking, name=stack, folder=asking.folder.parent / stack)
    loaded = load(place(other), environment)
    root = next((r for r in loaded.snapshot.resources.values() if r.type == STACK_TYPE), None)
    if root is None or root.urn.split(":")[2] != stack:
        raise _unknown(name, f"no state is kept for it beside that of {asking.name}")
    return root.outputs


def _unknown(name: str, detail: str) -> BedplateError:
    return BedplateError(
        Problem(
            "BP224",
            f"the stack {name!r} is referred to and not deployed here",
            detail=detail,
            fix="deploy it first, and name it as `stack` or `organization/project/stack`",
        )
    )
