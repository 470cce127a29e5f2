"""Aliases: the URNs under which a resource may stand in state.

Goes in: a goal, and the aliases of its parent. Comes out: URNs, in the order in which they are tried.
"""

from __future__ import annotations

from typing import Any

from bedplate.engine.goals import AliasSpec, Goal, StackId


def alias_of(alias: Any) -> AliasSpec:
    """The value of a `pulumirpc.Alias`."""
    if alias.WhichOneof("alias") == "urn":
        return AliasSpec(urn=alias.urn)
    spec = alias.spec
    parent: str | None = None
    match spec.WhichOneof("parent"):
        case "noParent":
            parent = "" if spec.noParent else None
        case "parentUrn":
            parent = spec.parentUrn or None
    return AliasSpec("", spec.name, spec.type, spec.stack, spec.project, parent)


def alias_urns(goal: Goal, stack: StackId, parent_aliases: tuple[str, ...]) -> tuple[str, ...]:
    """Every URN that the resource may have had: its own aliases, and those that follow from its parent's."""
    own = goal.aliases
    found = [alias.urn or _spec_urn(alias, goal, stack, goal.parent) for alias in own]
    for old_parent in parent_aliases:
        found.append(stack.urn(old_parent, goal.type, _child_name(goal, old_parent)))
        inheriting = (a for a in own if not a.urn and a.parent is None)
        found += [_spec_urn(alias, goal, stack, old_parent) for alias in inheriting]
    # The SDK sends some aliases twice.
    return tuple(dict.fromkeys(found))


def _spec_urn(alias: AliasSpec, goal: Goal, stack: StackId, parent: str) -> str:
    where = StackId(alias.project or stack.project, alias.stack or stack.stack)
    old_parent = parent if alias.parent is None else alias.parent
    return where.urn(old_parent, alias.type or goal.type, alias.name or goal.name)


def _child_name(goal: Goal, old_parent: str) -> str:
    # Children are often named after their parent: `app-bucket` of `app` was `old-bucket` when `app` was `old`.
    name, old_name = goal.parent.split("::", 3)[-1], old_parent.split("::", 3)[-1]
    return old_name + goal.name[len(name) :] if goal.name.startswith(name) else goal.name
