"""`state.key` and `lock.json` as they should not be, and a key that outlives its state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine_cloud import bench_in, ops, refused


def test_an_export_can_be_imported_after_a_destroy(tmp_path: Path) -> None:
    """The key stays, and a next state of the stack has the same passphrase; without the file BP214 says what is due."""
    bench = bench_in(tmp_path, secrets=True)
    bench.up([{"name": "a"}])
    document, key = bench.engine.export_state(bench.stack), bench.stack.folder / "state.key"
    passphrase = key.read_text().splitlines()[0]
    bench.engine.destroy(bench.stack)
    assert sorted(path.name for path in bench.stack.folder.iterdir()) == ["history.jsonl", "state.key"]
    bench.up([{"name": "b"}])
    assert key.read_text().splitlines()[0] == passphrase
    assert key.stat().st_mode & 0o777 == 0o600
    bench.engine.destroy(bench.stack)
    bench.engine.import_state(bench.stack, document)
    shown = bench.engine.export_state(bench.stack, show_secrets=True)
    assert "hunter2-a-1" in json.dumps(shown)
    key.unlink()
    problem = refused(lambda: bench.engine.import_state(bench.stack, document), "BP214")
    assert "state.key of that time" in problem.fix


def test_a_key_that_cannot_be_written_is_no_fault_of_a_resource_type(tmp_path: Path) -> None:
    """A folder in its place: BP213 names the file; once it is gone the update ends what it began."""
    bench = bench_in(tmp_path, secrets=True)
    key = bench.stack.folder / "state.key"
    key.mkdir(parents=True)
    assert "cannot write state.key" in refused(lambda: bench.up([{"name": "a"}]), "BP213").summary
    key.rmdir()
    bench.up([{"name": "a"}])
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "BP214"), (b"\xff\xfe", "BP214"), (b"wrong\n", "BP214"), (None, "BP214")],
    ids=["empty", "no text", "another passphrase", "a folder"],
)
def test_a_damaged_key_file_is_refused_by_name(content: bytes | None, code: str, tmp_path: Path) -> None:
    """Whatever stands in its place, the error is about the secrets of the state, and names the file."""
    bench = bench_in(tmp_path, secrets=True)
    bench.up([{"name": "a"}])
    key = bench.stack.folder / "state.key"
    whole = key.read_bytes()
    key.unlink()
    if content is None:
        key.mkdir()
    else:
        key.write_bytes(content)
    problem = refused(lambda: bench.up([{"name": "a"}]), code)
    assert "state.key" in f"{problem.summary} {problem.fix}"
    if content is not None:
        key.write_bytes(whole)
        assert ops(bench.up([{"name": "a"}])) == ["same a"]


@pytest.mark.parametrize("cached", ["", " ", " zz", " 00"])
def test_a_salt_without_its_key_costs_only_time(cached: str, tmp_path: Path) -> None:
    """The passphrase beside it gives the key as well."""
    bench = bench_in(tmp_path, secrets=True)
    bench.up([{"name": "a"}])
    key = bench.stack.folder / "state.key"
    passphrase, line = key.read_text().splitlines()
    key.write_text(f"{passphrase}\n{line.split()[0]}{cached}\n")
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


FOREIGN = {"host": "elsewhere.invalid", "expires_at": 9e12}


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (FOREIGN, "process unknown of unknown on elsewhere.invalid"),
        ({**FOREIGN, "expires_at": "soon"}, "a file that does not say until when"),
        ({**FOREIGN, "expires_at": None}, "a file that does not say until when"),
        ({"host": 7, "expires_at": [1]}, "a file that does not say until when"),
        ({"pid": 1}, "a file that does not say until when"),
    ],
)
def test_rubbish_in_a_lock_of_another_machine_is_refused_as_a_lock(
    lock: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """It may be held: nobody goes on before a person has looked."""
    bench = bench_in(tmp_path)
    bench.stack.folder.mkdir()
    (bench.stack.folder / "lock.json").write_text(json.dumps(lock))
    assert said in refused(lambda: bench.up([{"name": "a"}]), "BP210").summary
    (bench.stack.folder / "lock.json").unlink()
    bench.up([{"name": "a"}])


@pytest.mark.parametrize("content", ["", "{", "[" * 5000, "[]", "7"])
def test_a_lock_file_that_was_cut_short_is_not_in_the_way(content: str, tmp_path: Path) -> None:
    """Its owner died while it wrote its name, or it never was a lock."""
    bench = bench_in(tmp_path)
    bench.stack.folder.mkdir()
    (bench.stack.folder / "lock.json").write_text(content)
    assert ops(bench.up([{"name": "a"}])) == ["create a"]
