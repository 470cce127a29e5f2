"""The store: sessions, turns, calls, shared state, retention and erasure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bedplate.problems import BedplateError
from bedplate.store import Counts, Store, recall, remember
from store_support import CANARY, DAY, Clock, all_bytes, code, everything, turn


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(tmp_path / "memory.db", clock)
    yield opened
    opened.close()


def test_a_session_outlives_the_process(tmp_path: Path, store: Store, clock: Clock) -> None:
    """Messages of a session are there again after the database was closed and opened."""
    session = store.session("support", "ada", None, DAY)
    store.append_messages(session.id, "t1", [{"kind": "request", "text": "hé"}])
    store.append_messages(session.id, "t2", [{"n": 1}, {"n": 2}])
    store.close()
    again = Store.open(tmp_path / "memory.db", clock)
    assert again.messages(session.id) == [{"kind": "request", "text": "hé"}, {"n": 1}, {"n": 2}]
    assert again.session("support", "ada", session.id, DAY).created == session.created
    again.close()


def test_a_turn_repeated_adds_its_messages_once(store: Store) -> None:
    """Appending a turn's messages again, as after a crash, replaces them."""
    session = store.session("support", "ada", "s", DAY)
    store.append_messages(session.id, "t1", [{"n": 1}])
    store.append_messages(session.id, "t1", [{"n": 1}, {"n": 2}])
    assert store.messages("s") == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(("agent", "user"), [("support", "bob"), ("other", "ada")])
def test_a_foreign_session_is_refused_like_a_malformed_id(store: Store, agent: str, user: str) -> None:
    """The refusal of someone else's session does not tell that the session exists."""
    store.session("support", "ada", "s", DAY)
    refusals = []
    for wanted in ("s", "bad id", "", "x" * 257, "a\nb"):
        with pytest.raises(BedplateError) as caught:
            store.session(agent, user, wanted, DAY)
        assert code(caught) == "BP461"
        refusals.append(caught.value.problems)
    assert len(set(refusals)) == 1


def test_sessions_are_listed_by_user(store: Store, clock: Clock) -> None:
    """A user's sessions are listed, the latest first, and no one else's among them."""
    for name, user in (("a", "ada"), ("b", "bob"), ("c", "ada")):
        clock.now += 1
        store.session("support", user, name, DAY)
    assert [s.id for s in store.sessions("support", "ada")] == ["c", "a"]
    assert [s.id for s in store.sessions("support")] == ["c", "b", "a"]
    assert store.sessions("other") == []


def test_an_expired_session_comes_back_empty(store: Store, clock: Clock) -> None:
    """After its retention a session id begins anew, also before anything was cleaned up, and for anyone."""
    store.session("support", "ada", "s", 10)
    store.append_messages("s", "t1", [{"n": 1}])
    store.state_put("s", "plan", 1, "support", None)
    clock.now += 10
    assert store.sessions("support") == []
    store.session("support", "bob", "s", 10)
    assert store.messages("s") == []
    assert store.state_get("s", "plan") is None


def test_use_prolongs_a_session(store: Store, clock: Clock) -> None:
    """Retention counts from the last turn."""
    for _ in range(3):
        store.session("support", "ada", "s", 10)
        clock.now += 9
    assert store.expire().sessions == 0
    clock.now += 1
    assert store.expire() == Counts(sessions=1)


def test_turns_are_recorded_from_queue_to_end(store: Store, clock: Clock) -> None:
    """A turn is found by id and by its key, counts as running until it is finished, and keeps its answer."""
    store.begin_turn(turn("t1", idempotency_key="k", trace_id="ab", build="sha256:1"))
    store.start_turn("t1", 99.0)
    assert [t.status for t in store.running_turns()] == ["running"]
    store.requeue_turn("t1")
    again = store.turn("t1")
    assert again is not None
    assert (again.status, again.attempt, again.build, again.started) == ("queued", 2, "sha256:1", clock.now)
    clock.now += 1
    store.finish_turn("t1", "completed", "hi", {"input_tokens": 3}, None)
    done = store.turn_by_key("support", "ada", "k")
    assert done is not None
    assert (done.id, done.output, done.usage, done.finished) == ("t1", "hi", {"input_tokens": 3}, clock.now)
    assert store.running_turns() == []
    assert store.turn_by_key("support", "bob", "k") is None
    assert store.turn("nope") is None


