"""How many steps of the embedded engine run at once, and how a run is stopped."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bedplate.engine import Created, EmbeddedEngine, Options, Properties, StackRef
from bedplate.engine.ordering import Queue
from bedplate.engine.running import Run, Stopped
from bedplate.engine.state import ResourceState
from bedplate.engine.targets import Patterns
from bedplate.problems import BedplateError
from engine_cloud import Cloud, PlainThing, build, refused

TESTS = Path(__file__).parent
MANY = [{"name": f"n{i}"} for i in range(8)]


class Counting(PlainThing):
    """Knows how many calls ran at once."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.now = self.most = 0
        self.lock = threading.Lock()

    def _count(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.03)
        with self.lock:
            self.now -= 1

    def create(self, news: Properties) -> Created:
        self._count()
        return super().create(news)

    def delete(self, id: str, outputs: Properties) -> None:
        self._count()
        super().delete(id, outputs)


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_steps_than_allowed_run_at_once(parallel: int, tmp_path: Path) -> None:
    """Creates and deletes use all the room that `parallel` gives, and no more."""
    thing = Counting(Cloud())
    engine, stack = EmbeddedEngine({thing.type: thing}, environment={}), StackRef("shop", "dev", tmp_path / "dev")
    for program in (MANY, []):
        thing.most = 0
        engine.up(stack, build(program), {}, options=Options(parallel=parallel))
        assert thing.most == parallel


def test_options_that_make_no_sense_are_refused() -> None:
    """No step at once, and targets with excludes, are refused before anything starts."""
    refused(lambda: Options(parallel=0), "BP230")
    refused(lambda: Options(targets=("a",), excludes=("b",)), "BP230")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("db", ["db"]),
        ("d*", ["db", "dc"]),
        ("**", ["db", "dc", "x:y"]),
        ("**b", ["db"]),
        ("urn:pulumi:dev::shop::t::db", ["db"]),
        ("urn:pulumi:*::shop::t::*", ["db", "dc"]),
        ("urn:pulumi:*::*::db", []),
        ("urn:pulumi:**y", ["x:y"]),
        ("d.", []),
    ],
)
def test_a_pattern_means_what_it_means_in_pulumi(pattern: str, found: list[str]) -> None:
    """One star stops at a colon, two do not, and nothing else is special."""
    patterns = Patterns((pattern,))
    assert [name for name in ("db", "dc", "x:y") if f"urn:pulumi:dev::shop::t::{name}" in patterns] == found


class Held(PlainThing):
    """A create waits until it is let go; `begun` says that one waits."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.begun, self.go = threading.Event(), threading.Event()

    def create(self, news: Properties) -> Created:
        self.begun.set()
        assert self.go.wait(20)
        return super().create(news)


class _Up:
    """An `up` of many resources on a thread, one step at a time, that hangs in its first create."""

    def __init__(self, folder: Path) -> None:
        self.cloud = Cloud()
        self.thing = Held(self.cloud)
        self.engine = EmbeddedEngine({Held.type: self.thing}, environment={})
        self.stack = StackRef("shop", "dev", folder)
        self.error: BedplateError | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self.thing.begun.wait(20)

    def _run(self) -> None:
        try:
            self.again()
        except BedplateError as error:
            self.error = error

    def again(self) -> list[str]:
        outcome = self.engine.up(self.stack, build(MANY), {}, options=Options(parallel=1))
        return [step.op for step in outcome.steps if step.name in {m["name"] for m in MANY}]


def test_the_first_cancel_lets_the_running_step_finish_and_begins_no_other(tmp_path: Path) -> None:
    """What was running is made and recorded, the rest is not begun, and the next run does only that."""
    up = _Up(tmp_path / "dev")
    up.engine.cancel()
    up.thing.go.set()
    up.thread.join(20)
    assert up.error is not None
    assert [p.code for p in up.error.problems] == ["BP231"]
    assert len(up.cloud.things) == 1
    assert sorted(up.again()) == ["create"] * 7 + ["same"]


def test_the_second_cancel_waits_for_nothing(tmp_path: Path) -> None:
    """`up` returns while its step hangs; the state names it as pending, and what it does later changes nothing."""
    up = _Up(tmp_path / "dev")
    up.engine.cancel()
    up.engine.cancel()
    up.thread.join(5)
    assert not up.thread.is_alive()
    assert up.error is not None
    assert "pending operations" in up.error.problems[0].detail
    files = {p.name: p.read_bytes() for p in up.stack.folder.iterdir()}
    pending = json.loads(files["state.json"])["deployment"]["pending_operations"]
    assert [operation["type"] for operation in pending] == ["creating"]
    up.thing.go.set()
    time.sleep(0.3)
    assert {p.name: p.read_bytes() for p in up.stack.folder.iterdir()} == files
    assert "create" in up.again()
    assert {r.name for r in up.engine.resources(up.stack)} >= {m["name"] for m in MANY}


def test_a_cancel_between_runs_does_nothing(tmp_path: Path) -> None:
    """Only runs under way are stopped."""
    thing = PlainThing(Cloud())
    engine = EmbeddedEngine({thing.type: thing}, environment={})
    engine.cancel()
    assert engine.up(StackRef("shop", "dev", tmp_path / "dev"), build(MANY), {}).changes


def test_a_program_that_swallows_the_refusals_loses_nothing(tmp_path: Path) -> None:
    """What could not be registered after a cancel is not deleted, whatever the program makes of it."""
    thing = PlainThing(Cloud())
    engine, stack = EmbeddedEngine({thing.type: thing}, environment={}), StackRef("shop", "dev", tmp_path / "dev")
    engine.up(stack, build(MANY), {})

    def program() -> None:
        engine.cancel()
        build(MANY)()

    refused(lambda: engine.up(stack, program, {}), "BP231")
    assert len(thing.cloud.things) == len(MANY)


INTERRUPTED = """
import sys, threading, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from bedplate.engine import Options
from bedplate.engine.interrupts import stoppable
from bedplate.problems import BedplateError
from engine_cloud import Bench, Thing, build
class Slow(Thing):
    def create(self, news):
        print("creating", flush=True)
        time.sleep(float(sys.argv[3]))
        return super().create(news)
