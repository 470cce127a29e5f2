"""The same inputs give the same digest, wherever and by whomever the build is made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builds_support import FILES, write_project
from cli_support import COMMAND, ok

PROJECT = {
    **FILES,
    "agent.yaml": FILES["agent.yaml"].replace(
        b"stages:", b"  - {name: add, type: python, entrypoint: 'tools.calc:add', scopes: [{call: add}]}\nstages:"
    ),
    "tools/calc.py": b"def add(left: int, right: int) -> int:\n    return left + right\n",
    "docs/\xc3\xbcber uns.md".encode("latin-1").decode(): "# Über uns\n".encode(),
}


@dataclass(frozen=True)
class Elsewhere:
    """What is different there."""

    folder: str = "b"
    order: bool = False
    umask: int = 0o022
    times: tuple[int, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


CASES = {
    "another folder": Elsewhere(),
    "a much longer path": Elsewhere("deep/" * 12 + "a project of mine"),
    "another time zone and language": Elsewhere(environment={"TZ": "Pacific/Kiritimati", "LANG": "C", "LC_ALL": "C"}),
    "files made in another order": Elsewhere(order=True),
    "a strict umask": Elsewhere(umask=0o077),
    "an open umask": Elsewhere(umask=0),
    "other times of files": Elsewhere(times=(0, 0)),
    "another hash seed": Elsewhere(environment={"PYTHONHASHSEED": "4711"}),
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The build of the project in a folder of its own, with the hash seed 1."""
    folder = tmp_path_factory.mktemp("a")
    write_project(folder, PROJECT)
    found: dict[str, Any] = ok(folder, "build", "--json", env={"PYTHONHASHSEED": "1"}).json
    return found


@pytest.mark.parametrize("there", CASES.values(), ids=CASES)
def test_the_digest_is_the_same_everywhere(tmp_path: Path, first: dict[str, Any], there: Elsewhere) -> None:
    """Place, order, times, modes, language and hash seed move neither the digest nor a file of the build."""
    folder = tmp_path / there.folder
    before = os.umask(there.umask)
    try:
        write_project(folder, PROJECT, order=reversed(PROJECT) if there.order else None)
        for path in folder.rglob("*") if there.times else ():
            os.utime(path, there.times)
        found = ok(folder, "build", "--json", env=dict(there.environment)).json
    finally:
        os.umask(before)
    assert found == first


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
def test_another_user_makes_the_same_build(tmp_path: Path, first: dict[str, Any]) -> None:
    """Another user of the machine makes the same build of the same files."""
    public = Path(tempfile.gettempdir()) / f"bedplate-{tmp_path.name}-{os.getpid()}"
    try:
        write_project(public, PROJECT)
        public.chmod(0o777)
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            [*become, *COMMAND, "build", "--json"],
            cwd=public,
            env={**os.environ, "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 126 or "Permission denied" in done.stderr:
            pytest.skip("another user cannot run this Python")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == first
        assert {path.stat().st_uid for path in (public / ".bedplate").rglob("*")} == {65534}
    finally:
        shutil.rmtree(public)
