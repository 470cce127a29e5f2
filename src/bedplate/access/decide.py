"""`decide`: the one function that answers whether a request may go ahead."""

from __future__ import annotations

from bedplate.access.globs import matches
from bedplate.access.model import Decision, Effect, Grant, Request, ScopeSet


def decide(scopes: ScopeSet, request: Request) -> Decision:
    """Decide one request: `never` first, then the grants; nothing that matches means deny.

    Pure and total. Callers normalise the object before they ask (`normalise_url` for HTTP, a relative POSIX path for
    documents).
    """
    name = f"{request.tool}.{request.operation}"
    for never in scopes.never:
        if matches(never.pattern, name):
            return Decision(Effect.DENY, where=never.where, reason=f"`never` forbids {name}")
    for grant in scopes.grants:
        if _grants(grant, request):
            return Decision(Effect.ALLOW, grant=grant.id, where=grant.where)
    return Decision(Effect.DENY, reason=f"no scope of {request.tool} grants {request.verb} on {request.object}")


def may_use(scopes: ScopeSet, tool: str, operation: str, verb: str) -> bool:
    """Whether some object exists on which `operation` may do `verb`: whether the operation is worth listing at all."""
    name = f"{tool}.{operation}"
    if any(matches(never.pattern, name) for never in scopes.never):
        return False
    # The object of `call` is the operation itself, so here the pattern can be held against it already.
    return any(
        g.tool == tool and g.verb == verb and (verb != "call" or matches(g.pattern, operation)) for g in scopes.grants
    )


def _grants(grant: Grant, request: Request) -> bool:
    return grant.tool == request.tool and grant.verb == request.verb and matches(grant.pattern, request.object)
