"""The store when things go wrong: newer and damaged files, a full disk, several processes, kill -9."""

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
from bedplate.store import Counts, Store
from bedplate.store.database import migrations
from store_support import DAY, Clock, code, everything, turn


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(tmp_path / "memory.db", clock)
    yield opened
    opened.close()


def test_a_newer_database_is_refused(tmp_path: Path, store: Store) -> None:
    """A database of a later version is not opened, and not changed."""
    store.db.run(f"PRAGMA user_version = {len(migrations()) + 1}")
    store.close()
    before = (tmp_path / "memory.db").read_bytes()
    with pytest.raises(BedplateError) as caught:
        Store.open(tmp_path / "memory.db")
    assert code(caught) == "BP460"
    assert (tmp_path / "memory.db").read_bytes() == before


def test_a_database_of_the_first_version_is_brought_up(tmp_path: Path) -> None:
    """What the first version wrote is still there, in the form of this version."""
    old = sqlite3.connect(tmp_path / "memory.db")
    old.executescript(migrations()[0])
    values = "'t', 's', 'a', 'u', 'hi', NULL, '', 'queued', 1, NULL, 1, NULL, '{}', NULL, '', '', 0"
    old.execute(f"INSERT INTO turns VALUES ({values})")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    store = Store.open(tmp_path / "memory.db")
    assert [(t.id, t.deadline) for t in store.running_turns()] == [("t", None)]
    store.close()


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


def test_a_path_too_long_for_sqlite_is_named_as_such(tmp_path: Path) -> None:
    """The longest path that SQLite opens works; one byte more is BP330 and leaves nothing behind."""
    folder = tmp_path
    while len(str(folder)) + 200 < 400:
        folder /= "long" * 25
    names = ["x" * (length - len(str(folder)) - 1) for length in (504, 505)]
    Store.open(folder / names[0]).close()
    with pytest.raises(BedplateError) as caught:
        Store.open(folder / names[1])
    assert code(caught) == "BP330"
    assert not (folder / names[1]).exists()
