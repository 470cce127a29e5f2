"""Whether one set of compiled policies lets through what another does not, with a request that both engines decide."""

from __future__ import annotations

from dataclasses import replace

from bedplate.access.answers import Answer, Unproved
from bedplate.access.cedar.evaluate import Decider
from bedplate.access.cedar.model import Policies
from bedplate.access.cedar.read import read
from bedplate.access.model import Effect, Request, ScopeSet
from bedplate.access.prove import Spent
from bedplate.access.prove import widens as scopes_widen
from bedplate.problems import BedplateError


def widens(old: Policies, new: Policies, *, spent: Spent) -> Answer[Request]:
    """Compare two sets of the profile `gateway`: both are read, and Cedar decides each witness by the sets as given.

    Unproved where a set is not of the form that this compiler writes. Budgets are not in Cedar and are not compared.
    Raises BedplateError BP844 without cedarpy.
    """
    try:
        before, after = _scopes(old), _scopes(new)
        judges = ((before, Decider(old)), (after, Decider(new)))
    except BedplateError as error:
        if error.problems[0].code == "BP844":
            raise
        return Unproved(str(error))

    def oracle(request: Request, scopes: ScopeSet) -> Effect:
        return next(judge for known, judge in judges if known is scopes).decide(request).effect

    return scopes_widen(before, after, spent=spent, oracle=oracle)


def _scopes(policies: Policies) -> ScopeSet:
    """What they say, with the operations that requests are held against before."""
    return replace(read(policies), operations=policies.operations)
