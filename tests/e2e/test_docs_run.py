"""The documentation does what it says: its commands are run as they stand, its manifests are loaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.evals.dataset import parse_dataset
from bedplate.manifest import load
from cli_support import bedplate, ok, pids_of
from pages_support import ROOT, blocks, commands
from stage_support import wait_for

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
NOT_RUN = {
    "python3 -m venv .venv",
    ". .venv/bin/activate",
    "pip install ./bedplate",
    "make up",
    "make test",
}
"""Lines that install; what they install is proved by `make prove`."""
PAGES = sorted(page for page in ROOT.glob("docs/*.md") if page.name != "internals.md")


def run(line: str, folder: Path, stdin: str = "", expected: int = 0) -> str:
    """Run one line of a page in a shell; what it printed."""
    done = subprocess.run(
        line, shell=True, cwd=folder, env={**os.environ, "PATH": PATH}, input=stdin, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == expected, f"{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; what was brought up in it or in a folder below is away afterwards."""
    yield tmp_path
    for folder in (tmp_path, *tmp_path.iterdir()):
        if (folder / ".bedplate").exists():
            bedplate(folder, "destroy", "--yes")


def test_tutorial(desk: Path) -> None:
    """The tutorial's commands, in its order, do what the tutorial says of them."""
    lines = [line for line in commands(ROOT / "docs/tutorial.md") if line not in NOT_RUN]
    assert [line.split()[:2] for line in lines] == [
        ["bedplate", "init"], ["cd", "my-agent"], ["bedplate", "validate"], ["bedplate", "up"], ["bedplate", "ask"],
        ["bedplate", "traces"], ["bedplate", "eval"], ["bedplate", "plan"], ["bedplate", "up"], ["bedplate", "destroy"],
    ]  # fmt: skip
    init, _, validate, up, ask, trace, evaluate, plan, again, destroy = lines
    run(init, desk)
    folder = desk / "my-agent"
    _has_what_the_tutorial_names(folder)
    assert "valid" in run(validate, folder)
    assert "http://127.0.0.1:" in run(up, folder)
    answer = run(ask, folder)
    assert "60 days" in answer
    assert "returns-and-refunds.md" in answer
    _talk(folder)
    assert "invoke_agent" in run(trace, folder)
    run(ask, folder)
    wait_for(lambda: re.search(r"docs\.search.*allow", run(trace, folder), re.DOTALL), "no tool call in the trace")
    assert "PASS" in run(evaluate, folder)
    manifest = folder / "agent.yaml"
    assert "toolCalls: 20" in manifest.read_text()
    manifest.write_text(manifest.read_text().replace("toolCalls: 20", "toolCalls: 5"))
    planned = run(plan, folder, expected=2)
    assert re.search(r"limits\.toolCalls\b.*\b20\b.*\b5\b", planned), planned
    run(again, folder)
    run("bedplate plan", folder)
    run(destroy, folder)
    assert not (folder / ".bedplate").exists()
    assert not pids_of(folder)


def _has_what_the_tutorial_names(folder: Path) -> None:
    for name in ("agent.yaml", "prompts/system.md", "evals/faq.yaml"):
        assert (folder / name).is_file()
    assert len(list((folder / "docs").glob("*.md"))) == 3


def _talk(folder: Path) -> None:
    """'Tell it your name, end the conversation, open a new one and ask what your name is.'"""
    run("bedplate chat", folder, stdin="My name is Ada.\n\n")
    assert "Ada" in run("bedplate chat", folder, stdin="What is my name?\n\n")


def test_readme(desk: Path) -> None:
    """The README's commands run on the example, in its order."""
    for name in ("agent.yaml", "docs", "evals", "prompts"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, desk / name)
    lines = [line for line in commands(ROOT / "README.md") if line not in NOT_RUN]
    assert [line.split()[1] for line in lines] == ["chat", "eval", "traces", "plan", "destroy"]
    run("bedplate up", desk)
    for line in lines:
        run(line, desk, stdin="What is a release in Bedplate?\n\n")
    assert not pids_of(desk)


def test_readmes_own_agent(desk: Path) -> None:
    """The `init` that the README names makes a project that validates."""
    (line,) = re.findall(r"`(bedplate init [^`]*)`", (ROOT / "README.md").read_text())
    run(line, desk)
    run("bedplate validate", desk / "my-agent")


FRAGMENTS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "yaml"), 1)
]


def test_there_are_fragments() -> None:
    """The pages do hold manifests; if not, the next test would prove nothing."""
    assert len(FRAGMENTS) >= 10


@pytest.mark.parametrize("text", FRAGMENTS)
def test_fragments_are_valid(tmp_path: Path, text: str) -> None:
    """Each YAML block of the documentation is a valid manifest, a valid part of one, or a valid dataset."""
    part = yaml.safe_load(text)
    if "cases" in part:
        parse_dataset(text, "evals/faq.yaml")
        return
    whole = part if "apiVersion" in part else _completed(part)
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    _write_what_it_names(whole, tmp_path)
    load(tmp_path / "agent.yaml")


def _completed(part: dict[str, Any]) -> dict[str, Any]:
    """The least manifest around a fragment: required sections, and the data that its tools use."""
    whole: dict[str, Any] = {
        "apiVersion": "bedplate.dev/v1",
        "kind": "Agent",
        "metadata": {"name": "fragment"},
        "intent": "script",
        "model": "bedplate:extractive",
        "instructions": "Answer.",
        "stages": {"prototype": {"target": "local"}},
        **part,
    }
    used = {tool["use"] for tool in whole.get("tools", []) if "use" in tool}
    if used and "data" not in whole:
        whole["data"] = [{"name": name, "type": "files", "path": name} for name in sorted(used)]
    return whole


def _write_what_it_names(whole: dict[str, Any], folder: Path) -> None:
    for source in whole.get("data", []):
        (folder / source["path"]).mkdir()
        (folder / source["path"] / "page.md").write_text("# Page\n\nText.\n")
    for suite in whole.get("evals", []):
        (folder / suite["dataset"]).parent.mkdir(exist_ok=True)
        (folder / suite["dataset"]).write_text("cases: [{name: a, inputs: b, expected_output: c}]\n")
    for tool in whole.get("tools", []):
        if module := tool.get("entrypoint", "").partition(":")[0]:
            file = folder / f"{module.replace('.', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text("def status(number: str) -> str:\n    return number\n")


def test_fragments_of_shell_are_known() -> None:
    """Every bash block of the pages is run here, in another test, or stands in the list of what is not run."""
    seen = {line for page in PAGES for line in commands(page)}
    run_elsewhere = {line for line in seen if line.startswith(("curl ", "-d ", "eval "))}
    unknown = {line for line in seen - run_elsewhere - NOT_RUN if not line.startswith(("bedplate ", "cd "))}
    assert not unknown


def test_documented_commands_without_effect_run(tmp_path: Path) -> None:
    """Commands of the pages that need no stage run in a fresh project."""
    ok(tmp_path, "init", ".", "--template", "support", "--intent", "product", "--name", "support")
    lines = {line for page in PAGES for line in commands(page)}
    quiet = sorted(
        line for line in lines if line.split()[:2][-1] in {"validate", "schema", "doctor", "skills", "completion"}
    )
    assert quiet
    for line in quiet:
        run(line, tmp_path)
