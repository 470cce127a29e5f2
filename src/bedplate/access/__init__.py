"""Access: what the agent may do, as data, the one function that decides it, and what one reach allows beyond another.

Goes in: grants compiled from the tools' scopes, and requests, or two reaches. Comes out: `Decision`, or findings
(`access.findings`). It reads no file, opens no connection and imports no other bedplate package but `problems`.
"""

from bedplate.access.decide import decide, may_use
from bedplate.access.globs import covers, matches
from bedplate.access.model import (
    Argument,
    Ask,
    Budget,
    Claim,
    Condition,
    Decision,
    Effect,
    Grant,
    Never,
    Operation,
    Present,
    Request,
    ScopeSet,
    Spans,
    Subset,
    Texts,
    grant_id,
)
from bedplate.access.urls import UrlRefused, normalise_url

__all__ = [
    "Argument",
    "Ask",
    "Budget",
    "Claim",
    "Condition",
    "Decision",
    "Effect",
    "Grant",
    "Never",
    "Operation",
    "Present",
    "Request",
    "ScopeSet",
    "Spans",
    "Subset",
    "Texts",
    "UrlRefused",
    "covers",
    "decide",
    "grant_id",
    "matches",
    "may_use",
    "normalise_url",
]
