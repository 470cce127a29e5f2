"""A run killed at every durable point loses nothing, doubles nothing and is finished by the next."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("size", ["small", "large"])
def test_sigkill_at_every_point_orphans_nothing_and_doubles_nothing(tmp_path: Path, size: str) -> None:
    """Whatever exists after SIGKILL stands in state or journal, and the next `up` ends where an unbroken one would.

    The same where the journal stays after a run, because the state is large.
    """
    killed_everywhere(tmp_path, size)


def killed_everywhere(folder: Path, size: str) -> None:
    """Kill a run at each point in turn, and hold what it leaves to what must be."""
    script = Path(__file__).parent / "engine_crash.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), size], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 20
    hold(results, done.stderr)


FILES = {"history.jsonl", "journal.jsonl.bak", "state.json", "state.json.bak", "state.json.sha256", "state.key"}


def hold(results: list[dict[str, Any]], said: str) -> None:
    """Nothing is unknown after a kill, and after the next `up` cloud and state are what they should be."""
    for result in results:
        assert result["status"] == 0, (result, said)
        assert result["unknown"] == [], result
        assert set(result["cloud"]) == {"new@", "changed@", "moved@y", "user@", "single@y"}, result
        assert result["state"] == sorted(result["cloud"]), result
        assert result["cloud"]["changed@"]["size"] == 2
        assert result["cloud"]["user@"]["refs"] == ["at/moved@y"]
        assert result["pending"] == 0
        staying = {"journal.jsonl"} & set(result["files"])
        assert set(result["files"]) | staying == FILES | staying, result
        assert all(later == number + 1 for later, number in pairwise(result["history"])), result
        assert not result["plain"]
