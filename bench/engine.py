"""What the engines cost: first update, no-op, preview, one change and destroy of 10, 100 and 1,000 resources, and a
`bedplate up` of the example that finds nothing to do.

Prints one JSON document, of every figure the least of the runs. Every run is a process that has loaded all it
needs; `total_s` is the engine's call and `cpu_s` its processor time. `sdk` is the same program with a monitor that
answers at once, so that the difference in processor time is what the engine adds: `engine_ms_per_resource`, which other
programs on the machine do not distort. `chain` is the processor time where each resource refers to the one before,
which the SDK alone does in cubic time. `written_bytes` counts every byte written by the process and its children. Where
`pulumi` is on PATH the same is done in the same run with the Pulumi CLI, a local backend and resources of its own that
do nothing; `times_faster` compares.

    python bench/engine.py [--sizes 10 100 1000] [--runs 3]
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from bedplate.engine import Created, EmbeddedEngine, Engine, Properties, ReadResult, Resource, StackRef

ROOT = Path(__file__).resolve().parent.parent
ACTIONS = ("up", "same", "preview", "change", "destroy")


class Nothing(Resource):
    """A resource that is kept nowhere."""

    type: ClassVar[str] = "bench:index:Nothing"
    computed_outputs: ClassVar[frozenset[str]] = frozenset({"address"})
    stable_outputs: ClassVar[frozenset[str]] = frozenset({"address"})

    def create(self, news: Properties) -> Created:
        """At once."""
        return Created(str(news["name"]), {**news, "address": f"at/{news['name']}"})

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult:
        """As it was."""
        return ReadResult(id, inputs, outputs)

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """At once."""
        return {**news, "address": f"at/{id}"}

    def delete(self, id: str, outputs: Properties) -> None:
        """At once."""


def program(size: int, changed: bool, own: bool = True, every: int = 10) -> Callable[[], None]:
    """Resources of ten properties each; every tenth is referred to by the nine after it.

    With `every` of 1 each is referred to by the one after it, a chain.
    """

    def run() -> None:
        import pulumi

        hub: Any = None
        for number in range(size):
            props: dict[str, Any] = {f"p{i}": f"value {i} of {number}" for i in range(8)}
            props["size"] = 2 if changed and number == size - 1 else 1
            if hub is not None and (number % every or every == 1):
                props["of"] = hub
            if own:
                made: Any = pulumi.CustomResource(
                    Nothing.type, f"n{number}", {"name": f"n{number}", "address": None, **props}
                )
                hub = made.address if number % every == 0 else hub
            else:
                stash = pulumi.Stash(f"n{number}", input=props)
                hub = stash.output["p0"] if number % every == 0 else hub

    return run


class Answers:
    """A monitor that makes nothing and answers at once: what is left is the SDK's own time."""

    def GetDeploymentInfo(self, _request: Any) -> Any:
        """The same features as the engine."""
        from pulumi.runtime.proto import resource_pb2

        from bedplate.engine.monitor import _FEATURES

        return resource_pb2.DeploymentInfo(supportedFeatures=_FEATURES)

    def RegisterResource(self, request: Any) -> Any:
        """The inputs, and the address that a resource here has."""
        from pulumi.runtime.proto import resource_pb2

        answer = resource_pb2.RegisterResourceResponse(urn=f"urn:pulumi:b::b::{request.type}::{request.name}", id="x")
        answer.object.CopyFrom(request.object)
        answer.object["address"] = f"at/{request.name}"
        return answer

    def RegisterResourceOutputs(self, _request: Any) -> Any:
        """Nothing to say."""
        from google.protobuf import empty_pb2

        return empty_pb2.Empty()

    SignalAndWaitForShutdown = RegisterResourceOutputs


def sdk_alone(run: Callable[[], None]) -> None:
    """The program with nobody at the other end, set up as `bedplate.engine.program` does."""
    import pulumi.runtime.settings as sdk
    from pulumi.runtime.stack import run_in_stack

    from bedplate.engine.monitor import EngineService

    sdk.configure(sdk.Settings("b", "b", monitor=Answers(), engine=EngineService(None), dry_run=False))

    async def main() -> None:
        run()
        await asyncio.sleep(0)

    async def host() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
        await run_in_stack(main)

    # As the engine runs programs.
    gc.disable()
    contextvars.copy_context().run(asyncio.run, host())
    gc.enable()


def one(kind: str, action: str, size: int, folder: Path) -> None:
    """One measurement in this process, printed."""
    _warm_up(kind)
    started, cpu, written = time.perf_counter(), time.process_time(), _written()
    if kind == "sdk":
        sdk_alone(program(size, False))
    else:
        _act(_engine(kind), StackRef("bench", "b", folder), kind, action, size)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(
        json.dumps(
            {
                "total_s": time.perf_counter() - started,
                "cpu_s": time.process_time() - cpu,
                "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "children_rss_mib": children / 1024,
                "written_bytes": _written() - written,
            }
        )
    )


