"""The example of this repository: its gate passes, and fails when the search is broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_support import bedplate, ok

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the example, brought up."""
    folder = tmp_path_factory.mktemp("example")
    for name in ("docs", "prompts", "evals"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "agent.yaml", folder)
    ok(folder, "up")
    yield folder
    bedplate(folder, "destroy", "--yes")


def test_the_gates_pass(example: Path) -> None:
    """At least 120 questions written from the documentation are asked, and every gate passes."""
    (suite,) = ok(example, "eval", "--json").json["suites"]
    assert suite["dataset"]["cases"] >= 120
    assert {gate["outcome"] for gate in suite["gates"]} == {"PASS"}


def test_the_gate_fails_when_search_is_broken(example: Path) -> None:
    """With an index whose passages say nothing, the same evals fail their gate with exit code 4."""
    import sqlite3

    index = example / ".bedplate/prototype/index/docs.db"
    whole = index.read_bytes()
    with sqlite3.connect(index) as db:
        passages = db.execute("SELECT count(*) FROM passage").fetchone()[0]
        db.execute("UPDATE passage SET text = 'Nothing of use stands here.'")
    assert passages > 100
    restart_gateway(example)
    failed = bedplate(example, "eval")
    index.write_bytes(whole)
    restart_gateway(example)
    assert failed.code == 4, failed.out + failed.err
    assert ok(example, "eval").code == 0


def restart_gateway(folder: Path) -> None:
    """Kill the gateway; its supervisor starts it again, and it opens the index anew."""
    import os
    import signal

    processes = bedplate(folder, "status", "--json").json["processes"]
    os.kill(next(p["pid"] for p in processes if p["name"] == "gateway"), signal.SIGTERM)
    ok(folder, "ask", "What is a grant?")