bench = Bench(Path(sys.argv[1]), secrets=False)
bench.engine._registry[Thing.type] = Slow(bench.cloud)
try:
    with stoppable(bench.engine, lambda text: print(text, flush=True)):
        bench.engine.up(bench.stack, build([{"name": "a"}, {"name": "b", "after": ["a"]}]), {})
except BedplateError as error:
    print(error.problems[0].code, [r.name for r in bench.engine.resources(bench.stack)], flush=True)
"""


@pytest.mark.parametrize(
    ("signals", "seconds", "left"), [(1, 1.0, "['shop-dev', 'a']"), (2, 60.0, "['shop-dev']")], ids=["once", "twice"]
)
def test_ctrl_c_stops_a_process_in_two_stages(signals: int, seconds: float, left: str, tmp_path: Path) -> None:
    """One SIGINT lets the step finish, a second one ends the process while it hangs."""
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "dev"), str(TESTS), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "creating\n"
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline().startswith("Stopping")
        assert process.stdout.readline() == f"BP231 {left}\n"
        assert process.wait(10) == 0


def test_a_step_inside_a_step_needs_no_room_of_its_own() -> None:
    """With room for one step, a step that is made of others still ends; after a cancel none of them begins."""
    run = Run(1)
    assert run.step(lambda: run.step(lambda: 7)) == 7
    run.cancel()
    with pytest.raises(Stopped):
        run.step(lambda: 7)
    run.close()


def test_garbage_is_collected_again_after_a_program(tmp_path: Path) -> None:
    """A program runs without looking for garbage; after it, also after one that fails, it is as it was before."""
    during: list[bool] = []

    def program() -> None:
        during.append(gc.isenabled())
        raise ValueError("no")

    engine = EmbeddedEngine({}, environment={})
    refused(lambda: engine.up(StackRef("shop", "dev", tmp_path / "dev"), program, {}), "BP201")
    assert (during, gc.isenabled()) == ([False], True)


def test_deleting_in_order_takes_time_in_proportion() -> None:
    """A chain of 20,000 resources is put in order in about as many operations, not in their square."""
    chain = [
        ResourceState(f"urn:pulumi:d::p::t::n{i}", "t", True, dependencies=(f"urn:pulumi:d::p::t::n{i - 1}",))
        for i in range(20_000)
    ]
    started, queue, order = time.perf_counter(), Queue(chain), []
    ready = queue.free()
    while ready:
        order += [resource.name for resource in ready]
        ready = [found for resource in ready for found in queue.gone(resource)]
    assert order == [f"n{i}" for i in reversed(range(20_000))]
    assert time.perf_counter() - started < 2