def _warm_up(kind: str) -> None:
    """Load what a program needs: imports are not what is measured."""
    if kind == "sdk":
        sdk_alone(program(1, False))
        return
    engine = EmbeddedEngine({Nothing.type: Nothing()})
    engine.imagine(StackRef("bench", "warm", Path("/nowhere")), program(1, False), [{}])


def _engine(kind: str) -> Engine:
    if kind in {"embedded", "chain"}:
        return EmbeddedEngine({Nothing.type: Nothing()})
    from bedplate.engine.pulumi import PulumiEngine

    return PulumiEngine()


def _act(engine: Engine, stack: StackRef, kind: str, action: str, size: int) -> None:
    run = program(size, action == "change", kind != "pulumi", 1 if kind == "chain" else 10)
    match action:
        case "destroy":
            engine.destroy(stack)
        case "preview":
            engine.preview(stack, run, {})
        case _:
            engine.up(stack, run, {})


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def measure(kind: str, action: str, size: int, folder: Path) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", kind, action, str(size), str(folder)]
    environment = {**os.environ, "PULUMI_CONFIG_PASSPHRASE": "bench", "PULUMI_SKIP_UPDATE_CHECK": "true"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def figures(kind: str, size: int, runs: int) -> dict[str, Any]:
    """The least of every figure of every action."""
    found: dict[str, list[dict[str, float]]] = {action: [] for action in ACTIONS}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            for action in ACTIONS:
                found[action].append(measure(kind, action, size, Path(folder) / "b"))
    return {action: _least(samples) for action, samples in found.items()}


def _least(samples: list[dict[str, float]]) -> dict[str, float]:
    """The least of each: what else the machine does only ever adds."""
    return {key: round(min(sample[key] for sample in samples), 3) for key in samples[0]}


def with_sdk(found: Mapping[str, Any], size: int, runs: int, folder: Path) -> dict[str, Any]:
    """The figures, split into the SDK's part and the engine's."""
    sdk = _least([measure("sdk", "up", size, folder) for _ in range(runs)])

    def per_resource(action: str) -> float:
        beside = 0.0 if action == "destroy" else sdk["cpu_s"]
        return round((found[action]["cpu_s"] - beside) * 1000 / size, 3)

    split = {action: {**found[action], "engine_ms_per_resource": per_resource(action)} for action in ACTIONS}
    up, change = found["up"]["written_bytes"], found["change"]["written_bytes"]
    return {
        "sdk": sdk,
        **split,
        "written_per_created_resource": round(up / size),
        "written_for_one_change": round(change),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, action, size, folder = arguments.one
        one(kind, action, int(size), Path(folder))
    else:
        print(json.dumps(compared(arguments.sizes, arguments.runs), indent=2))


def compared(sizes: list[int], runs: int) -> dict[str, Any]:
    """The figures of every size and engine."""
    report: dict[str, Any] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            embedded = with_sdk(figures("embedded", size, runs), size, runs, Path(folder))
        chain = figures("chain", size, 1)
        report[str(size)] = {"embedded": embedded, "chain": {a: chain[a]["cpu_s"] for a in ACTIONS}}
        if shutil.which("pulumi"):
            pulumi = report[str(size)]["pulumi"] = figures("pulumi", size, runs)
            report[str(size)]["times_faster"] = {a: _ratio(pulumi[a], embedded[a], "total_s") for a in ACTIONS}
    report["example"] = example(runs)
    return report


def _ratio(slow: Mapping[str, float], fast: Mapping[str, float], key: str) -> float:
    return round(slow[key] / fast[key], 1)


def example(runs: int) -> dict[str, Any]:
    """Seconds of the example's commands that change nothing, as a person waits for them, with each engine."""
    engines = ["embedded", *(["pulumi"] if shutil.which("pulumi") else [])]
    with tempfile.TemporaryDirectory() as folder:
        projects = {engine: Path(folder) / engine for engine in engines}
        try:
            for engine, project in projects.items():
                project.mkdir()
                for name in ("agent.yaml", "prompts", "docs", "evals"):
                    source = ROOT / name
                    (shutil.copytree if source.is_dir() else shutil.copy)(source, project / name)
                seconds(project, "up", "--engine", engine)
            found = {
                # In turns, so that what else the machine does falls on both.
                command: _least([{e: seconds(p, command) for e, p in projects.items()} for _ in range(runs)])
                for command in ("up", "plan", "status")
            }
        finally:
            for project in projects.values():
                seconds(project, "destroy", "--yes")
    if len(engines) == 1:
        return found
    return {c: {**each, "times_faster": round(each["pulumi"] / each["embedded"], 1)} for c, each in found.items()}


def seconds(project: Path, *arguments: str) -> float:
    """How long one command takes. Ends the measurement where it fails."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "bedplate.cli.main", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
