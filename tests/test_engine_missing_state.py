"""A `state.json` that is gone: refused as long as anything says that it was there, and made again by a repair."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bedplate.engine import EmbeddedEngine
from bedplate.engine.bucket import Bucket
from bedplate.engine.places import Folder
from engine_cloud import Bench, bench_in, ops, refused
from engine_objects import FakeObjects

REST = ("state.json.bak", "state.json.sha256", "journal.jsonl.bak", "journal.jsonl")


def specs(count: int, edits: int) -> list[dict[str, object]]:
    """A program whose first resources were each changed once."""
    return [{"name": f"t{n}", "props": {"label": ("y" if n < edits else "x") * 300}} for n in range(count)]


def deployed(bench: Bench, count: int, runs: int) -> list[dict[str, object]]:
    """Update as often as that; the last program."""
    for edits in range(runs):
        bench.up(specs(count, edits))
    return specs(count, runs - 1)


@pytest.mark.parametrize(("count", "runs"), [(3, 1), (3, 3), (60, 1), (60, 3)])
def test_a_missing_state_is_refused_and_mended_without_loss(count: int, runs: int, tmp_path: Path) -> None:
    """After one run or several, with a journal that stays or not: nothing is made twice, and nothing is forgotten."""
    bench = bench_in(tmp_path)
    last, state = deployed(bench, count, runs), bench.stack.folder / "state.json"
    assert bench.stack.folder.joinpath("journal.jsonl").exists() == (count > 3 and runs > 1)
    state.unlink()
    problem = refused(lambda: bench.up(last), "BP211")
    assert problem.summary == "state.json is missing"
    assert "state repair" in problem.fix
    for call in (lambda: bench.preview(last), lambda: bench.engine.destroy(bench.stack)):
        refused(call, "BP211")
    refused(lambda: bench.engine.outputs(bench.stack), "BP211")
    foreseen = bench.engine.repair(bench.stack, preview=True)
    assert foreseen[0].startswith("state.json is missing: ")
    assert "nothing is lost" in foreseen[0]
    assert not state.exists()
    assert bench.engine.repair(bench.stack) == foreseen
    assert {step.op for step in bench.up(last).steps} == {"same"}
    assert len(bench.cloud.things) == count
    assert bench.engine.repair(bench.stack) == ()


@pytest.mark.parametrize("left", REST)
def test_what_is_left_of_a_state_is_enough_to_refuse(left: str, tmp_path: Path) -> None:
    """Each file beside it alone. Without any it is a new stack; where it cannot be made again the fix says how."""
    bench = bench_in(tmp_path)
    last = deployed(bench, 60, 3)
    (bench.stack.folder / "journal.jsonl.bak").write_bytes((bench.stack.folder / "journal.jsonl").read_bytes())
    for name in {"state.json", *REST} - {left}:
        (bench.stack.folder / name).unlink()
    refused(lambda: bench.up(last), "BP211")
    if left != "state.json.bak":
        fix = refused(lambda: bench.engine.repair(bench.stack), "BP211").fix
        assert "state.json or journal.jsonl" in fix
    (bench.stack.folder / left).unlink()
    assert ops(bench.preview([{"name": "a"}])) == ["create a"]


def test_a_journal_of_a_first_run_is_a_whole_state(tmp_path: Path) -> None:
    """It stands on no state: what is in it, kept as the journal of the past, makes the state again."""
    bench = bench_in(tmp_path)
    last = deployed(bench, 3, 1)
    for name in ("state.json", "state.json.bak", "state.json.sha256"):
        (bench.stack.folder / name).unlink()
    refused(lambda: bench.up(last), "BP211")
    assert "made again from journal.jsonl.bak" in bench.engine.repair(bench.stack)[0]
    assert {step.op for step in bench.up(last).steps} == {"same"}


def test_an_import_takes_the_place_of_a_missing_state(tmp_path: Path) -> None:
    """A copy of one's own is the other way on."""
    bench = bench_in(tmp_path)
    last = deployed(bench, 60, 3)
    document = bench.engine.export_state(bench.stack)
    (bench.stack.folder / "state.json").unlink()
    kept = bench.engine.import_state(bench.stack, json.loads(json.dumps(document)))
    assert [Path(path).name for path in kept] == ["journal.jsonl.damaged-1"]
    assert {step.op for step in bench.up(last).steps} == {"same"}


@pytest.mark.parametrize("name", ["state.json", *REST[:3]])
def test_a_stack_whose_last_files_a_crash_left_begins_anew(name: str, tmp_path: Path) -> None:
    """A destroy that ends at any of its files leaves none that names a state which is not there."""
    bench = bench_in(tmp_path)
    deployed(bench, 3, 2)
    path, kept = bench.stack.folder / name, []

    class Ending(Folder):
        """A folder in which one file cannot be removed."""

        def erase(self) -> None:
            kept.append(path.read_bytes())
            path.unlink()
            path.mkdir()
            super().erase()

    engine = EmbeddedEngine(bench.engine._registry, environment={}, place=lambda stack: Ending(stack.folder))
    with pytest.raises(OSError, match=re.escape(name)):
        engine.destroy(bench.stack)
    path.rmdir()
    path.write_bytes(kept[0])
    assert ops(bench.up([{"name": "a"}])) == ["create a"]
    bench.engine.destroy(bench.stack)
    assert [left.name for left in bench.stack.folder.iterdir()] == ["history.jsonl"]


def test_a_missing_state_in_a_bucket_is_refused_and_mended(tmp_path: Path) -> None:
    """As in a folder, from the backup: a copy after the first run, and the state before the last one afterwards."""
    objects = FakeObjects()
    bench = Bench(tmp_path / "dev", secrets=False)
    bench.engine = EmbeddedEngine(
        bench.engine._registry, environment={}, place=lambda stack: Bucket(objects, stack.folder)
    )
    for program in ([{"name": "a"}], [{"name": "a"}, {"name": "b"}]):
        bench.up(program)
        objects.delete("state.json")
        assert refused(lambda program=program: bench.up(program), "BP211").summary == "state.json is missing"
        assert bench.engine.repair(bench.stack)[0].startswith("state.json is missing: state.json.bak, ")
        assert bench.engine.resources(bench.stack)[1].name == "a"
    bench.engine.destroy(bench.stack)
    assert ops(bench.up([{"name": "a"}])) == ["create a"]
