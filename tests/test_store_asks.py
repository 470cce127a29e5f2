"""Asks of the store: bound to one call, decided once, used once, over in time, forgotten with the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate.problems import BedplateError
from bedplate.store import AskRow, Store
from store_support import CANARY, DAY, Clock, all_bytes, code


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(tmp_path / "memory.db", clock)
    opened.session("support", "ada", "s", DAY)
    yield opened
    opened.close()


def wanted(clock: Clock, **changes: Any) -> AskRow:
    base = AskRow(
        *("", "support", "ada", "s", "t", "till", "pay", "call", "pay", "small", "agent.yaml:7"),
        *(0.0, clock.now + 60, {"amount": 70, "to": "ada"}),
    )
    return replace(base, **changes)


def test_the_same_call_asks_once(store: Store, clock: Clock) -> None:
    """While an ask stands, the very same call is that ask, whatever the order of its arguments."""
    first = store.ask(wanted(clock))
    again = store.ask(wanted(clock, arguments={"to": "ada", "amount": 70}, turn="t2"))
    assert again == first
    assert [ask.id for ask in store.asks("support", waiting=True)] == [first.id]


@pytest.mark.parametrize(
    "other",
    [
        {"arguments": {"amount": 70.5, "to": "ada"}},
        {"arguments": {"amount": 70, "to": "bob"}},
        {"arguments": {"amount": 70}},
        {"arguments": {"amount": "70", "to": "ada"}},
        {"arguments": {"amount": 70, "to": "ada", "note": None}},
        {"operation": "refund"},
        {"tool": "till2"},
        {"session": "s2"},
    ],
    ids=str,
)
def test_another_call_is_another_ask(store: Store, clock: Clock, other: dict[str, Any]) -> None:
    """An approval of one call is none of a call with another tool, operation, argument or session."""
    store.session("support", "ada", "s2", DAY)
    first = store.ask(wanted(clock))
    store.decide_ask(first.id, approve=True, decider="eve")
    second = wanted(clock, **other)
    assert store.standing_ask(second.session, second.binding) is None
    assert store.ask(second).id != first.id


def test_an_approval_works_once(store: Store, clock: Clock) -> None:
    """Of many that would use it at once, one may."""
    ask = store.ask(wanted(clock))
    store.decide_ask(ask.id, approve=True, decider="eve", comment="known customer")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: store.use_ask(ask.id), range(40))) == 1
    assert store.standing_ask("s", ask.binding) is None
    assert store.ask(wanted(clock)).id != ask.id


@pytest.mark.parametrize("approve", [True, False])
def test_a_decision_is_made_once(store: Store, clock: Clock, approve: bool) -> None:
    """A second decision is refused, and the first stands with who made it, when and why, in the audit trail too."""
    ask = store.ask(wanted(clock))
    clock.now += 5
    store.decide_ask(ask.id, approve=approve, decider="eve", comment="because")
    with pytest.raises(BedplateError) as caught:
        store.decide_ask(ask.id, approve=not approve, decider="mallory")
    assert code(caught) == "BP483"
    found = store.ask_by_id(ask.id)
    assert found is not None
    assert (found.status, found.decider, found.comment) == ("approved" if approve else "denied", "eve", "because")
    assert found.decided == clock.now
    row = store.audit_rows()[-1]
    assert (row.kind, row.principal, row.effect) == ("approval", "eve", "allow" if approve else "deny")
    assert ask.id in row.reason
    assert store.audit_verify() is None


def test_what_is_not_decided_or_done_in_time_is_over(store: Store, clock: Clock) -> None:
    """At its time an ask can no longer be decided, and an approval no longer be used."""
    pending, approved = store.ask(wanted(clock)), store.ask(wanted(clock, operation="refund"))
    store.decide_ask(approved.id, approve=True, decider="eve")
    clock.now += 60
    with pytest.raises(BedplateError) as caught:
        store.decide_ask(pending.id, approve=True, decider="eve")
    assert code(caught) == "BP484"
    assert not store.use_ask(approved.id)
    assert {ask.status for ask in store.asks("support")} == {"expired"}
    assert store.asks("support", waiting=True) == []
    assert store.ask(wanted(clock, expires=clock.now + 60)).id != pending.id


def test_what_is_denied_cannot_be_used(store: Store, clock: Clock) -> None:
    """A denial stands until its time is over: the same call gets it as its answer."""
    ask = store.ask(wanted(clock))
    assert not store.use_ask(ask.id)
    store.decide_ask(ask.id, approve=False, decider="eve")
    assert not store.use_ask(ask.id)
    standing = store.standing_ask("s", ask.binding)
    assert standing is not None
    assert standing.status == "denied"


def test_an_unknown_ask_is_refused(store: Store) -> None:
    """There is nothing to decide."""
    with pytest.raises(BedplateError) as caught:
        store.decide_ask("ask-0", approve=True, decider="eve")
    assert code(caught) == "BP482"


@pytest.mark.parametrize("end", [lambda s: s.forget("support", "ada"), lambda s: s.drop(sessions=True)])
def test_nothing_of_a_person_stays(tmp_path: Path, store: Store, clock: Clock, end: Callable[[Store], object]) -> None:
    """With the person, or with the session, what was asked for goes, and an approval with it."""
    ask = store.ask(wanted(clock, arguments={"to": CANARY}))
    store.decide_ask(ask.id, approve=True, decider="eve")
    end(store)
    assert not store.use_ask(ask.id)
    assert store.standing_ask("s", ask.binding) is None
    store.close()
    assert CANARY not in all_bytes(tmp_path)
