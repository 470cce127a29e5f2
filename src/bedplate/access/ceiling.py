"""An organisation's ceiling: what no agent may go beyond, written once for tools of any name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bedplate.access.globs import matches
from bedplate.access.model import ScopeSet


def under(ceiling: ScopeSet, scopes: ScopeSet, tools: Iterable[str]) -> ScopeSet:
    """The ceiling as the scopes of one agent with these `tools`, so that `prove.widens` can compare the two.

    A grant of the ceiling has a glob over tools' names for its tool. What the ceiling never allows is kept, and the
    operations are the agent's, whose arguments both speak of.
    """
    names = sorted(set(tools))
    grants = [replace(grant, tool=name) for grant in ceiling.grants for name in names if matches(grant.tool, name)]
    return ScopeSet(tuple(grants), ceiling.never, scopes.operations)