def test_use_is_kept_while_a_turn_runs(store: Store) -> None:
    """A running turn keeps its deadline and what it has used; how it ended is not overwritten afterwards."""
    store.begin_turn(turn("t1"))
    store.start_turn("t1", 99.0)
    store.note_usage("t1", {"requests": 1})
    left = store.running_turns()[0]
    assert (left.deadline, left.usage) == (99.0, {"requests": 1})
    store.finish_turn("t1", "completed", "hi", {"requests": 2}, None)
    store.note_usage("t1", {"requests": 1})
    done = store.turn("t1")
    assert done is not None
    assert done.usage == {"requests": 2}


def test_an_idempotency_key_stands_for_one_turn(store: Store) -> None:
    """The same key cannot begin a second turn of the same user; another user's key is another key."""
    store.begin_turn(turn("t1", idempotency_key="k"))
    with pytest.raises(BedplateError) as caught:
        store.begin_turn(turn("t2", idempotency_key="k"))
    assert code(caught) == "BP463"
    store.begin_turn(turn("t3", user="bob", idempotency_key="k"))
    assert store.turn("t2") is None


def test_calls_show_what_may_have_happened(store: Store) -> None:
    """A call that began and never ended stays `started`; ids that come twice belong to the latest call."""
    store.begin_turn(turn("t1"))
    store.begin_call("t1", "c1", "mail", "send", effect=True)
    store.finish_call("t1", "c1", "failed", "allow", "g1")
    store.begin_call("t1", "c1", "mail", "send", effect=True)
    store.begin_call("t1", "c2", "docs", "search", effect=False)
    store.finish_call("t1", "c2", "completed", "allow", "g2")
    assert [(c.call_id, c.status, c.effect, c.grant) for c in store.calls("t1")] == [
        ("c1", "failed", True, "g1"),
        ("c1", "started", True, ""),
        ("c2", "completed", False, "g2"),
    ]


def test_what_is_gone_is_said_to_be_gone(store: Store) -> None:
    """Writing to a session, turn or call that does not exist is an error, never a silent nothing."""
    actions = (
        lambda: store.append_messages("s", "t", [{}]),
        lambda: store.finish_turn("t", "completed", "", {}, None),
        lambda: store.start_turn("t", 99.0),
        lambda: store.requeue_turn("t"),
        lambda: store.finish_call("t", "c", "completed"),
    )
    for action in actions:
        with pytest.raises(BedplateError) as caught:
            action()
        assert code(caught) == "BP462"


def test_shared_state_has_one_writer_at_a_time(store: Store) -> None:
    """A write that was made for an older version is refused, and the agent that wrote last is known."""
    assert store.state_put("s", "plan", {"step": 1}, "planner", 0) == 1
    assert store.state_put("s", "plan", [2], "planner", 1) == 2
    with pytest.raises(BedplateError) as caught:
        store.state_put("s", "plan", 3, "writer", 1)
    assert code(caught) == "BP468"
    assert store.state_put("s", "plan", None, "writer", None) == 3
    value = store.state_get("s", "plan")
    assert value is not None
    assert (value.value, value.agent, value.version) == (None, "writer", 3)
    assert store.state_get("s", "other") is None


def test_transactions_are_all_or_nothing(store: Store) -> None:
    """What several methods did in one transaction is undone together."""
    store.session("support", "ada", "s", DAY)

    def fails_at_the_end() -> None:
        with store.transaction():
            store.append_messages("s", "t1", [{"n": 1}])
            store.finish_turn("missing", "completed", "", {}, None)

    with pytest.raises(BedplateError):
        fails_at_the_end()
    assert store.messages("s") == []


