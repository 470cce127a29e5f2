"""What tests of the store share: a clock to move, rows, a person's traces everywhere, error codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate.problems import BedplateError
from bedplate.problems.catalogue import catalogue
from bedplate.store import AuditEvent, Store, TurnRow, remember

DAY = 86_400
CANARY = "zebraqxz"  # a word that stemming leaves as it is


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def code(caught: pytest.ExceptionInfo[BedplateError]) -> str:
    """The code of the one problem raised, which must be in the catalogue."""
    (problem,) = caught.value.problems
    assert problem.code in catalogue()
    assert problem.fix
    return problem.code


def turn(turn_id: str, session: str = "s", user: str = "ada", **more: object) -> TurnRow:
    return TurnRow(turn_id, session, "support", user, "hello", **more)  # type: ignore[arg-type]


def everything(store: Store, user: str, word: str) -> None:
    """Put `word` wherever a person's words can go."""
    session = store.session("support", user, f"{word}-{user}", DAY)
    turn_id = f"t-{store.counts().turns}"
    store.append_messages(session.id, turn_id, [{"text": f"my name is {word}"}])
    store.state_put(session.id, word, word, "support", None)
    store.begin_turn(turn(turn_id, session.id, user, idempotency_key=word, trace_id=turn_id.replace("t", "ab")))
    store.begin_call(turn_id, "c", "docs", "search", effect=False)
    store.finish_turn(turn_id, "failed", word, {"n": 1}, word)
    remember(store, "support", user, f"My name is {word}", turn_id, DAY)
    store.audit(AuditEvent("call", word, user, "support", reason=word, arguments={"q": word}))


def all_bytes(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.iterdir())
