"""Every case of resource semantics on both engines: the same steps, outputs, refusals and exported state.

Needs the Pulumi CLI on PATH. The types are those of the tests, served to the CLI from this process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from pulumi.runtime.proto import provider_pb2_grpc

from bedplate.engine import EmbeddedEngine, StackRef
from bedplate.engine.packages import InProcess, Provider
from bedplate.engine.pulumi import PulumiEngine
from bedplate.engine.serving import Package, Servicer
from bedplate.problems import BedplateError
from engine_cloud import Cloud, PlainExclusive, PlainThing, ops
from engine_programs import RegionalProvider, build, write
from pulumi_support import environment, needs_cli
from test_engine_semantics import CASES, agrees

# What each engine writes for itself: times, the places in the program, and what only one of them asks for.
_OWN = {"created", "modified", "sourcePosition", "stackTrace", "aliases"}


@contextmanager
def _served(name: str, provider: Provider) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(32))
    package = Package(name, "1.0.0", lambda: {"name": name, "version": "1.0.0"})
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(provider, package), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"{name}:{port}"
    finally:
        server.stop(None)


def _types(cloud: Cloud) -> dict[str, Any]:
    return {kind.type: kind for kind in (PlainThing(cloud), PlainExclusive(cloud))}


def _told(engine: Any, folder: Path, cloud: Cloud, update: dict[str, Any]) -> dict[str, Any]:
    """What an update does, or that it is refused, and what the state says afterwards."""
    stack = StackRef("shop", update.get("stack", "dev"), folder / update.get("stack", "dev"))
    cloud.fail = {tuple(call) for call in update.get("fail", ())}
    cloud.failing = dict(update.get("failing", {}))
    cloud.calls.clear()
    heard: list[str] = []
    try:
        if "destroy" in update:
            return {"steps": sorted(ops(engine.destroy(stack))), "cloud": _cloud(cloud)}
        program = build(update["program"], update.get("exports"), folder.parent / "files", heard)
        outcome = engine.up(stack, program, update.get("config", {}))
    except BedplateError:
        return {"refused": True, "cloud": _cloud(cloud), "heard": sorted(heard)}
    told = ops(outcome) if update.get("ordered") else sorted(ops(outcome))
    state = _normal(engine.export_state(stack)["deployment"]["resources"])
    return {
        "saved": {resource["urn"].split("::")[-1]: resource for resource in state},
        "calls": [list(call) for call in cloud.calls if call[0] in {"create", "update", "delete"}],
        "steps": told,
        "outputs": dict(outcome.outputs),
        "state": state,
        "cloud": _cloud(cloud),
        "heard": sorted(heard),
    }


def _cloud(cloud: Cloud) -> list[str]:
    return sorted(id.rpartition("-")[0] for id in cloud.things)


def _normal(value: Any) -> Any:
    """The state without what differs from run to run: times, made-up ids, ciphertexts, the order of the unordered."""
    match value:
        case {"ciphertext": _}:
            return "[secret]"
        case {"urn": str(urn)}:
            kept = {k: _normal(v) for k, v in value.items() if k not in _OWN and v not in ({}, [], None)}
            if value["type"].startswith("pulumi:providers:"):
                kept.pop("id", None)
            return kept | {"urn": urn}
        case dict():
            return {k: _normal(v) for k, v in value.items()}
        case list():
            return sorted(map(_normal, value), key=repr)
        case str():
            return re.sub(r"(?<=-)\d+$|(?:(?<=::)|^)[0-9a-f-]{36}$", "N", value)
        case _:
            return value


@needs_cli
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_both_engines_do_the_same(case: dict[str, Any], tmp_path: Path) -> None:
    """After every update of the case steps, outputs, cloud and state are the same, or both refuse.

    Where Pulumi does something else, the case says what (`pulumi` of the update) and why (`pulumi` of the case): that
    is what it does, and what ours does is not; there the case ends.
    """
    ours, theirs = Cloud(), Cloud()
    for cloud in (ours, theirs):
        cloud.things.update({id: dict(thing) for id, thing in case.get("exists", {}).items()})
    with ExitStack() as stack:
        test = stack.enter_context(_served("test", InProcess(_types(theirs))))
        regional = stack.enter_context(_served("regional", RegionalProvider(theirs)))
        variables = {**environment(tmp_path), "PULUMI_DEBUG_PROVIDERS": f"{test},{regional}"}
        # One backend for all stacks of a case, as for those of a project.
        variables["PULUMI_BACKEND_URL"] = f"file://{tmp_path / 'backend'}"
        (tmp_path / "backend").mkdir()
        own = {"regional": lambda: RegionalProvider(ours)}
        embedded = EmbeddedEngine(_types(ours), environment={}, providers=own)
        for update in case["updates"]:
            write(update.get("files", {}), tmp_path / "files")
            wanted = _told(PulumiEngine(environment=variables), tmp_path / "cli", theirs, update)
            found = _told(embedded, tmp_path / "own", ours, update)
            # Which of two calls that need not wait for each other comes first is no matter.
            for each in (found, wanted):
                each.get("calls", []).sort()
            if "pulumi" in update:
                assert (agrees(update["pulumi"], wanted), agrees(update["pulumi"], found)) == (True, False), wanted
                return
            assert found == wanted
