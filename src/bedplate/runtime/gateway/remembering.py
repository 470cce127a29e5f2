"""Memory around a turn: the conversation before it, facts about the user, and what is kept afterwards.

Goes in: a turn. Comes out: history, facts, rows in the store, memory spans. It decides nothing but whether the scopes
let the agent read or write long-term memory at all.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from bedplate.access import may_use
from bedplate.blueprint.model import Blueprint
from bedplate.problems import BedplateError
from bedplate.runtime.gateway.turn import Turn
from bedplate.store import Store, facts_in, recall, remember
from bedplate.traces.emit import GatewayTracer

MAX_HISTORY = 256 * 1024
"""Bytes of JSON of a conversation that go to the agent; older turns than fit stay in the store."""
MAX_RECALLED = 5

log = logging.getLogger("bedplate.gateway")


class Remembering:
    """What one agent remembers, by its manifest."""

    def __init__(
        self, blueprint: Blueprint, store: Store, tracer: GatewayTracer, secrets: tuple[str, ...] = ()
    ) -> None:
        """`secrets` are exact values that are masked in whatever is remembered."""
        self._secrets = secrets
        self._blueprint = blueprint
        self._memory = blueprint.memory
        self._store = store
        self._tracer = tracer

    def brought(self, turn: Turn) -> None:
        """Keep the conversation that a caller brought along as the beginning of its session, before the turn runs."""
        if turn.context and self._memory.sessions is not None:
            self._store.append_messages(turn.row.session, f"{turn.id}.before", turn.context)

    def history(self, turn: Turn) -> list[dict[str, Any]]:
        """The conversation before this turn, as much of its end as fits, beginning with something the user said."""
        stored = self._store.messages(turn.row.session) if self._memory.sessions else []
        return recent(stored or list(turn.context), MAX_HISTORY)

    def recalled(self, turn: Turn) -> list[str]:
        """Facts about the user that bear on the question."""
        if self._memory.long_term is None or not may_use(self._blueprint.scopes, "memory", "recall", "read"):
            return []
        row = turn.row
        with self._tracer.memory(turn.span.traceparent, operation="search_memory") as span:
            facts = recall(self._store, row.agent, row.user, row.input, MAX_RECALLED)
            span.count(len(facts))
        return [fact.text for fact in facts]

    def keep(self, turn: Turn, messages: list[dict[str, Any]]) -> None:
        """Add a turn's messages to its session, if sessions are remembered and it was not erased meanwhile."""
        if self._memory.sessions is None:
            return
        try:
            self._store.append_messages(turn.row.session, turn.id, messages)
        except BedplateError as error:
            if error.problems[0].code != "BP462":
                raise
            log.info("turn %s: its session was erased meanwhile, nothing is kept", turn.id)

    def learn(self, turn: Turn) -> None:
        """After a completed turn: take down what the user said of themselves, where the manifest wants that.

        The answer stands whatever becomes of this: what the store cannot take is logged.
        """
        try:
            self._learn(turn)
        except BedplateError as error:
            log.error("turn %s: what the user said of themselves was not kept: %s", turn.id, error)

    def _learn(self, turn: Turn) -> None:
        memory, row = self._memory.long_term, turn.row
        if memory is None or memory.write != "afterTurn" or self._forgotten(turn.id):
            return
        if not may_use(self._blueprint.scopes, "memory", "remember", "write"):
            return
        facts = facts_in(row.input)
        if not facts:
            return
        with self._tracer.memory(turn.span.traceparent, operation="update_memory") as span:
            for fact in facts:
                remember(
                    self._store, row.agent, row.user, fact, turn.id, memory.retention, memory.redact, self._secrets
                )
            span.count(len(facts))

    def _forgotten(self, turn_id: str) -> bool:
        row = self._store.turn(turn_id)
        return row is None or row.user == ""


def recent(messages: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The longest end of `messages` (pydantic-ai, as JSON) under `limit` bytes that begins with a user's words.

    A conversation must not begin in the middle of a turn: a tool's answer without its call is refused by models.
    """
    size, start = 0, len(messages)
    for place in range(len(messages) - 1, -1, -1):
        size += len(json.dumps(messages[place]))
        if size > limit:
            break
        if _begins_a_turn(messages[place]):
            start = place
    return messages[start:]


def _begins_a_turn(message: dict[str, Any]) -> bool:
    parts = message.get("parts")
    return isinstance(parts, list) and any(isinstance(p, dict) and p.get("part_kind") == "user-prompt" for p in parts)


def spoken(role: str, text: str) -> dict[str, Any]:
    """A plain message of `user` or `assistant` in pydantic-ai's JSON."""
    if role == "user":
        return {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": text}]}
    return {"kind": "response", "parts": [{"part_kind": "text", "content": text}]}
