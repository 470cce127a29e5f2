"""Turns and their tool calls. Part of `Store`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bedplate.problems import BedplateError, Problem
from bedplate.store.database import Database, Row
from bedplate.store.model import CallRow, CallStatus, TurnRow, TurnStatus
from bedplate.store.sessions import gone

_COLUMNS = (
    "id, session, agent, user, input, idempotency_key, trace_id, status, started, finished, attempt, output, usage,"
    " error, build, behaviour, deadline"
)


class Turns:
    """What `Store` can do with turns."""

    db: Database
    clock: Callable[[], float]

    def begin_turn(self, turn: TurnRow) -> None:
        """Record a turn before anything of it happens. Raises BP463 where its idempotency key is taken."""
        started = self.clock() if turn.started is None else turn.started
        values = (
            turn.id, turn.session, turn.agent, turn.user, turn.input, turn.idempotency_key, turn.trace_id, turn.status,
            started, turn.finished, turn.attempt, turn.output, json.dumps(dict(turn.usage)), turn.error, turn.build,
            turn.behaviour, turn.deadline,
        )  # fmt: skip
        with self.db.transaction():
            if turn.idempotency_key is not None and self.turn_by_key(turn.agent, turn.user, turn.idempotency_key):
                raise BedplateError(_taken())
            self.db.run(f"INSERT INTO turns ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)

    def start_turn(self, turn_id: str, deadline: float) -> None:
        """The agent has taken the turn: queued becomes running, until `deadline` (Unix time) at the latest."""
        sql = "UPDATE turns SET status = 'running', deadline = ? WHERE id = ?"
        self._changed(self.db.run(sql, (deadline, turn_id)).rowcount)

    def note_usage(self, turn_id: str, usage: Mapping[str, Any]) -> None:
        """Record what a running turn has used so far; nothing where it has ended, whose usage stands."""
        sql = "UPDATE turns SET usage = ? WHERE id = ? AND status = 'running'"
        self.db.run(sql, (json.dumps(dict(usage)), turn_id))

    def finish_turn(
        self, turn_id: str, status: TurnStatus, output: str | None, usage: Mapping[str, Any], error: str | None
    ) -> None:
        """Record how a turn ended. Of a person forgotten meanwhile only status and usage are kept."""
        cursor = self.db.run(
            "UPDATE turns SET status = ?, usage = ?, finished = ?,"
            " output = CASE erased WHEN 1 THEN NULL ELSE ? END, error = CASE erased WHEN 1 THEN NULL ELSE ? END"
            " WHERE id = ?",
            (status, json.dumps(dict(usage)), self.clock(), output, error, turn_id),
        )
        self._changed(cursor.rowcount)

    def requeue_turn(self, turn_id: str) -> None:
        """Put a turn back in the queue for another attempt."""
        sql = "UPDATE turns SET status = 'queued', attempt = attempt + 1, finished = NULL WHERE id = ?"
        self._changed(self.db.run(sql, (turn_id,)).rowcount)

    def turn(self, turn_id: str) -> TurnRow | None:
        """A turn by id, or None."""
        row = self.db.row("SELECT * FROM turns WHERE id = ?", (turn_id,))
        return turn_row(row) if row else None

    def turn_by_key(self, agent: str, user: str, key: str) -> TurnRow | None:
        """The turn that a caller asked for under this idempotency key, or None."""
        row = self.db.row(
            "SELECT * FROM turns WHERE agent = ? AND user = ? AND idempotency_key = ?", (agent, user, key)
        )
        return turn_row(row) if row else None

    def running_turns(self) -> list[TurnRow]:
        """Turns that are queued or running, the oldest first: what a restarted gateway has to settle."""
        rows = self.db.rows("SELECT * FROM turns WHERE status IN ('queued', 'running') ORDER BY started, id")
        return [turn_row(row) for row in rows]

    def begin_call(self, turn_id: str, call_id: str, tool: str, operation: str, effect: bool) -> None:
        """Record a tool call before it is made. `effect`: it may change something outside."""
        self.db.run(
            "INSERT INTO calls (turn, call_id, tool, operation, effect, status, started)"
            " VALUES (?, ?, ?, ?, ?, 'started', ?)",
            (turn_id, call_id, tool, operation, int(effect), self.clock()),
        )

    def finish_call(self, turn_id: str, call_id: str, status: CallStatus, decision: str = "", grant: str = "") -> None:
        """Record how the latest call with this id ended, and what decided it."""
        cursor = self.db.run(
            "UPDATE calls SET status = ?, decision = ?, grant_id = ?, finished = ? WHERE seq ="
            " (SELECT max(seq) FROM calls WHERE turn = ? AND call_id = ?)",
            (status, decision, grant, self.clock(), turn_id, call_id),
        )
        self._changed(cursor.rowcount, "call")

    def calls(self, turn_id: str) -> list[CallRow]:
        """The turn's tool calls in order, those of earlier attempts too."""
        return [_call(row) for row in self.db.rows("SELECT * FROM calls WHERE turn = ? ORDER BY seq", (turn_id,))]

    def _changed(self, count: int, what: str = "turn") -> None:
        if not count:
            raise BedplateError(gone(what))


def turn_row(row: Row) -> TurnRow:
    """A row of `turns` as a value."""
    fields = {name: row[name] for name in _COLUMNS.split(", ")}
    return TurnRow(**(fields | {"usage": json.loads(row["usage"])}))


def _call(row: Row) -> CallRow:
    return CallRow(
        row["turn"], row["call_id"], row["tool"], row["operation"], bool(row["effect"]), row["status"],
        row["decision"], row["grant_id"], row["started"], row["finished"],
    )  # fmt: skip


def _taken() -> Problem:
    return Problem(
        "BP463",
        "this idempotency key is in use",
        fix="Ask for the turn that holds the key, or send the new question under a new key.",
    )
