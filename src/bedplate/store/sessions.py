"""Sessions, their messages, and shared state. Part of `Store`."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bedplate.problems import BedplateError, Problem
from bedplate.store.database import Database, Row
from bedplate.store.model import SessionRow, StateValue

_ID = re.compile(r"[!-~]{1,256}")


class Sessions:
    """What `Store` can do with conversations."""

    db: Database
    clock: Callable[[], float]

    def session(self, agent: str, user: str, session_id: str | None, retention: int) -> SessionRow:
        """Open a session for a turn, or begin one: with a random id where `session_id` is None.

        Counts as use: the session now lives `retention` seconds from here. Raises BP461 for an id that cannot be used,
        in the same words whether it is malformed or belongs to someone else.
        """
        now = self.clock()
        wanted = secrets.token_hex(16) if session_id is None else session_id
        if not _ID.fullmatch(wanted):
            raise BedplateError(_unusable())
        with self.db.transaction():
            self._drop_if_expired(wanted, now)
            found = self.db.row("SELECT * FROM sessions WHERE id = ?", (wanted,))
            if found and (found["agent"], found["user"]) != (agent, user):
                raise BedplateError(_unusable())
            created = found["created"] if found else now
            self.db.run(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, expires = excluded.expires",
                (wanted, agent, user, created, now, now + retention),
            )
        return SessionRow(wanted, agent, user, created, now)

    def _drop_if_expired(self, session_id: str, now: float) -> None:
        expired = self.db.run("DELETE FROM sessions WHERE id = ? AND expires <= ?", (session_id, now)).rowcount
        if expired:
            self.db.run("DELETE FROM state WHERE session = ?", (session_id,))

    def sessions(self, agent: str, user: str | None = None) -> list[SessionRow]:
        """The agent's sessions, or one user's, the latest first. Expired ones are not listed."""
        rows = self.db.rows(
            "SELECT * FROM sessions WHERE agent = ? AND (? IS NULL OR user = ?) AND expires > ?"
            " ORDER BY updated DESC, id",
            (agent, user, user, self.clock()),
        )
        return [_session(row) for row in rows]

    def messages(self, session_id: str) -> list[dict[str, Any]]:
        """The conversation so far, oldest first, as it was given to `append_messages`. Empty once it has expired."""
        rows = self.db.rows(
            "SELECT body FROM messages JOIN sessions ON sessions.id = session WHERE session = ? AND expires > ?"
            " ORDER BY seq",
            (session_id, self.clock()),
        )
        return [json.loads(row["body"]) for row in rows]

    def append_messages(self, session_id: str, turn_id: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """Add a turn's messages. Given again for the same turn they replace the first, so a repeat adds nothing twice.

        Counts as use, like `session`. Raises BP462 where the session does not exist (any more).
        """
        now = self.clock()
        with self.db.transaction():
            if not self.db.row("SELECT 1 FROM sessions WHERE id = ?", (session_id,)):
                raise BedplateError(gone("session"))
            self.db.run(
                "UPDATE sessions SET updated = ?, expires = expires + ? - updated WHERE id = ?", (now, now, session_id)
            )
            self.db.run("DELETE FROM messages WHERE session = ? AND turn = ?", (session_id, turn_id))
            self.db.many(
                "INSERT INTO messages (session, turn, body) VALUES (?, ?, ?)",
                [(session_id, turn_id, json.dumps(m, ensure_ascii=False)) for m in messages],
            )

    def state_get(self, session: str, key: str) -> StateValue | None:
        """The value of a key of the session's shared state, or None; None too once the session has expired."""
        row = self.db.row(
            "SELECT * FROM state WHERE session = ? AND key = ?"
            " AND session NOT IN (SELECT id FROM sessions WHERE expires <= ?)",
            (session, key, self.clock()),
        )
        return StateValue(json.loads(row["value"]), row["agent"], row["version"], row["updated"]) if row else None

    def state_put(self, session: str, key: str, value: Any, agent: str, expected_version: int | None) -> int:
        """Write a key if its version still is `expected_version` (0: it must not exist; None: whatever it is).

        Returns the new version. Raises BP468 where someone else wrote it meanwhile.
        """
        with self.db.transaction():
            row = self.db.row("SELECT version FROM state WHERE session = ? AND key = ?", (session, key))
            version = row["version"] if row else 0
            if expected_version is not None and version != expected_version:
                raise BedplateError(_conflict(key, expected_version, version))
            self.db.run(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)",
                (session, key, json.dumps(value, ensure_ascii=False), agent, version + 1, self.clock()),
            )
        return int(version + 1)


def _session(row: Row) -> SessionRow:
    return SessionRow(row["id"], row["agent"], row["user"], row["created"], row["updated"])


def _unusable() -> Problem:
    return Problem(
        "BP461",
        "this session id cannot be used",
        fix="Leave the session id out to begin a new session, or give one that an earlier answer to this user named.",
    )


def gone(what: str) -> Problem:
    """The problem of a row that was expected and is not there."""
    return Problem(
        "BP462",
        f"the {what} is not there any more",
        detail="It expired, or the person was forgotten, while it was in use.",
        fix="Begin a new session.",
    )


def _conflict(key: str, expected: int, found: int) -> Problem:
    return Problem(
        "BP468",
        f"shared state {key} was changed meanwhile",
        detail=f"It has version {found}, and the write was meant for version {expected}.",
        fix="Read it again and write on top of what is there now.",
    )
