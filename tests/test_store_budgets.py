"""Budgets of the store: no more than the limit within any window, whoever asks at once and whatever is restarted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.store import Store, Use
from store_support import Clock

CALLS = "import sys, pathlib\nfrom bedplate.store import Store, Use\nstore = Store.open(pathlib.Path(sys.argv[1]))\n"
CALLS += "print(sum(store.reserve([Use('b', 1, 50, 3600)], f'{sys.argv[2]}-{n}') is None for n in range(40)))\n"


@settings(max_examples=60)
@given(
    window=st.integers(1, 20),
    limit=st.integers(0, 12),
    calls=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.booleans()), max_size=25),
)
def test_no_window_ever_holds_more_than_the_limit(window: int, limit: int, calls: list[tuple[int, int, bool]]) -> None:
    """Whatever is asked for and given back, what was granted within any window is at most the limit."""
    clock, granted = Clock(), []
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "memory.db", clock)
        for number, (pause, amount, back) in enumerate(calls):
            clock.now += pause
            before = sum(a for at, a in granted if at > clock.now - window)
            short = store.reserve([Use("b", amount, limit, window)], str(number))
            assert (short is None) == (before + amount <= limit)
            if short is None and back:
                store.give_back(str(number))
            elif short is None:
                granted.append((clock.now, amount))
            elif short.again is not None:
                assert short.left == limit - before
        store.close()
    for end, _ in granted:
        assert sum(a for at, a in granted if end - window < at <= end) <= limit


def test_a_shortage_says_when_there_is_enough_again(tmp_path: Path) -> None:
    """At that moment the same call is granted; a moment before it is not. What never fits has no such moment."""
    clock = Clock()
    store = Store.open(tmp_path / "memory.db", clock)
    for at in (0, 10, 20):
        clock.now = 1_000.0 + at
        assert store.reserve([Use("b", 2, 6, 60)], str(at)) is None
    short = store.reserve([Use("b", 3, 6, 60)], "x")
    assert short is not None
    assert (short.left, short.again) == (0, 1_070.0)
    clock.now = 1_069.9
    assert store.reserve([Use("b", 3, 6, 60)], "x") is not None
    clock.now = 1_070.0
    assert store.reserve([Use("b", 3, 6, 60)], "x") is None
    never = store.reserve([Use("b", 7, 6, 60)], "y")
    assert never is not None
    assert never.again is None
    store.close()


def test_a_call_takes_from_all_its_budgets_or_from_none(tmp_path: Path) -> None:
    """Where one budget is short the others are as they were."""
    store = Store.open(tmp_path / "memory.db", Clock())
    both = [Use("calls", 1, 10, 60), Use("sum", 500, 600, 60)]
    assert store.reserve(both, "1") is None
    short = store.reserve(both, "2")
    assert short is not None
    assert short.use.budget == "sum"
    assert (store.used("calls"), store.used("sum")) == (1, 500)
    store.close()


def test_a_budget_outlives_the_process(tmp_path: Path) -> None:
    """What was taken is taken still after the database was closed and opened again."""
    clock = Clock()
    store = Store.open(tmp_path / "memory.db", clock)
    store.reserve([Use("b", 3, 5, 60)], "1")
    store.close()
    store = Store.open(tmp_path / "memory.db", clock)
    assert store.used("b") == 3
    clock.now += 60
    assert store.used("b") == 0
    store.close()


def test_threads_together_get_no_more_than_the_limit(tmp_path: Path) -> None:
    """Of two hundred calls from eight threads exactly the limit is granted."""
    store = Store.open(tmp_path / "memory.db")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: store.reserve([Use("b", 1, 50, 3600)], str(n)), range(200)))
    assert sum(answer is None for answer in answers) == 50
    store.close()


@pytest.mark.parametrize("processes", [3])
def test_processes_together_get_no_more_than_the_limit(tmp_path: Path, processes: int) -> None:
    """Three processes ask forty times each; fifty are granted in all."""
    Store.open(tmp_path / "memory.db").close()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CALLS, str(tmp_path / "memory.db"), str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(processes)
    ]
    assert sum(int(process.communicate()[0]) for process in running) == 50
