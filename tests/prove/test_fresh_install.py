"""A fresh machine, as near as a test can come: a clean checkout, an empty home, a new environment, each Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cli_support import pids_of
from pages_support import ROOT

VERSIONS = ("3.11", "3.12", "3.13")
QUESTION = "How long do I have to return an order?"


def python(version: str) -> str | None:
    """A Python of this version that runs, on PATH or where pyenv keeps them."""
    candidates = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-m", "venv", "--help"], capture_output=True).returncode == 0:
            return str(candidate)
    return None


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The last commit's files, and nothing that is not committed."""
    folder = tmp_path / "bedplate"
    folder.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of who runs the tests but where programs are, and where pip finds packages."""
    home = tmp_path / "home"
    home.mkdir()
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **pip}


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False, input=""
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_make_up(checkout: Path, environment: dict[str, str]) -> None:
    """`make up` in a clean checkout ends with an answer from the documentation and its source."""
    found = next((path for path in map(python, VERSIONS) if path), None)
    assert found
    bedplate, before = str(checkout / ".venv/bin/bedplate"), {path.name for path in checkout.iterdir()}
    try:
        said = run(["make", "up", f"PYTHON={found}"], checkout, environment)
        assert "http://127.0.0.1:" in said
        assert re.search(r"^> .+\n(.*\n)*\nSource: [\w-]+\.md", said, re.MULTILINE), said
        assert len(re.findall(r"^  bedplate \w+ .*--stage prototype", said, re.MULTILINE)) == 3
        run(["make", "up", f"PYTHON={found}"], checkout, environment)
    finally:
        run([bedplate, "destroy", "--yes"], checkout, environment)
    assert not pids_of(checkout)
    assert not (checkout / ".bedplate").exists()
    assert {path.name for path in checkout.iterdir()} - before == {".venv"}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_python(checkout: Path, tmp_path: Path, environment: dict[str, str], version: str) -> None:
    """Installed from a build, not in place, `init`, `up`, `ask`, `eval` and `destroy` work on each Python."""
    found = python(version)
    if found is None:
        pytest.skip(f"there is no Python {version} here")
    run([found, "-m", "venv", str(tmp_path / "venv")], tmp_path, environment)
    run([str(tmp_path / "venv/bin/pip"), "install", "--quiet", str(checkout)], tmp_path, environment)
    shutil.rmtree(checkout)
    bedplate = str(tmp_path / "venv/bin/bedplate")
    project = tmp_path / "support"
    run([bedplate, "init", "support", "--template", "support", "--intent", "product"], tmp_path, environment)
    try:
        run([bedplate, "up"], project, environment)
        assert "60 days" in run([bedplate, "ask", QUESTION], project, environment)
        assert "PASS" in run([bedplate, "eval"], project, environment)
        assert not list((tmp_path / "home").rglob("*bedplate*")), "nothing is written to the home folder"
    finally:
        run([bedplate, "destroy", "--yes"], project, environment)
    assert not pids_of(project)
