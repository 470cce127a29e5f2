"""What an update does when something in it fails or is interrupted."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from bedplate.engine import Created, EmbeddedEngine, Properties, StackRef
from bedplate.problems import BedplateError, Problem
from engine_cloud import Bench, Cloud, Thing, bench_in, build, ops, refused

TESTS = Path(__file__).parent


def test_a_failed_program_deletes_nothing_and_keeps_the_old_outputs(tmp_path: Path) -> None:
    """An exception of the program is one problem at its line; what was made is recorded."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b"}], exports={"x": "a.address"})

    def program() -> None:
        build([{"name": "a"}, {"name": "c"}], {"x": "c.address"})()
        raise ValueError("no such colour")

    problem = refused(lambda: bench.engine.up(bench.stack, program, {}), "BP201")
    assert problem.summary == "the program raised ValueError: no such colour"
    assert problem.where.file.endswith(Path(__file__).name)
    assert problem.where.line == program.__code__.co_firstlineno + 2
    assert bench.engine.outputs(bench.stack) == {"x": "at/a-1"}
    assert {r.name for r in bench.engine.resources(bench.stack)} == {"shop-dev", "a", "b", "c"}


def test_a_bug_in_a_resource_type_is_reported_as_one(tmp_path: Path) -> None:
    """An exception that a provider did not explain names the resource, the type and the place."""

    class Broken(Thing):
        def create(self, news: Properties) -> Created:
            return Created("x", {"sum": 1 / 0, **news})

    engine = EmbeddedEngine({Thing.type: Broken(Cloud())}, environment={})
    stack = StackRef("shop", "dev", tmp_path / "dev")
    problem = refused(lambda: engine.up(stack, build([{"name": "a"}]), {}), "BP207")
    assert "a: test:index:Thing failed unexpectedly with ZeroDivisionError" in problem.summary
    assert Path(__file__).name in problem.detail


def test_events_tell_the_start_and_end_of_each_step(tmp_path: Path) -> None:
    """`started` and `done` for what works, `failed` with the reason for what does not, `log` for the program."""
    bench = bench_in(tmp_path)

    def program() -> None:
        import pulumi

        pulumi.log.info("hello")
        build([{"name": "a"}])()

    bench.cloud.fail = {("create", "a")}
    refused(lambda: bench.engine.up(bench.stack, program, {}, on_event=bench.events.append), "BP205")
    told = [(e.kind, e.step.name if e.step else "", e.message) for e in bench.events]
    assert ("log", "", "hello") in told
    assert told[-2:] == [("started", "a", ""), ("failed", "a", "BP205: the cloud refuses to create")]


def test_stacks_in_several_threads_do_not_see_each_other(tmp_path: Path) -> None:
    """Four programs at once each deploy their own resources."""
    benches = [Bench(tmp_path / str(n), secrets=False) for n in range(4)]
    threads = [
        threading.Thread(target=bench.up, args=([{"name": f"a{n}"}, {"name": f"b{n}", "refs": [f"a{n}"]}],))
        for n, bench in enumerate(benches)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, bench in enumerate(benches):
        assert {r.name for r in bench.engine.resources(bench.stack)} == {"shop-dev", f"a{n}", f"b{n}"}


class _Slow(Thing):
    """`slow` takes its time, `bad` fails meanwhile."""

    type: ClassVar[str] = "test:index:Thing"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.started = threading.Event()

    def create(self, news: Properties) -> Created:
        if news["name"] == "bad":
            assert self.started.wait(10)
            raise BedplateError(Problem("BP205", "out of stock"))
        self.started.set()
        time.sleep(0.3)
        return super().create(news)


def test_a_failure_lets_what_is_in_flight_finish_and_records_it(tmp_path: Path) -> None:
    """A resource that is being made while another fails is finished, recorded and not made again."""
    cloud = Cloud()
    stack = StackRef("shop", "dev", tmp_path / "dev")
    engine = EmbeddedEngine({Thing.type: _Slow(cloud)}, environment={})
    program = build([{"name": "slow"}, {"name": "bad"}, {"name": "later", "after": ["slow"]}])
    assert refused(lambda: engine.up(stack, program, {}), "BP205").summary == "bad: out of stock"
    assert {r.name for r in engine.resources(stack)} == {"shop-dev", "slow"}
    assert list(cloud.things) == ["slow-1"]


INTERRUPTED = """
import os, signal, sys, threading, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from engine_cloud import Bench, Cloud, Thing, bench_in, build, ops, refused
class Slow(Thing):
    def create(self, news):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        return super().create(news)
bench = Bench(Path(sys.argv[1]))
bench.engine._registry[Thing.type] = Slow(bench.cloud)
try:
    bench.up([{"name": "a"}, {"name": "b", "after": ["a"]}])
except KeyboardInterrupt:
    print([r.name for r in bench.engine.resources(bench.stack)])
"""


def test_ctrl_c_lets_the_running_step_finish_and_starts_no_other(tmp_path: Path) -> None:
    """After SIGINT the state holds what was being made, nothing else was started, and no lock is left."""
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "dev"), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "['shop-dev', 'a']\n", done.stderr
    assert {p.name for p in (tmp_path / "dev").iterdir()} == {
        "history.jsonl",
        "journal.jsonl.bak",
        "state.json",
        "state.json.bak",
        "state.json.sha256",
        "state.key",
    }


class _Regional(Thing):
    """Names of the caller's choosing: the id is the name, in each zone."""

    def create(self, news: Properties) -> Created:
        self.cloud.things[f"{news['zone']}/{news['name']}"] = dict(news)
        return Created(news["name"], dict(news))

    def delete(self, id: str, outputs: Properties) -> None:
        del self.cloud.things[f"{outputs['zone']}/{id}"]


def test_a_replacement_that_has_the_same_id_deletes_the_old_copy(tmp_path: Path) -> None:
    """Where a type's ids are names, the old resource goes as announced, and what was made in its stead stays."""
    cloud = Cloud()
    engine = EmbeddedEngine({Thing.type: _Regional(cloud)}, environment={})
    stack = StackRef("shop", "dev", tmp_path / "dev")
    engine.up(stack, build([{"name": "a", "props": {"zone": "eu"}}]), {})
    program = build([{"name": "a", "props": {"zone": "us"}}])
    announced = ops(engine.preview(stack, program, {}))
    assert ops(engine.up(stack, program, {})) == announced
    assert announced == ["create-replacement a", "replace a", "delete-replaced a"]
    assert list(cloud.things) == ["us/a"]
