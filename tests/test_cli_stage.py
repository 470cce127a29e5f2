"""What commands print and leave on disk, on one stage that is up: the support template's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_support import bedplate, ok
from stage_support import MANIFEST, Stage
from stage_support import stage as another


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage that was made by a person whose umask hides nothing, and that has answered and was evaluated."""
    found = Stage(tmp_path_factory.mktemp("support"))
    before = os.umask(0)
    try:
        ok(found.folder, "init", "--template", "support", "--intent", "product", "--name", "support")
        ok(found.folder, "up")
        ok(found.folder, "ask", "How long do refunds take?")
        ok(found.folder, "eval")
        yield found
    finally:
        os.umask(before)
        bedplate(found.folder, "destroy", "--yes")


def test_a_stage_is_private(stage: Stage) -> None:
    """Whatever the umask, only its owner may read a stage's files or list its folders."""
    found = [stage.home.parent, *stage.home.rglob("*")]
    modes = {str(path.relative_to(stage.folder)): stat.S_IMODE(path.lstat().st_mode) for path in found}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    parts = {path.relative_to(stage.home).parts[0] for path in found[1:]}
    assert {"memory.db", "index", "traces", "logs", "secrets", "run", "owners", "evals", "state.json"} <= parts


def test_status_says_how_users_are_kept_apart(stage: Stage, tmp_path: Path) -> None:
    """Where an agent remembers its users, `status` says that they share one process; else it says nothing of it."""
    said = "one agent process serves all users; each turn is bound to its caller by a capability"
    assert stage.status()["isolation"] == said
    assert f"isolation: {said}\n" in ok(stage.folder, "status").out
    with another(tmp_path, MANIFEST + "model: bedplate:extractive\n") as forgetful:
        assert forgetful.status()["healthy"]
        assert forgetful.status()["isolation"] == ""
        assert "isolation" not in ok(tmp_path, "status").out
