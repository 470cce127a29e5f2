"""`decide`: the one function that answers whether a request may go ahead."""

from __future__ import annotations

from bedplate.access.conditions import asks, given, holds, said
from bedplate.access.fits import misfit
from bedplate.access.globs import matches
from bedplate.access.model import Decision, Effect, Grant, Request, ScopeSet

CONSENT = "a person must agree"


def decide(scopes: ScopeSet, request: Request) -> Decision:
    """Decide one request: `never` first, then the pinned schema, then the highest effect of the grants that match.

    Pure and total. Nothing that matches means deny. Callers normalise the object before they ask (`normalise_url` for
    HTTP, a relative POSIX path for documents).
    """
    name = f"{request.tool}.{request.operation}"
    for never in scopes.never:
        if matches(never.pattern, name):
            return Decision(Effect.DENY, where=never.where, reason=f"`never` forbids {name}")
    if wrong := misfit(scopes, request):
        return Decision(Effect.DENY, reason=f"the pinned schema does not take it: {wrong}")
    found, grant = _best(scopes, request)
    if grant is None:
        return Decision(Effect.DENY, reason=_refused(scopes, request))
    reason = CONSENT if found is Effect.ASK else ""
    return Decision(found, grant=grant.id, where=grant.where, reason=reason)


def level(scopes: ScopeSet, request: Request) -> Effect:
    """The effect of `decide`, without the words."""
    name = f"{request.tool}.{request.operation}"
    if any(matches(never.pattern, name) for never in scopes.never) or misfit(scopes, request):
        return Effect.DENY
    return _best(scopes, request)[0]


def _best(scopes: ScopeSet, request: Request) -> tuple[Effect, Grant | None]:
    """The highest effect of the grants, and the first that has it."""
    asking: Grant | None = None
    for grant in scopes.grants:
        if grant.tool == request.tool and grant.verb == request.verb:
            found = effect(grant, request)
            if found is Effect.ALLOW:
                return found, grant
            asking = asking or (grant if found is Effect.ASK else None)
    return (Effect.ASK if asking else Effect.DENY), asking


def effect(grant: Grant, request: Request) -> Effect:
    """What one grant says of a request: DENY where it does not match."""
    if not _names(grant, request) or _failed(grant, request):
        return Effect.DENY
    asked = grant.ask is not None and asks(grant.ask, request.args, request.session)
    return Effect.ASK if asked else Effect.ALLOW


def may_use(scopes: ScopeSet, tool: str, operation: str, verb: str) -> bool:
    """Whether some object exists on which `operation` may do `verb`: whether the operation is worth listing at all."""
    name = f"{tool}.{operation}"
    if any(matches(never.pattern, name) for never in scopes.never):
        return False
    # The object of `call` is the operation itself, so here the pattern can be held against it already.
    return any(
        g.tool == tool and g.verb == verb and (verb != "call" or matches(g.pattern, operation)) for g in scopes.grants
    )


def _names(grant: Grant, request: Request) -> bool:
    return grant.tool == request.tool and grant.verb == request.verb and matches(grant.pattern, request.object)


def _failed(grant: Grant, request: Request) -> str:
    """The first thing that the grant demands of the arguments and they do not have; "" where they have all."""
    for condition in grant.conditions:
        if not holds(condition, request.args, request.session):
            return said(condition)
    if grant.only is not None:
        more = next((n for n in request.args if n not in grant.only and given((n,), request.args) is not None), None)
        return "" if more is None else f"no argument {more}"
    return ""


def _refused(scopes: ScopeSet, request: Request) -> str:
    """Why nothing grants it, with what the nearest grant demands."""
    reason = f"no scope of {request.tool} grants {request.verb} on {request.object}"
    near = next((grant for grant in scopes.grants if _names(grant, request)), None)
    if near is None:
        return reason
    line = f" ({near.where})" if near.where else ""
    return f"{reason} with these arguments: it takes {_failed(near, request)}{line}"
