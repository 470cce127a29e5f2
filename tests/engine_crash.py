"""A program that is killed at every point where something becomes durable, resumed, and looked at. Prints JSON.

Run as `python engine_crash.py FOLDER small`, or `… FOLDER small TIMES SEED` to kill at random times; with `large` the
state is so large that the journal stays after a run, and the killed run goes on with it; with `first` nothing was there
before. It imports the SDK once and
forks for each run, so that each run is a process of its own that SIGKILL ends. Points are counted by an audit hook
(every file opened, renamed, linked or removed in the stack's folder) and by the provider (before and after each call).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from bedplate.engine import Created, Diff, EmbeddedEngine, Properties, ReadResult, Resource, StackRef, diff_properties
from engine_cloud import build

FIRST: list[dict[str, Any]] = [
    {"name": "gone", "secret": ["code"], "props": {"code": "geheim"}},
    {"name": "changed", "props": {"size": 1}},
    {"name": "moved", "props": {"zone": "x"}},
    {"name": "user", "refs": ["moved"]},
    {"name": "single", "type": "Exclusive", "props": {"zone": "x"}},
]
SECOND: list[dict[str, Any]] = [
    {"name": "new", "secret": ["code"], "props": {"code": "geheim"}},
    {"name": "changed", "props": {"size": 2}, "after": ["new"]},
    {"name": "moved", "props": {"zone": "y"}, "after": ["changed"]},
    {"name": "user", "refs": ["moved"]},
    {"name": "single", "type": "Exclusive", "props": {"zone": "y"}, "after": ["user"]},
]
FILLER: dict[str, Any] = {"name": "filler", "props": {"text": "x" * 50_000}}


class Points:
    """Counts points and kills this process at the chosen one."""

    def __init__(self) -> None:
        self.chosen, self.seen = 0, 0

    def reach(self) -> None:
        self.seen += 1
        if self.seen == self.chosen:
            os.kill(os.getpid(), signal.SIGKILL)


POINTS = Points()


class Filed(Resource):
    """A thing that is a file: it outlives the process, and making it twice makes one."""

    type: ClassVar[str] = "test:index:Thing"
    first: ClassVar[bool] = False
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"address"})

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        found = diff_properties(old_inputs, news, frozenset({"zone"}))
        return Diff(found.properties, delete_before_replace=self.first)

    def create(self, news: Properties) -> Created:
        id = f"{news['name']}@{news.get('zone', '')}"
        return Created(id, self._put(id, news))

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        return self._put(id, news)

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        path = self.folder / id
        return ReadResult(id, inputs, outputs) if path.exists() else None

    def delete(self, id: str, outputs: Properties) -> None:
        POINTS.reach()
        (self.folder / id).unlink(missing_ok=True)
        POINTS.reach()

    def _put(self, id: str, news: Properties) -> dict[str, Any]:
        POINTS.reach()
        (self.folder / id).write_text(json.dumps(dict(news), sort_keys=True))
        POINTS.reach()
        return {**news, "address": f"at/{id}"}


class FiledExclusive(Filed):
    """The same, deleted before it is replaced."""

    type: ClassVar[str] = "test:index:Exclusive"
    first: ClassVar[bool] = True


def prepared(root: Path, size: str) -> Path:
    """The first deployment, if any; of a large one, the last part of it is in the journal."""
    base = root / "base"
    (base / "cloud").mkdir(parents=True)
    if size == "first":
        return base
    if size == "large":
        FIRST.append(FILLER)
        SECOND.append(FILLER)
        assert forked(lambda: run(base, FIRST[1:])) == 0
    assert forked(lambda: run(base, FIRST)) == 0
    assert (base / "dev/journal.jsonl").exists() == (size == "large")
    return base


def main(root: Path, size: str) -> None:
    """Prepare the first deployment, then kill the second at each point in turn."""
    base = prepared(root, size)
    results = []
    for point in range(1, 1000):
        place = root / str(point)
        shutil.copytree(base, place)
        if forked(lambda place=place, point=point: run(place, SECOND, point)) == 0:
            break
        results.append(look(place, point))
        shutil.rmtree(place)
    print(json.dumps(results))  # noqa: T201


def at_random(root: Path, size: str, times: int, seed: int) -> None:
    """Kill the second deployment after random times, and the one that resumes it as well, before it is looked at."""
    chance, results = random.Random(seed), []
    base = prepared(root, size)
    began = time.monotonic()
    shutil.copytree(base, root / "whole")
    assert forked(lambda: run(root / "whole", SECOND)) == 0
    whole = time.monotonic() - began
    for number in range(times):
        place = root / str(number)
        shutil.copytree(base, place)
        for _ in range(2):
            forked(lambda place=place: run(place, SECOND, after=chance.uniform(0.001, whole)))
        results.append(look(place, number))
        shutil.rmtree(place)
    print(json.dumps(results))  # noqa: T201


def look(place: Path, point: int) -> dict[str, Any]:
    """What a killed run left, and what the next one makes of it."""
    left = {path.name for path in (place / "cloud").iterdir()}
    files = [place / "dev/state.json", place / "dev/journal.jsonl"]
    known = "".join(path.read_text() for path in files if path.exists())
    unknown = sorted(id for id in left if f'"name":"{id.split("@")[0]}"' not in known.replace('": "', '":"'))
    status = forked(lambda: run(place, SECOND))
    engine, stack = EmbeddedEngine({}, environment={}), StackRef("shop", "dev", place / "dev")
    state = engine.export_state(stack)["deployment"]
    plain = any("geheim" in path.read_text() for path in (place / "dev").iterdir())
    (place / "cloud/filler@").unlink(missing_ok=True)
    return {
        "point": point,
        "unknown": unknown,
        "status": status,
        "cloud": {path.name: json.loads(path.read_text()) for path in (place / "cloud").iterdir()},
        "state": sorted(
            r["id"] for r in state["resources"] if r["type"].startswith("test:") and "filler" not in r["urn"]
        ),
        "pending": len(state.get("pending_operations", ())),
        "files": sorted(path.name for path in (place / "dev").iterdir()),
        "history": [update.number for update in engine.history(stack)],
        "plain": plain,
    }


def run(place: Path, program: list[dict[str, Any]], point: int = 0, after: float = 0.0) -> None:
    """One `up`, killed at the chosen point or after so many seconds: nobody handles the alarm."""
    signal.setitimer(signal.ITIMER_REAL, after)
    kinds = (Filed(place / "cloud"), FiledExclusive(place / "cloud"))
    engine = EmbeddedEngine({k.type: k for k in kinds}, environment={})
    POINTS.chosen = point
    stack = str(place / "dev")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        watched = event in {"open", "os.rename", "os.link", "os.remove", "os.truncate"}
        if watched and any(isinstance(a, str | Path) and str(a).startswith(stack) for a in arguments):
            POINTS.reach()

    sys.addaudithook(hook)
    engine.up(StackRef("shop", "dev", place / "dev"), build(program), {})


def forked(call: Callable[[], None]) -> int:
    """Run in a child process; its status, negative for a signal."""
    if (child := os.fork()) == 0:
        try:
            call()
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    import pulumi  # noqa: F401

    if len(sys.argv) > 3:
        at_random(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(Path(sys.argv[1]), sys.argv[2])
