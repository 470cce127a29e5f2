"""Long proofs of the state: kills at random times, every flipped byte, many races for a bucket."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bedplate.problems import BedplateError
from engine_cloud import Bench, bench_in
from test_engine_bucket import test_of_runs_that_race_and_stall_no_acknowledged_line_is_lost as race
from test_engine_crash import hold, killed_everywhere
from test_engine_files import journal_of

TESTS = Path(__file__).resolve().parent.parent


def test_a_first_run_killed_at_every_point_orphans_and_doubles_nothing(tmp_path: Path) -> None:
    """Where nothing was there before, neither a state nor its backup."""
    killed_everywhere(tmp_path, "first")


@pytest.mark.parametrize("size", ["first", "small", "large"])
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_times_lose_and_double_nothing(seed: int, size: str, tmp_path: Path) -> None:
    """Forty runs, each killed twice on its way (also while it resumes): the third ends where an unbroken one would."""
    command = [sys.executable, str(TESTS / "engine_crash.py"), str(tmp_path), size, "40", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == 40
    hold(results, done.stderr)


@pytest.mark.parametrize("name", ["state.json", "journal.jsonl"])
def test_every_byte_of_the_state_is_held_to_what_was_written(name: str, tmp_path: Path) -> None:
    """Each byte in turn gets another value, and is cut off: refused, or without any consequence. Never believed."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.up([{"name": "a"}, {"name": "b"}])
    folder = bench.stack.folder
    base = hashlib.sha256((folder / "state.json").read_bytes()).hexdigest()
    drop = ["drop", "urn:pulumi:dev::shop::test:index:Thing::a", ""]
    (folder / "journal.jsonl").write_bytes(journal_of(base, drop))
    right = [r.urn for r in bench.engine.resources(bench.stack)]
    path, refused = folder / name, 0
    whole = path.read_bytes()
    step = 1 if name == "journal.jsonl" else 7
    for index in range(0, len(whole), step):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1 << index % 8]) + whole[index + 1 :])
        code, urns = read(bench)
        assert code in {"BP211", "BP215"} or urns == right, index
        refused += bool(code)
    assert refused > len(whole) / step * 0.9


def read(bench: Bench) -> tuple[str, list[str]]:
    """The code of the refusal, or what is read."""
    try:
        return "", [r.urn for r in bench.engine.resources(bench.stack)]
    except BedplateError as error:
        return error.problems[0].code, []


@pytest.mark.parametrize("seed", range(100, 400))
def test_of_many_runs_that_race_for_a_bucket_none_loses_a_line(seed: int, tmp_path: Path) -> None:
    """Three hundred more schedules of machines that stall, lose their lease and their answers."""
    race(seed, tmp_path)
