"""Grants and requests in words, as findings and problems say them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bedplate.access.budgets import said
from bedplate.access.conditions import clauses
from bedplate.access.model import Grant, Request


def written(grant: Grant) -> str:
    """What a grant names and demands, in words that do not depend on the order in which it is written."""
    limit = f"limit {said(grant.budgets)}" if grant.budgets else ""
    demands = "; ".join(part for part in (clauses(grant), limit) if part)
    return f"{grant.pattern} {demands}" if demands else grant.pattern


def shown(grant: Grant, request: Request, *, operation: bool = False) -> str:
    """A request of a grant: `refunds.pay {"amount": 100.01}`. `operation`: which one matters for other verbs too."""
    name = f"{request.tool}.{request.operation}"
    match grant.verb:
        case "call":
            what = name
        case _ if grant.tool == "memory":
            what = name
        case _ if operation:
            what = f"{name} on {request.object}"
        case _:
            what = request.object
    session = f"with session {_json(request.session)}" if request.session else ""
    return " ".join(part for part in (what, _json(request.args) if request.args else "", session) if part)


def _json(values: Mapping[str, object]) -> str:
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True, default=str)
