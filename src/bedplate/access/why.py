"""Why a request is decided as it is: the decision, and what each grant that could matter says of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bedplate.access.conditions import clauses
from bedplate.access.decide import decide, effect
from bedplate.access.model import Decision, Grant, Request, ScopeSet


@dataclass(frozen=True)
class Said:
    """What one grant says of the request: `deny` where it does not match it."""

    grant: Grant
    effect: str


@dataclass(frozen=True)
class Why:
    """The decision, and the grants of the tool for the verb, those that match first."""

    decision: Decision
    grants: tuple[Said, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values (schema `bedplate.dev/access-why/v1`), without the request."""
        return {
            "schema": "bedplate.dev/access-why/v1",
            "ok": True,
            "decision": self.decision.effect.word,
            "grant": self.decision.grant,
            "where": self.decision.where,
            "reason": self.decision.reason,
            "grants": [
                {
                    "id": said.grant.id,
                    "verb": said.grant.verb,
                    "pattern": said.grant.pattern,
                    "demands": clauses(said.grant),
                    "where": said.grant.where,
                    "effect": said.effect,
                }
                for said in self.grants
            ],
        }


def asked(request: Request) -> dict[str, Any]:
    """A request as JSON values; `claims` are those of the session."""
    return {
        "tool": request.tool,
        "operation": request.operation,
        "verb": request.verb,
        "object": request.object,
        "arguments": dict(request.args),
        "claims": dict(request.session),
    }


def explain(scopes: ScopeSet, request: Request) -> Why:
    """Decide, and ask each grant of the tool and verb by itself."""
    mine = [grant for grant in scopes.grants if (grant.tool, grant.verb) == (request.tool, request.verb)]
    said = [(effect(grant, request), grant) for grant in mine]
    ordered = sorted(said, key=lambda each: -each[0])
    return Why(decide(scopes, request), tuple(Said(grant, found.word) for found, grant in ordered))
