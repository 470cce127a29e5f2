"""The kill switch: while a stage is frozen, everything is denied. Part of `Store`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bedplate.store.database import Database
from bedplate.store.model import AuditEvent


@dataclass(frozen=True)
class Frozen:
    """Since when (Unix time), by whom and why a stage is frozen."""

    since: float
    who: str
    reason: str

    @property
    def words(self) -> str:
        """`frozen by eve: leaking`, as it stands in denials."""
        return f"the stage is frozen by {self.who}" + (f": {self.reason}" if self.reason else "")


class Freeze:
    """What `Store` can do about being frozen."""

    db: Database
    clock: Callable[[], float]
    audit: Callable[[AuditEvent], int]

    def freeze(self, who: str, reason: str) -> Frozen:
        """From now on everything is denied. Frozen already, it stays as it was."""
        with self.db.transaction():
            if (standing := self.frozen()) is not None:
                return standing
            self.db.run("INSERT INTO freeze VALUES (1, ?, ?, ?)", (self.clock(), who, reason))
            self.audit(AuditEvent("freeze", who, effect="deny", reason=reason))
            return Frozen(self.clock(), who, reason)

    def thaw(self, who: str) -> bool:
        """Decide by the scopes again. False where it was not frozen."""
        with self.db.transaction():
            if not self.db.run("DELETE FROM freeze").rowcount:
                return False
            self.audit(AuditEvent("thaw", who, effect="allow"))
            return True

    def frozen(self) -> Frozen | None:
        """Who froze the stage; None where it is not frozen."""
        row = self.db.row("SELECT since, who, reason FROM freeze")
        return Frozen(*row) if row else None
