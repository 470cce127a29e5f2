"""The Cedar engine as a second judge of what `access.decide` says."""

from __future__ import annotations

from functools import lru_cache

from bedplate.access.cedar.emit import compile
from bedplate.access.cedar.evaluate import Decider
from bedplate.access.model import Effect, Request, ScopeSet


def oracle(request: Request, scopes: ScopeSet) -> Effect:
    """The effect that Cedar gives for `request` under `scopes`. Raises BedplateError as `compile` and `Decider` do."""
    return _decider(scopes).decide(request).effect


@lru_cache(8)
def _decider(scopes: ScopeSet) -> Decider:
    return Decider(compile(scopes))
