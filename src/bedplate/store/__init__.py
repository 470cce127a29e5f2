"""What a stage remembers: sessions, messages, facts, shared state, turns, tool calls and the audit trail, in SQLite.

Goes in: rows and questions. Comes out: rows. It knows nothing of HTTP, decides no access and starts nothing.
"""

from bedplate.store.asks import AskRow, binding
from bedplate.store.budgets import Shortage, Use
from bedplate.store.freeze import Frozen
from bedplate.store.memory import facts_in, recall, remember
from bedplate.store.model import AuditEvent, AuditRow, CallRow, Counts, Fact, SessionRow, StateValue, TurnRow
from bedplate.store.store import Store

__all__ = [
    "AskRow",
    "AuditEvent",
    "AuditRow",
    "CallRow",
    "Counts",
    "Fact",
    "Frozen",
    "SessionRow",
    "Shortage",
    "StateValue",
    "Store",
    "TurnRow",
    "Use",
    "binding",
    "facts_in",
    "recall",
    "remember",
]
