"""Access: what the agent may do, as data, the one function that decides it, and what one reach allows beyond another.

Goes in: grants compiled from the tools' scopes, and requests, or two reaches. Comes out: `Decision`, or findings
(`access.findings`). It reads no file, opens no connection and imports no other bedplate package but `problems`.
"""

from bedplate.access.decide import decide, may_use
from bedplate.access.globs import covers, matches
from bedplate.access.model import Decision, Effect, Grant, Never, Request, ScopeSet, grant_id
from bedplate.access.urls import UrlRefused, normalise_url

__all__ = [
    "Decision",
    "Effect",
    "Grant",
    "Never",
    "Request",
    "ScopeSet",
    "UrlRefused",
    "covers",
    "decide",
    "grant_id",
    "matches",
    "may_use",
    "normalise_url",
]
