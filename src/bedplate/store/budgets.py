"""Budgets: how much was used within a sliding window, taken before a call and given back where nothing was sent.

Part of `Store`. Correct under concurrency, since a reservation is one transaction that holds the write lock, and across
restarts, since it is on disk before the call is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bedplate.store.database import Database


@dataclass(frozen=True)
class Use:
    """What one call takes from one budget: `amount` of at most `limit` within any `window` seconds."""

    budget: str
    amount: int
    limit: int
    window: int


@dataclass(frozen=True)
class Shortage:
    """A budget that has not enough left for a call: how much is left, and when (Unix time) more will be."""

    use: Use
    left: int
    again: float | None
    """None where the call asks for more than the whole budget."""


class Budgets:
    """What `Store` can do with budgets."""

    db: Database
    clock: Callable[[], float]

    def reserve(self, uses: Sequence[Use], ref: str) -> Shortage | None:
        """Take from all of the budgets, or, where one has not enough left, from none and return that one.

        `ref` names the call, by which `give_back` finds what it took. Amounts are 0 or more.
        """
        now = self.clock()
        with self.db.transaction():
            self.db.run("DELETE FROM uses WHERE until <= ?", (now,))
            for use in uses:
                if (left := use.limit - self.used(use.budget)) < use.amount:
                    return Shortage(use, max(0, left), self._again(use))
            rows = [(use.budget, now, now + use.window, use.amount, ref) for use in uses]
            self.db.many("INSERT INTO uses (budget, at, until, amount, ref) VALUES (?, ?, ?, ?, ?)", rows)
        return None

    def give_back(self, ref: str) -> None:
        """Undo what a call took: only where nothing was sent, since what was sent may have had its effect."""
        self.db.run("DELETE FROM uses WHERE ref = ?", (ref,))

    def used(self, budget: str) -> int:
        """How much of a budget is used within its window now."""
        row = self.db.row(
            "SELECT coalesce(sum(amount), 0) FROM uses WHERE budget = ? AND until > ?", (budget, self.clock())
        )
        return int(row[0]) if row else 0

    def _again(self, use: Use) -> float | None:
        """When enough of what was used has left the window."""
        if use.amount > use.limit:
            return None
        missing = self.used(use.budget) + use.amount - use.limit
        for row in self.db.rows("SELECT until, amount FROM uses WHERE budget = ? ORDER BY until", (use.budget,)):
            missing -= row["amount"]
            if missing <= 0:
                return float(row["until"])
        return None
