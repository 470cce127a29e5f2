"""An agent that gets another name keeps what it remembers. Goes in: a store, two names. Comes out: nothing."""

from __future__ import annotations

from bedplate.store.store import Store

_TABLES = ("sessions", "turns", "facts", "state", "people")


def rename_agent(store: Store, old: str, new: str) -> None:
    """Give everything that `old` remembers to `new`, in one transaction. The audit trail names no agent and stays.

    Repeatable: after a first time there is nothing of `old` left to move. Raises BedplateError where the store does.
    """
    with store.transaction():
        for table in _TABLES:
            store.db.run(f"UPDATE {table} SET agent = ? WHERE agent = ?", (new, old))
