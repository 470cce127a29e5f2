"""Ctrl-C while a provider's plugin or the Pulumi CLI is at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bedplate.engine import Created, Engine, Properties
from bedplate.problems import BedplateError
from engine_cloud import Thing, build
from pulumi_support import CliBench, cli_bench, needs_cli
from test_providers_plugin_engine import Shop, boxes


class Begun:
    """A call on a thread, and what it raised."""

    def __init__(self, call: Callable[[], object], ready: Callable[[], bool]) -> None:
        self.error: BedplateError | None = None
        self.thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self.thread.start()
        wait(ready)

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BedplateError as error:
            self.error = error

    def ended(self, seconds: float) -> str:
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        assert self.error is not None
        return self.error.problems[0].code


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds; an error after 30 seconds."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("where", ["check", "diff", "create"])
def test_a_plugin_is_asked_to_give_up_and_a_call_that_hangs_is_left(where: str, tmp_path: Path) -> None:
    """The first Ctrl-C reaches the provider as Cancel; the second ends a run whose plugin does not answer."""
    shop = Shop(tmp_path)
    things = shop.folder("things")
    if where == "diff":
        shop.up(boxes({"name": "a"}))
    engine: Engine = shop.engine
    program = boxes({"name": "a", "trouble": f"hang in {where}"})
    begun = Begun(lambda: engine.up(shop.stack, program, shop.config), (things / "hanging").exists)
    engine.cancel()
    wait((things / "cancelled").exists)
    assert begun.thread.is_alive()
    engine.cancel()
    assert begun.ended(8) == "BP231"
    assert [p["type"] for p in shop.state()["pending_operations"]] == (["creating"] if where == "create" else [])


class Slow(Thing):
    """A create waits until it is let go."""

    begun, go = threading.Event(), threading.Event()

    def create(self, news: Properties) -> Created:
        self.begun.set()
        assert self.go.wait(60)
        return super().create(news)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[CliBench]:
    """A bench of the CLI whose creates wait."""
    Slow.begun.clear()
    Slow.go.clear()
    with cli_bench(tmp_path / "dev", (Slow,)) as found:
        yield found
    Slow.go.set()


@needs_cli
def test_the_second_ctrl_c_ends_the_cli_at_once(bench: CliBench) -> None:
    """While a create hangs: the run ends, and Pulumi's state has the operation as pending."""
    begun = Begun(lambda: bench.engine.up(bench.stack, build([{"name": "a"}]), {}), Slow.begun.is_set)
    bench.engine.cancel()
    time.sleep(0.5)
    bench.engine.cancel()
    assert begun.ended(20) == "BP231"
    pending = bench.state().get("pending_operations", [])
    assert [(p["type"], p["resource"]["urn"].split("::")[-1]) for p in pending] == [("creating", "a")]
