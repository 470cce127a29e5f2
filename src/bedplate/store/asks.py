"""Asks: tool calls that wait until a person has agreed. Part of `Store`.

What is agreed to is one call: the tool, the operation, the exact arguments and the session, bound by a hash. A decision
is made once, an approval works once, and both end with the ask's time.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bedplate.problems import BedplateError, Problem
from bedplate.store.database import Database, Row
from bedplate.store.model import AuditEvent

AskStatus = Literal["pending", "approved", "denied", "used", "expired"]


@dataclass(frozen=True)
class AskRow:
    """One call that waits, or waited, for a person. `expired`: nobody decided in time, or what was agreed to was not
    done in time. Times are Unix seconds. `line` is that of the scope that asks.
    """

    id: str
    agent: str
    user: str
    session: str
    turn: str
    tool: str
    operation: str
    verb: str
    object: str
    grant: str
    line: str
    created: float
    expires: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    status: AskStatus = "pending"
    decided: float | None = None
    decider: str = ""
    comment: str = ""
    used: float | None = None

    @property
    def binding(self) -> str:
        """SHA-256 (hex) of the canonical JSON of tool, operation, arguments and session."""
        return binding(self.tool, self.operation, self.arguments, self.session)


def binding(tool: str, operation: str, arguments: Mapping[str, Any], session: str) -> str:
    """What a decision is bound to: any other argument, however slightly other, is another call."""
    bound = {"tool": tool, "operation": operation, "arguments": dict(arguments), "session": session}
    text = json.dumps(bound, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Asks:
    """What `Store` can do with asks."""

    db: Database
    clock: Callable[[], float]
    audit: Callable[[AuditEvent], int]

    def ask(self, wanted: AskRow) -> AskRow:
        """Put a call before a person: the ask, or the one that stands already for the very same call.

        `id`, `created` and `status` of `wanted` do not count.
        """
        with self.db.transaction():
            standing = self.standing_ask(wanted.session, wanted.binding)
            if standing is not None:
                return standing
            ask_id, now = f"ask-{secrets.token_hex(5)}", self.clock()
            self.db.run(
                "INSERT INTO asks (id, agent, user, session, turn, tool, operation, verb, object, arguments, grant_id,"
                " line, binding, status, created, expires) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'pending',?,?)",
                (
                    *(ask_id, wanted.agent, wanted.user, wanted.session, wanted.turn, wanted.tool, wanted.operation),
                    *(wanted.verb, wanted.object, json.dumps(dict(wanted.arguments), ensure_ascii=False)),
                    *(wanted.grant, wanted.line, wanted.binding, now, wanted.expires),
                ),
            )
        found = self.ask_by_id(ask_id)
        assert found is not None
        return found

    def standing_ask(self, session: str, bound: str) -> AskRow | None:
        """The ask for this very call that is pending, approved or denied and whose time is not over."""
        row = self.db.row(
            "SELECT * FROM asks WHERE session = ? AND binding = ? AND status != 'used' AND expires > ?"
            " ORDER BY created DESC LIMIT 1",
            (session, bound, self.clock()),
        )
        return self._ask(row) if row else None

    def use_ask(self, ask_id: str) -> bool:
        """Take an approval for one call. False where it is none, has been used, or its time is over."""
        now = self.clock()
        cursor = self.db.run(
            "UPDATE asks SET status = 'used', used = ? WHERE id = ? AND status = 'approved' AND expires > ?",
            (now, ask_id, now),
        )
        return cursor.rowcount == 1

    def decide_ask(self, ask_id: str, *, approve: bool, decider: str, comment: str = "") -> AskRow:
        """Record a person's decision, in the audit trail too.

        Raises BP482 where there is no such ask, BP483 where it is decided already, BP484 where its time is over.
        """
        with self.db.transaction():
            found = self.ask_by_id(ask_id)
            if found is None:
                raise BedplateError(_unknown(ask_id))
            if found.status != "pending":
                raise BedplateError(_over(found) if found.status == "expired" else _decided(found))
            status, now = "approved" if approve else "denied", self.clock()
            self.db.run(
                "UPDATE asks SET status = ?, decided = ?, decider = ?, comment = ? WHERE id = ?",
                (status, now, decider, comment, ask_id),
            )
            reason = f"{ask_id} {status} by {decider}" + (f": {comment}" if comment else "")
            self.audit(
                AuditEvent(
                    *("approval", decider, found.user, found.agent, found.turn, found.tool, found.operation),
                    *("allow" if approve else "deny", found.grant, reason),
                )
            )
        after = self.ask_by_id(ask_id)
        assert after is not None
        return after

    def ask_by_id(self, ask_id: str) -> AskRow | None:
        """An ask by its id, or None."""
        row = self.db.row("SELECT * FROM asks WHERE id = ?", (ask_id,))
        return self._ask(row) if row else None

    def asks(self, agent: str, *, waiting: bool = False) -> list[AskRow]:
        """The agent's asks, the newest first; with `waiting` only those that a person can decide."""
        only = " AND status = 'pending' AND expires > :now" if waiting else ""
        rows = self.db.rows(
            f"SELECT * FROM asks WHERE agent = :agent{only} ORDER BY created DESC, id",
            {"agent": agent, "now": self.clock()},
        )
        return [self._ask(row) for row in rows]

    def _ask(self, row: Row) -> AskRow:
        over = row["expires"] <= self.clock() and row["status"] in ("pending", "approved")
        return AskRow(
            **{name: row[name] for name in _NAMES},
            grant=row["grant_id"],
            arguments=json.loads(row["arguments"]),
            status="expired" if over else row["status"],
        )


_NAMES = (
    *("id", "agent", "user", "session", "turn", "tool", "operation", "verb", "object", "line", "created", "expires"),
    *("decided", "decider", "comment", "used"),
)


def _unknown(ask_id: str) -> Problem:
    return Problem("BP482", f"there is no ask {ask_id[:64]}", fix="see which there are: `bedplate asks`")


def _decided(found: AskRow) -> Problem:
    by = f" by {found.decider}" if found.decider else ""
    return Problem("BP483", f"{found.id} is {found.status} already{by}", fix="a call that comes again asks again")


def _over(found: AskRow) -> Problem:
    return Problem(
        "BP484", f"the time of {found.id} is over", fix="let the agent make the call again, which asks again"
    )
