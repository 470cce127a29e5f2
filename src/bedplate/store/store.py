"""`Store`: sessions, turns, audit and shared state of one stage, and their erasure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bedplate.store.asks import Asks
from bedplate.store.audit import FORGOTTEN, Audit
from bedplate.store.budgets import Budgets
from bedplate.store.database import Database
from bedplate.store.freeze import Freeze
from bedplate.store.model import AuditEvent, Counts
from bedplate.store.retention import Retention
from bedplate.store.sessions import Sessions
from bedplate.store.turns import Turns, turn_row


class Store(Sessions, Turns, Budgets, Audit, Asks, Freeze, Retention):
    """What a stage remembers, in one SQLite file. Methods are synchronous and take well under a millisecond.

    Every method is one transaction; `transaction()` joins several. Any method raises BedplateError where the disk is
    full (BP464), the file cannot be written (BP465) or is damaged (BP466), or another process holds it for more than
    5 seconds (BP467); then nothing of it was written.
    """

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self.db = db
        self.clock = clock

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> Store:
        """Open or create the database at `path` and bring it to this version. Raises BP460 for a newer one."""
        return cls(Database(Path(path)), clock)

    def transaction(self) -> AbstractContextManager[None]:
        """Several methods, all or nothing: `with store.transaction(): ...`."""
        return self.db.transaction()

    def counts(self) -> Counts:
        """How much there is. Erased turns count too; what is past its retention does not."""
        row = self.db.row(
            "SELECT (SELECT count(*) FROM sessions WHERE expires > :now),"
            " (SELECT count(*) FROM messages WHERE session IN (SELECT id FROM sessions WHERE expires > :now)),"
            " (SELECT count(*) FROM facts WHERE expires > :now), (SELECT count(*) FROM turns)",
            {"now": self.clock()},
        )
        return Counts(*row) if row else Counts()

    def expire(self, now: float | None = None) -> Counts:
        """Delete the sessions (with messages, turns and shared state) and facts whose time is over.

        A turn that still runs keeps its row until the next time.
        """
        at = self.clock() if now is None else now
        with self.db.transaction():
            erased = self._delete_sessions("expires <= ?", (at,))
            turns = self.db.run(
                "DELETE FROM turns WHERE status IN ('completed', 'failed') AND NOT erased"
                " AND session NOT IN (SELECT id FROM sessions)"
            ).rowcount
            facts = self.db.run("DELETE FROM facts WHERE expires <= ?", (at,)).rowcount
        self._scrub(erased.sessions + facts + turns)
        return Counts(erased.sessions, erased.messages, facts, turns)

    def drop(self, *, sessions: bool = False, facts: bool = False) -> Counts:
        """Delete all conversations with what was said in their turns, or all facts: no longer to be remembered at all.

        A turn that still runs keeps its row, as in `expire`.
        """
        with self.db.transaction():
            if sessions:
                self.db.run("UPDATE sessions SET expires = 0")
            if facts:
                self.db.run("UPDATE facts SET expires = 0")
        return self.expire()

    def forget(self, agent: str, user: str) -> Counts:
        """Erase a person: sessions, messages, shared state, facts, and the text of turns and audit rows.

        What stays is what accounts for the agent, not for the person: a turn's status, usage and digests, and the audit
        rows with a pseudonym whose salt is destroyed here, so that no one can compute it from the user's name again.
        The erasure itself is written to the audit trail. Freed pages are overwritten (`secure_delete`) and the
        write-ahead log is emptied; copies and backups of the file are beyond Bedplate's reach.
        """
        with self.db.transaction():
            person = self.pseudonym(agent, user)
            erased = self._delete_sessions("agent = ? AND user = ?", (agent, user))
            facts = self.db.run("DELETE FROM facts WHERE agent = ? AND user = ?", (agent, user)).rowcount
            turns = self.db.run(
                "UPDATE turns SET input = '', output = NULL, error = NULL, idempotency_key = NULL, session = '',"
                " user = '', erased = 1 WHERE agent = ? AND user = ?",
                (agent, user),
            ).rowcount
            self.db.run(
                "UPDATE asks SET arguments = '{}', object = '', comment = '', session = '', user = '', binding = '',"
                " expires = min(expires, ?) WHERE agent = ? AND user = ?",
                (self.clock(), agent, user),
            )
            self._append(AuditEvent(FORGOTTEN, agent=agent), person, "{}", b"")
            self.db.run("UPDATE audit SET content = NULL, salt = NULL WHERE person = ?", (person,))
            self.db.run("DELETE FROM people WHERE agent = ? AND user = ?", (agent, user))
        self._scrub(1)
        return Counts(erased.sessions, erased.messages, facts, turns)

    def trace_ids(self, agent: str, user: str) -> list[str]:
        """The traces of a person's turns: what to erase in the trace segments before `forget`."""
        rows = self.db.rows("SELECT trace_id FROM turns WHERE agent = ? AND user = ? AND trace_id != ''", (agent, user))
        return [row["trace_id"] for row in rows]

    def export(self, agent: str, user: str) -> dict[str, Any]:
        """Everything that is remembered of a person, as JSON values."""
        facts = self.db.rows(
            "SELECT id, text, created, expires, source_turn FROM facts WHERE agent = ? AND user = ? AND expires > ?"
            " ORDER BY seq",
            (agent, user, self.clock()),
        )
        turns = self.db.rows(
            "SELECT * FROM turns WHERE agent = ? AND user = ?"
            " AND session NOT IN (SELECT id FROM sessions WHERE expires <= ?) ORDER BY started",
            (agent, user, self.clock()),
        )
        return {
            "agent": agent,
            "user": user,
            "facts": [dict(row) for row in facts],
            "asks": [asdict(ask) for ask in self.asks(agent) if ask.user == user],
            "sessions": [asdict(s) | {"messages": self.messages(s.id)} for s in self.sessions(agent, user)],
            "turns": [asdict(turn_row(row)) for row in turns],
        }

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        self.db.close()

    def _delete_sessions(self, where: str, values: tuple[Any, ...]) -> Counts:
        ids = [row["id"] for row in self.db.rows(f"SELECT id FROM sessions WHERE {where}", values)]
        chosen = (json.dumps(ids),)
        in_chosen = "IN (SELECT value FROM json_each(?))"
        messages = self.db.run(f"DELETE FROM messages WHERE session {in_chosen}", chosen).rowcount
        self.db.run(f"DELETE FROM state WHERE session {in_chosen}", chosen)
        self.db.run(f"DELETE FROM asks WHERE session {in_chosen}", chosen)
        sessions = self.db.run(f"DELETE FROM sessions WHERE id {in_chosen}", chosen).rowcount
        return Counts(sessions=sessions, messages=messages)

    def _scrub(self, erased: int) -> None:
        if erased:
            # The full-text index keeps deleted words until its parts are merged.
            self.db.run("INSERT INTO facts_words (facts_words) VALUES ('optimize')")
            self.db.scrub()
