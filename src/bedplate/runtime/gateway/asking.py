"""Asking a person: a call in the ask range waits, and is made once its very arguments have been agreed to.

Goes in: a call that the scopes let through only with a person's consent. Comes out: what stands on it: agreed, refused,
or an ask that waits. A turn with an ask that waits ends as `input_required`; a later turn of the session goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from bedplate.access import Decision
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.turn import Turn
from bedplate.runtime.tools.api import Question as Asked
from bedplate.runtime.tools.api import ToolResult
from bedplate.store import AskRow, Store, binding

LASTS = 86_400
"""Seconds within which a person may decide, and what was agreed to may be done."""
WAITING = "approval_required"


def wanted(
    turn: Turn, tool: str, operation: str, question: Asked, arguments: Mapping[str, Any], decision: Decision
) -> AskRow:
    """The ask that a call would be, without a name yet."""
    row, now = turn.row, time.time()
    return AskRow(
        "", row.agent, row.user, row.session, row.id, tool, operation, question.verb, question.object, decision.grant,
        decision.where, now, now + LASTS, dict(arguments),
    )  # fmt: skip


class Asking:
    """The asks of one stage."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def standing(self, turn: Turn, tool: str, operation: str, arguments: Mapping[str, Any]) -> AskRow | None:
        """What stands on this very call in this session: pending, approved or denied."""
        return self._store.standing_ask(turn.row.session, binding(tool, operation, arguments, turn.row.session))

    def put(self, turn: Turn, call: AskRow) -> ToolResult:
        """Let the call wait for a person; what the agent is told."""
        ask = self._store.ask(call)
        turn.asks[ask.id] = None
        text = (
            f"{WAITING}: {_call(ask)} waits until a person has agreed ({ask.id}). It has not been made. "
            "Say so, and end your answer; the conversation goes on once it is decided."
        )
        return ToolResult(text, error=True, data={WAITING: shown(ask)})

    def use(self, ask: AskRow) -> bool:
        """Take the approval for this one call."""
        return self._store.use_ask(ask.id)

    def waiting(self, ids: Iterable[str]) -> tuple[AskRow, ...]:
        """Those of these asks that wait still."""
        found = (self._store.ask_by_id(ask_id) for ask_id in ids)
        return tuple(ask for ask in found if ask and ask.status == "pending")

    def resumed(self, ask_id: str, agent: str, user: str) -> tuple[str, str]:
        """The session of an ask and what the agent is told there. Raises BP422 where it waits still, BP482."""
        ask = self._store.ask_by_id(ask_id)
        if ask is None or (ask.agent, ask.user) != (agent, user):
            raise faults.no_ask(ask_id)
        return ask.session, _news(ask)


def refusal(ask: AskRow) -> str:
    """Why a call that a person refused is not made."""
    why = f": {ask.comment}" if ask.comment else ""
    return f"{ask.decider} refused it ({ask.id}){why}"


def agreement(ask: AskRow) -> str:
    """That a person agreed, for the trace and the audit trail."""
    return f"{ask.id} approved by {ask.decider}"


def shown(ask: AskRow) -> dict[str, Any]:
    """An ask as callers and agents see it."""
    return {
        "id": ask.id,
        "tool": ask.tool,
        "operation": ask.operation,
        "arguments": dict(ask.arguments),
        "expires": ask.expires,
    }


def _call(ask: AskRow) -> str:
    return f"{ask.tool}.{ask.operation} {json.dumps(dict(ask.arguments), ensure_ascii=False)}"


def _news(ask: AskRow) -> str:
    match ask.status:
        case "approved":
            return f"{_call(ask)} is approved ({ask.id}). Make exactly this call now, then go on."
        case "denied":
            return f"{_call(ask)} is not approved: {refusal(ask)}. Do not make it; go on without it."
        case "expired":
            return f"Nobody decided on {_call(ask)} in time ({ask.id}). Go on without it."
        case "used":
            return f"{_call(ask)} has been made already ({ask.id}). Go on."
        case _:
            raise faults.still_waiting(ask.id)
