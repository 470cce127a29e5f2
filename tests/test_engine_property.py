"""Random rows of edits on the embedded engine: whatever happens, cloud, state and a fresh deployment agree."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedplate.problems import BedplateError
from engine_cloud import Bench, build
from engine_edits import in_state

NAMES = ("a", "b", "c", "d")


@st.composite
def programs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to four resources, each referring to some of those before it, some in a component."""
    specs: list[dict[str, Any]] = []
    boxed = draw(st.booleans())
    if boxed:
        specs.append({"name": "box", "type": "Component"})
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        before = [s["name"] for s in specs if s["name"] != "box"]
        spec: dict[str, Any] = {
            "name": name,
            "type": "Exclusive" if name == "d" else "Thing",
            "props": {"size": draw(st.integers(1, 2)), "zone": draw(st.sampled_from("xy"))},
        }
        # Addresses come from others; an Exclusive is used by none, as deleting it first leaves users behind.
        usable = [n for n in before if n != "d"]
        if usable and draw(st.booleans()):
            spec["refs"] = draw(st.lists(st.sampled_from(usable), unique=True, min_size=1))
        if boxed and draw(st.booleans()):
            spec["parent"] = "box"
        specs.append(spec)
    return specs


failures = st.sets(st.tuples(st.sampled_from(("create", "update", "delete")), st.sampled_from(NAMES)), max_size=2)
edits = st.lists(st.tuples(programs(), failures), min_size=1, max_size=4)


def _shape(things: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Things without the numbers in their ids."""
    found = [{**t, "refs": sorted(r.rpartition("-")[0] for r in t.get("refs", ()))} for t in things.values()]
    return sorted(found, key=lambda thing: str(thing["name"]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_cloud_state_and_a_fresh_deployment_agree_after_any_row_of_edits(row: list[tuple[Any, Any]]) -> None:
    """After every update, failed or not, state and cloud hold the same; and no step came before what it needs."""
    with tempfile.TemporaryDirectory() as folder:
        bench, fresh = Bench(Path(folder) / "dev", secrets=False), Bench(Path(folder) / "new", secrets=False)
        for program, fail in row:
            bench.cloud.fail = fail
            # Whether a failure is met depends on the program.
            with suppress(BedplateError):
                bench.up(program)
            assert in_state(bench) == bench.cloud.things
        bench.cloud.fail = set()
        bench.up(row[-1][0])
        fresh.up(row[-1][0])
        assert in_state(bench) == bench.cloud.things
        assert _shape(bench.cloud.things) == _shape(fresh.cloud.things)
        assert bench.cloud.violations == []
        before = (bench.stack.folder / "state.json").stat()
        assert {s.op for s in bench.up(row[-1][0]).steps} == {"same"}
        assert (bench.stack.folder / "state.json").stat() == before
        bench.engine.destroy(bench.stack)
        assert bench.cloud.things == {}


@settings(max_examples=30)
@given(programs(), programs())
def test_a_preview_foretells_the_update(first: list[Any], second: list[Any]) -> None:
    """The operations of a preview are those of the update that follows, on any two programs."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "dev", secrets=False)
        for program in (first, second):
            foreseen = sorted((s.op, s.urn) for s in bench.engine.preview(bench.stack, build(program), {}).steps)
            assert foreseen == sorted((s.op, s.urn) for s in bench.up(program).steps)