def test_forgetting_erases_a_person_and_no_one_else(tmp_path: Path, store: Store) -> None:
    """After `forget` nothing of the person is found, not even in the bytes of the files; others keep everything."""
    everything(store, f"{CANARY}-person", CANARY)
    everything(store, "bob", "bobsword")
    before = store.export("support", "bob")
    assert CANARY in all_bytes(tmp_path)
    assert store.trace_ids("support", f"{CANARY}-person") == ["ab-0"]
    erased = store.forget("support", f"{CANARY}-person")
    assert erased == Counts(sessions=1, messages=1, facts=1, turns=1)
    assert CANARY not in all_bytes(tmp_path)
    assert store.export("support", "bob") == before
    assert store.counts() == Counts(sessions=1, messages=1, facts=1, turns=2)
    assert store.audit_verify() is None
    assert recall(store, "support", f"{CANARY}-person", "what do you know about me") == []


def test_a_turn_that_ends_after_its_person_was_forgotten_stays_empty(store: Store) -> None:
    """Forgetting during a turn does not fail the turn, and its answer is not kept."""
    store.session("support", "ada", "s", DAY)
    store.begin_turn(turn("t1"))
    store.forget("support", "ada")
    store.finish_turn("t1", "completed", CANARY, {"n": 1}, CANARY)
    row = store.turn("t1")
    assert row is not None
    assert (row.status, row.usage, row.output, row.error, row.user, row.input) == (
        "completed",
        {"n": 1},
        None,
        None,
        "",
        "",
    )


def test_expiry_takes_turns_with_their_session(store: Store, clock: Clock) -> None:
    """Expired sessions take messages, state and finished turns along; facts go by their own retention."""
    everything(store, "ada", "word")
    remember(store, "support", "ada", "I like tea", "t", 3 * DAY)
    clock.now += DAY + 1
    assert store.expire() == Counts(sessions=1, messages=1, facts=1, turns=1)
    assert store.counts() == Counts(facts=1)
    assert store.expire() == Counts()


def test_a_new_retention_holds_for_what_is_stored(store: Store, clock: Clock) -> None:
    """Shorter, it ends what is older at once and says before how much; longer, it gives more time to what is there."""
    everything(store, "ada", CANARY)
    clock.now += DAY / 2
    assert store.older_than(sessions=DAY // 2, facts=DAY // 4) == Counts(sessions=1, facts=1)
    assert store.older_than(sessions=DAY) == Counts()
    store.set_retention(sessions=DAY // 2)
    assert store.counts() == Counts(facts=1, turns=1)
    store.set_retention(sessions=2 * DAY, facts=DAY // 2)
    assert store.counts() == Counts(sessions=1, messages=1, turns=1)
    clock.now += DAY
    assert store.counts().sessions == 1
    assert store.expire() == Counts(facts=1)


def test_nothing_expired_is_read(store: Store, clock: Clock) -> None:
    """Before anything was deleted, messages, shared state, the export and the counts know nothing of what is over."""
    everything(store, "ada", CANARY)
    session = f"{CANARY}-ada"
    clock.now += DAY
    assert store.messages(session) == []
    assert store.state_get(session, CANARY) is None
    exported = store.export("support", "ada")
    assert (exported["sessions"], exported["facts"], exported["turns"]) == ([], [], [])
    assert store.counts() == Counts(turns=1)


def test_an_answer_counts_as_use(store: Store, clock: Clock) -> None:
    """A session lives its whole retention from the last thing said in it, the answer of a long turn too."""
    session = store.session("support", "ada", None, 10)
    clock.now += 8
    store.append_messages(session.id, "t", [{"text": "late"}])
    clock.now += 9
    assert store.messages(session.id) == [{"text": "late"}]
    clock.now += 1
    assert store.messages(session.id) == []


def test_what_is_no_longer_remembered_goes(store: Store, tmp_path: Path) -> None:
    """Dropping a kind deletes all of it, with the text of its turns, and nothing of the other kind."""
    everything(store, "ada", CANARY)
    assert store.drop(sessions=True) == Counts(sessions=1, messages=1, turns=1)
    assert store.counts() == Counts(facts=1)
    assert store.drop(facts=True) == Counts(facts=1)
