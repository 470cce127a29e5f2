"""Applying the retention now in force to what is stored already. Part of `Store`.

Goes in: seconds since the last use of a session, and since a fact was last said. Comes out: counts. It deletes nothing
by itself: what is over disappears from every answer at once, and `Store.expire` deletes it.
"""

from __future__ import annotations

from collections.abc import Callable

from bedplate.store.database import Database
from bedplate.store.model import Counts


class Retention:
    """What `Store` can do about how long things are kept."""

    db: Database
    clock: Callable[[], float]

    def set_retention(self, sessions: int | None = None, facts: int | None = None) -> None:
        """From now on, sessions stored already end `sessions` seconds after their last use, facts `facts` after theirs.

        None leaves a kind as it is. Seconds longer than before give more time to what is still there.
        """
        with self.db.transaction():
            if sessions is not None:
                self.db.run("UPDATE sessions SET expires = updated + ?", (sessions,))
            if facts is not None:
                self.db.run("UPDATE facts SET expires = created + ?", (facts,))

    def older_than(self, sessions: int | None = None, facts: int | None = None) -> Counts:
        """How much `set_retention` with these seconds would end; nothing of a kind that is None."""
        now, counts = self.clock(), [0, 0]
        for place, (column, table, seconds) in enumerate(
            (("updated", "sessions", sessions), ("created", "facts", facts))
        ):
            if seconds is not None:
                row = self.db.row(
                    f"SELECT count(*) FROM {table} WHERE expires > ? AND {column} + ? <= ?", (now, seconds, now)
                )
                counts[place] = row[0] if row else 0
        return Counts(sessions=counts[0], facts=counts[1])
