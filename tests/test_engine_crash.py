"""A run killed at every durable point loses nothing, doubles nothing and is finished by the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def test_sigkill_at_every_point_orphans_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Whatever exists after SIGKILL stands in state or journal, and the next `up` ends where an unbroken one would."""
    script = Path(__file__).parent / "engine_crash.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 20
    hold(results, done.stderr)


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
        assert result["files"] == [
            "history.jsonl",
            "state.json",
            "state.json.bak",
            "state.json.sha256",
            "state.key",
        ]
        assert not result["plain"]
