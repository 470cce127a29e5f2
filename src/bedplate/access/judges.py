"""Who judges a witness besides `access.decide`: the Cedar engine, where it is installed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec

from bedplate.access.model import Effect, Request, ScopeSet
from bedplate.access.prover import Oracle, Unclear
from bedplate.problems import BedplateError


@lru_cache(maxsize=1)
def judge() -> Oracle | None:
    """A judge for `findings.compare` and `prove.widens`, which is loaded when first asked; None without cedarpy.

    It raises Unclear where Cedar cannot express the scopes, so that what it cannot confirm is unproved.
    """
    return _cedar if find_spec("cedarpy") else None


def _cedar(request: Request, scopes: ScopeSet) -> Effect:
    from bedplate.access.cedar.replay import oracle

    try:
        return oracle(request, _numbered(scopes))
    except BedplateError as error:
        raise Unclear(f"Cedar cannot judge it: {error.problems[0].summary}") from error


@lru_cache(maxsize=8)
def _numbered(scopes: ScopeSet) -> ScopeSet:
    """With an id for each grant: the patterns of one scope share theirs, which Cedar's policies cannot."""
    return replace(scopes, grants=tuple(replace(grant, id=f"g{i}") for i, grant in enumerate(scopes.grants)))
