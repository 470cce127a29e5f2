"""A journal that stays: what a run writes depends on what it changes, however large the state is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.journal import read_journal
from bedplate.engine.places import Folder
from bedplate.engine.storage import cut
from bedplate.problems import BedplateError
from engine_cloud import Bench, bench_in, ops, refused


def filler(size: int) -> list[dict[str, Any]]:
    """Resources that make a state of so many kilobytes, whatever else is in it."""
    return [{"name": f"f{number}", "props": {"text": "x" * 10_000}} for number in range(size // 20)]


def lasting(tmp_path: Path, size: int = 60) -> tuple[Bench, list[dict[str, Any]]]:
    """A bench with a state of that size, and runs in its journal that made `a`, `b` and `c`."""
    bench, program = bench_in(tmp_path), filler(size)
    bench.up(program)
    for name in "abc":
        program = [*program, {"name": name}]
        bench.up(program)
    return bench, program


def names(bench: Bench) -> set[str]:
    """The small resources that the state knows."""
    return {r.name for r in bench.engine.resources(bench.stack)} & set("abcde")


def written(bench: Bench) -> dict[str, tuple[int, int]]:
    """Inode and size of each file."""
    return {p.name: (p.stat().st_ino, p.stat().st_size) for p in bench.stack.folder.iterdir()}


def test_what_a_change_writes_does_not_grow_with_the_state(tmp_path: Path) -> None:
    """The state is not touched; the journal gets the same bytes in a state that is ten times as large."""
    grown = []
    for size in (60, 600):
        bench, program = lasting(tmp_path / str(size), size)
        before = written(bench)
        bench.up([*program[:-1], {"name": "c", "props": {"size": 2}}])
        after = written(bench)
        assert after["state.json"] == before["state.json"]
        grown.append(sum(size for _, size in after.values()) - sum(size for _, size in before.values()))
    assert 0 < grown[0] < 4000
    assert abs(grown[1] - grown[0]) < 40


def test_a_run_without_changes_writes_nothing(tmp_path: Path) -> None:
    """Also where there is a journal: every file is the one that it was, byte for byte."""
    bench, program = lasting(tmp_path)
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in bench.stack.folder.iterdir()}
    assert {s.op for s in bench.up(program).steps} == {"same"}
    assert {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in bench.stack.folder.iterdir()} == before


def test_a_journal_that_has_outgrown_its_share_goes_into_the_state(tmp_path: Path) -> None:
    """It never gets longer than half of the state and a run; what is exported is the same before and after."""
    bench, program = lasting(tmp_path)
    journal, folder = bench.stack.folder / "journal.jsonl", bench.stack.folder
    absorbed = 0
    for number in range(40):
        inode = (folder / "state.json").stat().st_ino
        bench.up([*program, {"name": "d", "props": {"size": number}}])
        folded = (folder / "state.json").stat().st_ino != inode
        assert journal.exists() != folded
        assert folded or journal.stat().st_size <= (folder / "state.json").stat().st_size / 2
        absorbed += folded
        document = bench.engine.export_state(bench.stack)["deployment"]
        assert document["resources"][-1]["inputs"]["size"] == number
    assert absorbed in {1, 2}
    assert [u.number for u in bench.engine.history(bench.stack)] == list(range(44, 0, -1))


def test_the_end_of_the_stack_leaves_no_journal(tmp_path: Path) -> None:
    """Destroyed, imported over, taken elsewhere: a journal that stayed is in none of it any more."""
    bench, program = lasting(tmp_path)
    document = bench.engine.export_state(bench.stack)
    bench.engine.import_state(bench.stack, document)
    assert not (bench.stack.folder / "journal.jsonl").exists()
    assert {s.op for s in bench.up(program).steps} == {"same"}
    bench.up([*program, {"name": "d"}])
    assert (bench.stack.folder / "journal.jsonl").exists()
    bench.engine.destroy(bench.stack)
    assert [p.name for p in bench.stack.folder.iterdir()] == ["history.jsonl"]
    assert bench.cloud.things == {}


def test_a_run_that_fails_or_dies_goes_on_from_the_journal(tmp_path: Path) -> None:
    """A failed run stays in the journal as well; secrets in it can be read with the key that it made."""
    bench, program = lasting(tmp_path)
    bench.cloud.fail = {("create", "e")}
    secret = {"name": "d", "secret": ["code"], "props": {"code": "geheim"}}
    with pytest.raises(BedplateError):
        bench.up([*program, secret, {"name": "e", "after": ["d"]}])
    assert "geheim" not in (bench.stack.folder / "journal.jsonl").read_text()
    bench.cloud.fail = set()
    assert "create e" in ops(bench.up([*program, secret, {"name": "e", "after": ["d"]}]))
    assert names(bench) == set("abcde")
    assert [u.result for u in bench.engine.history(bench.stack)][:2] == ["succeeded", "failed"]


def test_a_run_is_noted_once_whatever_is_noted_after_it(tmp_path: Path) -> None:
    """A run that failed without doing anything stands in the history only: none before it is noted again."""
    bench, program = lasting(tmp_path)

    def fails() -> None:
        raise ValueError("no")

    refused(lambda: bench.engine.up(bench.stack, fails, {}), "BP201")
    bench.up(program)
    bench.up(program)
    found = bench.engine.history(bench.stack)
    assert [(u.number, u.result) for u in found] == [
        (5, "failed"),
        *((number, "succeeded") for number in (4, 3, 2, 1)),
    ]


def test_a_journal_that_lacks_a_run_in_its_middle_is_refused(tmp_path: Path) -> None:
    """Each run names the one before it, so that none can be taken out."""
    bench, program = lasting(tmp_path)
    path = bench.stack.folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    first, second, third = [number for number, line in enumerate(lines) if b'{"journal":' in line]
    assert first == 0
    path.write_bytes(b"".join([*lines[:second], *lines[third:]]))
    assert str(refused(lambda: bench.up(program), "BP211").where).endswith(f"journal.jsonl:{second + 1}")
    bench.engine.repair(bench.stack)
    assert names(bench) == {"a", "c"}


def test_a_journal_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Cut at a line or within one, or gone: what ended is missing, so nothing is believed until it is repaired."""
    bench, program = lasting(tmp_path)
    path = bench.stack.folder / "journal.jsonl"
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 10]
    place = Folder(bench.stack.folder)
    for size in {0, *ends[:-1], *range(1, len(whole) - 2, 17)}:
        path.write_bytes(whole[:size])
        files = place.read()
        assert cut(files, read_journal(files.journal, "j")), size
    refused(lambda: bench.engine.resources(bench.stack), "BP211")
    path.unlink()
    refused(lambda: bench.up(program), "BP211")
    path.write_bytes(whole[: ends[len(ends) // 2]])
    assert "ends before" in bench.engine.repair(bench.stack, preview=True)[0]
    bench.engine.repair(bench.stack)
    assert {"a"} <= names(bench) < set("abc")
    assert bench.engine.repair(bench.stack) == ()
    assert (bench.stack.folder / "journal.jsonl.damaged-1").read_bytes() == whole[: ends[len(ends) // 2]]


def test_a_flipped_byte_in_the_journal_costs_no_more_than_its_run(tmp_path: Path) -> None:
    """Wherever it is: refused; a repair keeps the runs before and after the one that is damaged."""
    bench, _ = lasting(tmp_path)
    path = bench.stack.folder / "journal.jsonl"
    whole = path.read_bytes()
    second = whole.index(b'["', whole.index(b'"ended"'))
    for index in range(0, len(whole), 61):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1 << index % 8]) + whole[index + 1 :])
        refused(lambda: bench.engine.resources(bench.stack), "BP211")
    at = whole.index(b"creating", second)
    path.write_bytes(whole[:at] + b"creeping" + whole[at + 8 :])
    bench.engine.repair(bench.stack)
    assert names(bench) == {"a", "c"}


@pytest.mark.parametrize("journals", ["past", "past and present", "present cut"])
def test_a_damaged_state_is_made_again_without_loss(journals: str, tmp_path: Path) -> None:
    """From the backup, the journal that led from it to the state, and the journal of now."""
    bench, program = lasting(tmp_path)
    folder = bench.stack.folder
    bench.up([*program, *({"name": f"g{n}", "props": {"text": "y" * 9000}} for n in range(3))])
    assert not (folder / "journal.jsonl").exists()
    if journals != "past":
        program = [*program, {"name": "d"}]
        bench.up([*program, *({"name": f"g{n}", "props": {"text": "y" * 9000}} for n in range(3))])
        assert (folder / "journal.jsonl").exists()
    state = (folder / "state.json").read_bytes()
    (folder / "state.json").write_bytes(state[: len(state) // 2])
    if journals == "present cut":
        path = folder / "journal.jsonl"
        path.write_bytes(path.read_bytes()[:-300])
    refused(lambda: bench.up(program), "BP211")
    bench.engine.repair(bench.stack)
    made = {r.name for r in bench.engine.resources(bench.stack)}
    assert {"a", "b", "c", "g0", "g1", "g2"} <= made
    assert ("d" in made) == (journals != "past")
    assert bench.engine.repair(bench.stack) == ()


@pytest.mark.parametrize("runs", ["one", "two", "many"])
def test_a_flipped_byte_beside_the_journal_costs_nothing(runs: str, tmp_path: Path) -> None:
    """In the state, its backup, their sums or the journal of the past: refused or not, a repair has every resource."""
    bench = lasting(tmp_path)[0] if runs == "many" else bench_in(tmp_path)
    for program in {"one": ["ab"], "two": ["a", "ab"]}.get(runs, ()):
        bench.up([{"name": name} for name in program])
    folder, aside = bench.stack.folder, tmp_path / "whole"
    right, mended = {r.urn for r in bench.engine.resources(bench.stack)}, 0
    shutil.copytree(folder, aside)
    for name in ("state.json", "state.json.bak", "state.json.sha256", "journal.jsonl.bak"):
        data = (aside / name).read_bytes()
        for index in range(0, len(data), max(1, len(data) // 60)):
            (folder / name).write_bytes(data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :])
            mended += bool(bench.engine.repair(bench.stack))
            assert {r.urn for r in bench.engine.resources(bench.stack)} == right, (name, index)
            shutil.rmtree(folder)
            shutil.copytree(aside, folder)
    assert mended > 60


def test_a_state_that_was_imported_is_not_taken_for_an_older_one(tmp_path: Path) -> None:
    """What was imported over a damaged state stands in no journal: the old one does not make its state again."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.up([{"name": "a"}, {"name": "b"}])
    document, folder = bench.engine.export_state(bench.stack), bench.stack.folder
    del document["deployment"]["resources"][-1]
    (folder / "state.json").write_bytes(b"{")
    bench.engine.import_state(bench.stack, document)
    (folder / "state.json").write_bytes(b"{")
    assert "the state before the last update" in bench.engine.repair(bench.stack)[0]
    assert names(bench) == {"a"}


def test_a_past_journal_of_another_state_is_not_used(tmp_path: Path) -> None:
    """Where it does not lead from the backup to the state, the backup alone takes the state's place."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    stale = (bench.stack.folder / "journal.jsonl.bak").read_bytes()
    bench.up([{"name": "a"}, {"name": "b"}])
    bench.up([{"name": "a"}, {"name": "b"}, {"name": "c"}])
    (bench.stack.folder / "journal.jsonl.bak").write_bytes(stale)
    (bench.stack.folder / "state.json").write_bytes(b"{")
    bench.engine.repair(bench.stack)
    assert names(bench) == {"a", "b"}
