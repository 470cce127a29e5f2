"""The audit trail: append-only, each row chained to the one before by SHA-256. Part of `Store`.

The chain covers a salted hash of what a row says of a person, never the content itself, so a person can be erased and
the chain still verifies. It proves later edits; it cannot prove that something was never written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any

from bedplate.store.database import Database, Row
from bedplate.store.model import AuditEvent, AuditRow

_FIELDS = ("seq", "at", "kind", "person", "turn", "tool", "operation", "effect", "grant")
GENESIS = b"\0" * 32
FORGOTTEN = "forgotten"
"""The kind of the row that records an erasure."""


class Audit:
    """What `Store` can do with the audit trail."""

    db: Database
    clock: Callable[[], float]

    def audit(self, event: AuditEvent) -> int:
        """Append one row; returns its number."""
        content = json.dumps(
            {"principal": event.principal, "reason": event.reason, "arguments": dict(event.arguments)},
            ensure_ascii=False, default=str,
        )  # fmt: skip
        salt = secrets.token_bytes(16)
        with self.db.transaction():
            person = self.pseudonym(event.agent, event.user) if event.user else ""
            return self._append(event, person, content, salt)

    def _append(self, event: AuditEvent, person: str, content: str, salt: bytes) -> int:
        last = self.db.row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, GENESIS)
        facts = (
            seq,
            self.clock(),
            event.kind,
            person,
            event.turn,
            event.tool,
            event.operation,
            event.effect,
            event.grant,
        )
        content_hash = _content_hash(salt, content)
        self.db.run(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*facts, content, salt, content_hash, _link(previous, facts, content_hash)),
        )
        return int(seq)

    def audit_rows(self, after: int = 0, limit: int = 1000) -> list[AuditRow]:
        """Rows in order, from the one behind `after`."""
        rows = self.db.rows("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return [_row(row) for row in rows]

    def audit_verify(self) -> int | None:
        """The number of the first row that was changed, removed or emptied unduly; None where the chain is whole.

        A row without content is right only where a later row records that its person was forgotten. Rows cut off at
        the end leave no trace: note `audit_head()` elsewhere to find that out.
        """
        forgotten = {r["person"] for r in self.db.rows("SELECT person FROM audit WHERE kind = ?", (FORGOTTEN,))}
        previous, expected = GENESIS, 1
        for row in self.db.rows("SELECT * FROM audit ORDER BY seq"):
            if row["seq"] != expected or not _whole(row, previous, forgotten):
                return expected
            previous, expected = row["hash"], expected + 1
        return None

    def audit_head(self) -> tuple[int, str]:
        """Number and hash (hex) of the last row: what to keep elsewhere as proof."""
        last = self.db.row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        return (last["seq"], last["hash"].hex()) if last else (0, GENESIS.hex())

    def pseudonym(self, agent: str, user: str) -> str:
        """The person's name in the audit trail: 32 hex digits, keyed with a random salt of the person's own.

        Forgetting destroys the salt; after that nothing links the rows to the person, and a return gets a new name.
        """
        self.db.run("INSERT OR IGNORE INTO people VALUES (?, ?, ?)", (agent, user, secrets.token_bytes(32)))
        row = self.db.row("SELECT salt FROM people WHERE agent = ? AND user = ?", (agent, user))
        salt: bytes = row["salt"] if row else b""
        return hmac.new(salt, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def _content_hash(salt: bytes, content: str) -> bytes:
    return hmac.new(salt, content.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def _link(previous: bytes, facts: tuple[Any, ...], content_hash: bytes) -> bytes:
    canonical = json.dumps(facts, ensure_ascii=True, separators=(",", ":")).encode()
    return hashlib.sha256(previous + content_hash + canonical).digest()


def _whole(row: Row, previous: bytes, forgotten: set[str]) -> bool:
    facts = tuple(row)[:9]
    if row["hash"] != _link(previous, facts, row["content_hash"]):
        return False
    if row["content"] is None and row["salt"] is None:
        return bool(row["person"]) and row["person"] in forgotten
    if row["content"] is None or row["salt"] is None:
        return False
    return hmac.compare_digest(row["content_hash"], _content_hash(row["salt"], row["content"]))


def _row(row: Row) -> AuditRow:
    content = json.loads(row["content"]) if row["content"] else {"principal": "", "reason": "", "arguments": {}}
    fields = dict(zip(_FIELDS, tuple(row), strict=False))
    return AuditRow(**fields, **content, erased=row["content"] is None)
