"""The store: sessions, turns, calls, shared state, erasure, and what happens when the disk or the file fails."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bedplate.problems import BedplateError
from bedplate.problems.catalogue import catalogue
from bedplate.store import AuditEvent, Counts, Store, TurnRow, recall, remember
from bedplate.store.database import migrations

DAY = 86_400
CANARY = "zebraqxz"  # a word that stemming leaves as it is


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(tmp_path / "memory.db", clock)
    yield opened
    opened.close()


def code(caught: pytest.ExceptionInfo[BedplateError]) -> str:
    """The code of the one problem raised, which must be in the catalogue."""
    (problem,) = caught.value.problems
    assert problem.code in catalogue()
    assert problem.fix
    return problem.code


def turn(turn_id: str, session: str = "s", user: str = "ada", **more: object) -> TurnRow:
    return TurnRow(turn_id, session, "support", user, "hello", **more)  # type: ignore[arg-type]


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
    store.start_turn("t1")
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
        lambda: store.start_turn("t"),
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


def all_bytes(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.iterdir())


def test_a_newer_database_is_refused(tmp_path: Path, store: Store) -> None:
    """A database of a later version is not opened, and not changed."""
    store.db.run(f"PRAGMA user_version = {len(migrations()) + 1}")
    store.close()
    before = (tmp_path / "memory.db").read_bytes()
    with pytest.raises(BedplateError) as caught:
        Store.open(tmp_path / "memory.db")
    assert code(caught) == "BP460"
    assert (tmp_path / "memory.db").read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """Rubbish in place of the database is an error that names the file."""
    (tmp_path / "memory.db").write_bytes(b"rubbish, not a database" * 100)
    with pytest.raises(BedplateError) as caught:
        Store.open(tmp_path / "memory.db")
    assert code(caught) == "BP466"
    assert "memory.db" in caught.value.problems[0].summary


def test_a_damaged_page_is_an_error_not_a_wrong_answer(tmp_path: Path, store: Store) -> None:
    """Overwritten pages raise BP466 when they are read."""
    everything(store, "ada", "word")
    store.append_messages("word-ada", "t2", [{"text": "x" * 50_000}])
    store.db.scrub()
    store.close()
    raw = bytearray((tmp_path / "memory.db").read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    (tmp_path / "memory.db").write_bytes(raw)
    with pytest.raises(BedplateError) as caught:
        Store.open(tmp_path / "memory.db").export("support", "ada")
    assert code(caught) == "BP466"


def test_a_full_disk_loses_nothing_that_was_stored(store: Store) -> None:
    """A write that finds no room is undone whole and said plainly; with room again, the store goes on."""
    store.session("support", "ada", "s", DAY)
    store.append_messages("s", "t1", [{"n": 1}])
    pages = store.db.rows("PRAGMA page_count")[0][0]
    store.db.run(f"PRAGMA max_page_count = {pages}").fetchall()

    def needs_room() -> None:
        with store.transaction():
            store.append_messages("s", "t2", [{"n": 2}])
            store.append_messages("s", "t3", [{"text": "x" * 100_000}])

    with pytest.raises(BedplateError) as caught:
        needs_room()
    assert code(caught) == "BP464"
    assert store.messages("s") == [{"n": 1}]
    store.db.run("PRAGMA max_page_count = 100000").fetchall()
    store.append_messages("s", "t2", [{"n": 2}])
    assert store.messages("s") == [{"n": 1}, {"n": 2}]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A path that cannot be a database is an error with the path."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(BedplateError) as caught:
        Store.open(tmp_path / "file" / "memory.db")
    assert code(caught) == "BP465"


def test_the_file_is_private(tmp_path: Path, store: Store) -> None:
    """Nobody but the owner can read what is remembered."""
    assert store.counts() == Counts()
    assert (tmp_path / "memory.db").stat().st_mode & 0o777 == 0o600


WRITER = """
import sys
from pathlib import Path
from bedplate.store import Store, AuditEvent
store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
n = 0
while n < int(sys.argv[2]):
    session = store.session("support", f"u{sys.argv[3]}", None, 86400)
    store.append_messages(session.id, "t", [{"n": n}, {"n": n}])
    store.audit(AuditEvent("call", user="u", agent="support", arguments={"n": n}))
    n += 1
    print(n, flush=True)
"""


def writer(path: Path, count: int, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(count), name],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """A first start by several processes at once, and all their writes, succeed; the audit chain stays whole."""
    path = tmp_path / "memory.db"
    processes = [writer(path, 60, str(n)) for n in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [p.returncode for p in processes] == [0, 0, 0]
    store = Store.open(path)
    assert store.counts() == Counts(sessions=180, messages=360)
    assert store.audit_verify() is None
    assert store.audit_head()[0] == 180
    store.close()


def test_a_killed_process_loses_nothing_it_had_written(tmp_path: Path) -> None:
    """kill -9 in mid-write: every finished step is there, and none by halves."""
    process = writer(tmp_path / "memory.db", 100_000, "k")
    assert process.stdout is not None
    told = 0
    while told < 50:
        line = process.stdout.readline().strip()
        told = int(line) if line.isdigit() else 0
    process.kill()
    told = max([told, *(int(line) for line in process.stdout.read().split() if line.isdigit())])
    process.wait()
    store = Store.open(tmp_path / "memory.db")
    counts = store.counts()
    assert counts.sessions >= told
    assert counts.messages in (2 * counts.sessions, 2 * counts.sessions - 2)
    assert store.audit_verify() is None
    store.close()


def test_methods_take_less_than_a_millisecond(store: Store) -> None:
    """The gateway's one thread can call the store directly: the median method is far under a millisecond."""
    session = store.session("support", "ada", None, DAY)
    took = []
    for n in range(200):
        began = time.perf_counter()
        store.begin_turn(turn(f"t{n}", session.id))
        took.append(time.perf_counter() - began)
    assert sorted(took)[100] < 0.003


def test_the_connection_overwrites_what_it_deletes(store: Store) -> None:
    """`secure_delete` is on, on which erasure rests."""
    assert store.db.rows("PRAGMA secure_delete")[0][0] == 1
    assert sqlite3.sqlite_version_info >= (3, 37)
