"""What scopes say in vain: grants that nothing can use, tools that nobody may call, asks that never ask. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from bedplate.access.answers import Narrower, Same
from bedplate.access.facts import Facts
from bedplate.access.globs import covers, matches
from bedplate.access.model import Grant, ScopeSet
from bedplate.access.prove import widens


@dataclass(frozen=True)
class Remark:
    """One thing said in vain. `kind`: `unusable` (a grant), `uncallable` (a tool), `void` (an ask that never asks)."""

    kind: Literal["unusable", "uncallable", "void"]
    tool: str
    text: str
    where: str = ""


def lint(scopes: ScopeSet, facts: Facts, spent: Callable[[], bool]) -> tuple[Remark, ...]:
    """Everything said in vain. What `spent` cuts short is not remarked on: a remark is a proof."""
    unusable = [grant for grant in scopes.grants if _unusable(grant, scopes)]
    return (*_grants(unusable, scopes), *_tools(unusable, scopes, facts), *_asks(scopes, spent))


def _grants(unusable: list[Grant], scopes: ScopeSet) -> Iterator[Remark]:
    for grant in unusable:
        never = next((n.pattern for n in scopes.never if covers(n.pattern, _names(grant))), None)
        why = f"`never` {never} forbids all of it" if never else "the tool has no such operation"
        yield Remark(
            "unusable", grant.tool, f"{grant.tool} may {grant.verb} {grant.pattern} in vain: {why}", grant.where
        )


def _tools(unusable: list[Grant], scopes: ScopeSet, facts: Facts) -> Iterator[Remark]:
    used = {grant.tool for grant in scopes.grants if grant not in unusable}
    for tool in facts.tools:
        if tool.name not in used and tool.kind not in {"memory", "state", "sandbox"}:
            yield Remark("uncallable", tool.name, f"nothing of {tool.name} may be used", tool.where)


def _asks(scopes: ScopeSet, spent: Callable[[], bool]) -> Iterator[Remark]:
    """An ask is void where the scopes without it, an allow in its place, decide alike.

    Only other scopes of the same tool and verb can allow what it asks for.
    """
    alike: dict[tuple[str, str], list[Grant]] = {}
    for grant in scopes.grants:
        alike.setdefault((grant.tool, grant.verb), []).append(grant)
    for grant in scopes.grants:
        together = alike[grant.tool, grant.verb]
        if grant.ask is None or len(together) == 1:
            continue
        known = tuple(scopes.pinned.get(grant.tool, {}).values())
        mine = ScopeSet(tuple(together), scopes.never, known)
        without = tuple(replace(g, ask=None) if g is grant else g for g in together)
        if isinstance(widens(mine, replace(mine, grants=without), spent=spent), Same | Narrower):
            text = f"the ask of {grant.tool} ({grant.verb} {grant.pattern}) asks nobody: other scopes allow all of it"
            yield Remark("void", grant.tool, text, grant.where)


def _unusable(grant: Grant, scopes: ScopeSet) -> bool:
    if any(covers(never.pattern, _names(grant)) for never in scopes.never):
        return True
    known = scopes.pinned.get(grant.tool, {}).values()
    if not known or grant.verb != "call":
        return False
    allowed = (op for op in known if not any(matches(n.pattern, f"{op.tool}.{op.name}") for n in scopes.never))
    return not any(matches(grant.pattern, op.name) for op in allowed)


def _names(grant: Grant) -> str:
    """The pattern of the operations that a grant is about."""
    return f"{grant.tool}.{grant.pattern}" if grant.verb == "call" else f"{grant.tool}.*"
