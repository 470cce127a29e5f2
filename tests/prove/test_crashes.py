"""kill -9 of `bedplate up` at many moments: what it leaves is always something that the next `up` can finish."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from cli_support import COMMAND, bedplate, ok, pids_of
from stage_support import Stage

QUESTION = "How long do I have to return an order?"
SEED = 20250


def killed_up(folder: Path, after: float) -> None:
    """`up`, killed after so many seconds if it is still at work."""
    process = subprocess.Popen([*COMMAND, "up"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_whole(found: Stage, what: str) -> None:
    """After `up`, one of each process, healthy, answering, and nothing pending. `what` was done before."""
    again = bedplate(found.folder, "up")
    assert again.code == 0, f"{what}: {again.err}"
    status = found.status()
    assert status["healthy"], what
    assert sorted(p["name"] for p in status["processes"]) == ["agent", "gateway", "sink"], what
    supervisors = [pid for pid in pids_of(found.folder) if "supervisor" in _line(pid)]
    assert len(supervisors) == 1, what
    assert "60 days" in found.answer(QUESTION), what
    assert bedplate(found.folder, "plan").code == 0, what


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def project(folder: Path) -> tuple[Stage, float]:
    """The scaffolded support agent, down, and the seconds that an `up` of it takes."""
    ok(folder, "init", ".", "--template", "support", "--intent", "product", "--name", "support")
    found = Stage(folder)
    began = time.monotonic()
    ok(folder, "up")
    return found, time.monotonic() - began


@pytest.mark.parametrize("part", range(3))
def test_first_up_killed(tmp_path: Path, part: int) -> None:
    """Five times: a first `up`, killed anywhere, is finished by the next, and `destroy` leaves nothing."""
    chance = random.Random(SEED + part)
    found, seconds = project(tmp_path)
    found.destroy()
    for _ in range(5):
        after = chance.uniform(0, seconds)
        killed_up(tmp_path, after)
        if chance.random() < 0.3:
            found.destroy()
        is_whole(found, f"killed after {after:.3f} s of {seconds:.3f}")
        found.destroy()


@pytest.mark.parametrize("part", range(3))
def test_changing_up_killed(tmp_path: Path, part: int) -> None:
    """Five times: an `up` that changes gateway, agent and documents, killed anywhere, is finished by the next.

    What the agent was told before the first kill is still known after the last.
    """
    chance = random.Random(SEED * 2 + part)
    found, seconds = project(tmp_path)
    manifest = tmp_path / "agent.yaml"
    text = manifest.read_text()
    try:
        found.answer("My name is Wren.", "--user", "first")
        for number in range(5):
            manifest.write_text(text.replace("toolCalls: 20", f"toolCalls: {21 + number}"))
            (tmp_path / "prompts/system.md").write_text(f"Answer from the documents. Version {number}.\n")
            (tmp_path / "docs/new.md").write_text(f"# News\n\nThis is news number {number}.\n")
            after = chance.uniform(0, seconds)
            killed_up(tmp_path, after)
            is_whole(found, f"killed after {after:.3f} s")
            assert "Wren" in found.answer("What is my name?", "--user", "first")
    finally:
        found.destroy()
