"""Random rows of edits of a stack on a fake cloud with faults, and what must hold after each; for tests of the engine.

A thing keeps its key (`a` … `d`) while its resource is renamed, moved into a component and out of it, all by aliases.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bedplate.engine import Options
from bedplate.problems import BedplateError
from engine_cloud import Bench, build

KEYS = ("a", "b", "c", "d")
BOX = "urn:pulumi:dev::shop::test:index:Component::box"
VERBS = ("create", "update", "delete", "read")


@dataclass(frozen=True)
class Edit:
    """One update: the program, which calls fail, how it is run, and what happens outside before it."""

    program: list[dict[str, Any]]
    fail: frozenset[tuple[str, str]]
    options: Options
    gone: frozenset[str]
    changed: frozenset[str]


def _aliases(key: str) -> list[dict[str, Any]]:
    return [{"name": name, "parent": parent} for name in (key, f"{key}2") for parent in (None, BOX)]


@st.composite
def programs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to four things, each referring to some of those before it, under one of two names, in the box or not."""
    specs: list[dict[str, Any]] = [{"name": "box", "type": "Component"}]
    before: dict[str, str] = {}
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        name = key + draw(st.sampled_from(("", "2")))
        props = {"name": key, "size": draw(st.integers(1, 2)), "zone": draw(st.sampled_from("xy"))}
        spec: dict[str, Any] = {"name": name, "props": props, "options": {"aliases": _aliases(key)}}
        # An Exclusive is used by none, as deleting it first leaves users behind.
        spec["type"] = "Exclusive" if key == "d" else "Thing"
        usable = [n for k, n in before.items() if k != "d"]
        if usable and draw(st.booleans()):
            spec["refs"] = draw(st.lists(st.sampled_from(usable), unique=True, min_size=1))
        if draw(st.booleans()):
            spec["parent"] = "box"
        specs.append(spec)
        before[key] = name
    return specs


options = st.builds(Options, parallel=st.sampled_from((1, 4)), continue_on_error=st.booleans(), refresh=st.just(True))
keys = st.frozensets(st.sampled_from(KEYS), max_size=2)
calls = st.frozensets(st.tuples(st.sampled_from(VERBS), st.sampled_from(KEYS)), max_size=2)
edits = st.lists(st.builds(Edit, programs(), calls, options, keys, keys), min_size=1, max_size=5)


def check(row: list[Edit]) -> None:
    """Whatever fails on the way: state and cloud agree, nothing came too early, the end is a fresh start's."""
    with tempfile.TemporaryDirectory() as folder:
        bench, fresh = Bench(Path(folder) / "dev", secrets=False), Bench(Path(folder) / "new", secrets=False)
        for edit in row:
            _meddle(bench, edit)
            _update(bench, edit)
        last = row[-1].program
        bench.cloud.fail = set()
        bench.engine.up(bench.stack, build(last), {}, options=Options(refresh=True))
        fresh.up(last)
        assert in_state(bench) == bench.cloud.things
        assert _shape(bench) == _shape(fresh)
        assert bench.cloud.violations == []
        assert {s.op for s in bench.up(last).steps} == {"same"}
        bench.engine.destroy(bench.stack)
        assert bench.cloud.things == {}


def _meddle(bench: Bench, edit: Edit) -> None:
    for id, thing in list(bench.cloud.things.items()):
        if thing["name"] in edit.gone:
            del bench.cloud.things[id]
        elif thing["name"] in edit.changed:
            thing["size"] = 9
    bench.cloud.fail = set(edit.fail)


def _update(bench: Bench, edit: Edit) -> None:
    before = dict(bench.cloud.things)
    zones = {t["name"]: (id, t["zone"]) for id, t in before.items()}
    try:
        bench.engine.up(bench.stack, build(edit.program), {}, options=edit.options)
    except BedplateError:
        if any(verb == "read" for verb, _ in edit.fail):
            return  # what could not be looked at is not known
    else:
        _check_identity(bench, edit, zones)
    assert in_state(bench) == bench.cloud.things
    assert misplaced(bench) == []


def misplaced(bench: Bench) -> list[str]:
    """What stands in the state, if there is one, before something that it needs; Pulumi takes no such state."""
    seen, found = set[str](), []
    there = (bench.stack.folder / "state.json").exists()
    for resource in bench.state()["resources"] if there else ():
        found += [f"{resource['urn']}: {urn}" for urn in resource.get("dependencies", ()) if urn not in seen]
        seen.add(resource["urn"])
    return found


def _check_identity(bench: Bench, edit: Edit, before: dict[str, tuple[str, str]]) -> None:
    """What was renamed or moved, and not replaced, is the same thing as before."""
    for spec in edit.program[1:]:
        key, zone = spec["props"]["name"], spec["props"]["zone"]
        if key in before and before[key][1] == zone:
            assert before[key][0] in bench.cloud.things


def in_state(bench: Bench) -> dict[str, dict[str, Any]]:
    """The things that the state says are there: their inputs by id."""
    custom = [r for r in bench.state()["resources"] if r["type"].startswith("test:index:") and r["custom"]]
    return {r["id"]: r["inputs"] for r in custom if not r.get("pendingReplacement")}


def _shape(bench: Bench) -> list[dict[str, Any]]:
    """Things without the numbers in their ids."""
    found = [
        {**t, "refs": sorted(r.rpartition("-")[0] for r in t.get("refs", ()))} for t in bench.cloud.things.values()
    ]
    return sorted(found, key=lambda thing: str(thing["name"]))
