"""The skills bundle: installed where each coding agent looks, in the format they read, and every command in it runs.

The skills are used in the order scaffold, write, deploy, evaluate, observe. Here `deploy` is run in two halves, because
its last step takes the stage away: everything before it, then the skills that need the stage up, then that step.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bedplate.skills import AGENTS, bundle
from cli_support import bedplate, ok, pids_of
from pages_support import ROOT, commands

BUNDLE = ROOT / "src/bedplate/skills/bundle"
NAMES = sorted(path.name for path in BUNDLE.iterdir() if path.is_dir())
FOLDERS = {
    "claude-code": ".claude/skills",
    "codex": ".agents/skills",
    "cursor": ".cursor/skills",
    "gemini-cli": ".gemini/skills",
    "copilot": ".github/skills",
}
PENDING = {"bedplate plan", "bedplate plan --json"}
"""Commands that exit with 2 before the stage is up, as their skills say."""
LOOKING = {"bedplate promote staging --dry-run"}
"""Commands that exit with 2, since there is something to promote."""


@pytest.mark.parametrize("name", NAMES)
def test_front_matter(name: str) -> None:
    """Name and description keep the format's bounds, and the description says when to use the skill and when not."""
    head = yaml.safe_load((BUNDLE / name / "SKILL.md").read_text().split("---")[1])
    assert set(head) == {"name", "description"}
    assert head["name"] == name
    assert len(name) <= 64
    assert 0 < len(head["description"]) <= 1024
    assert "Use " in head["description"]
    assert "Do not use" in head["description"]


def test_bundle_is_whole() -> None:
    """Every folder of the bundle is one of the skills that are installed."""
    assert sorted(skill.name for skill in bundle()) == NAMES


def test_every_agent_is_known() -> None:
    """The folders are those of this test's own list."""
    assert AGENTS == FOLDERS


@pytest.mark.parametrize("agent", FOLDERS)
def test_installed_where_the_agent_looks(tmp_path: Path, agent: str) -> None:
    """Each skill stands in the agent's folder and nowhere else; a second time nothing changes."""
    ok(tmp_path, "skills", "install", "--agent", agent)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("SKILL.md"))
    assert found == [f"{FOLDERS[agent]}/{name}/SKILL.md" for name in NAMES]
    for name in NAMES:
        assert (tmp_path / FOLDERS[agent] / name / "SKILL.md").read_text() == (BUNDLE / name / "SKILL.md").read_text()
    again = ok(tmp_path, "skills", "install", "--agent", agent, "--json").json
    assert {file["action"] for file in again["files"]} == {"unchanged"}


def test_edited_skills_are_kept(tmp_path: Path) -> None:
    """A skill that someone edited stays theirs, until --force."""
    ok(tmp_path, "skills", "install", "--agent", "codex")
    mine = tmp_path / ".agents/skills/bedplate-write/SKILL.md"
    original = mine.read_text()
    mine.write_text(original + "\nOur own rule.\n")
    ran = ok(tmp_path, "skills", "install", "--agent", "codex")
    assert "kept" in ran.out + ran.err
    assert mine.read_text().endswith("Our own rule.\n")
    ok(tmp_path, "skills", "install", "--agent", "codex", "--force")
    assert mine.read_text() == original


def test_agents_are_found_by_their_traces(tmp_path: Path) -> None:
    """Without --agent the skills go to the coding agents that the folder shows signs of."""
    (tmp_path / ".cursor").mkdir()
    (tmp_path / "GEMINI.md").write_text("")
    ok(tmp_path, "skills", "install")
    assert {str(p.relative_to(tmp_path).parent.parent) for p in tmp_path.rglob("SKILL.md")} == {
        ".cursor/skills",
        ".gemini/skills",
    }


def test_an_unknown_agent_is_refused(tmp_path: Path) -> None:
    """An agent that nobody knows is a usage error, and nothing is written."""
    ran = bedplate(tmp_path, "skills", "install", "--agent", "codex", "--agent", "clippy")
    assert ran.code == 64
    assert "BP710" in ran.err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder to start in; whatever was brought up is away afterwards."""
    folder = tmp_path_factory.mktemp("workshop")
    yield folder
    if (folder / "my-agent").exists():
        bedplate(folder / "my-agent", "destroy", "--yes")


def test_every_command_runs(workshop: Path) -> None:
    """Every command of every skill, in order, from an empty folder, exits as its skill says."""
    steps = {name: commands(BUNDLE / name / "SKILL.md") for name in NAMES}
    assert all(steps.values())
    taking_away = steps["bedplate-deploy"].pop()
    assert taking_away == "bedplate destroy --yes"
    folder = _run(steps["bedplate-scaffold"], workshop)
    assert folder == workshop / "my-agent"
    for name in ("bedplate-write", "bedplate-deploy", "bedplate-evaluate", "bedplate-observe"):
        _run(steps[name], folder)
    assert pids_of(folder)
    _run([taking_away], folder)
    assert not pids_of(folder)


def _run(lines: list[str], folder: Path) -> Path:
    """Run each line in the folder that the lines before it lead to; that folder."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for line in lines:
        if line.startswith("cd "):
            folder = folder / line.removeprefix("cd ")
            continue
        up = (folder / ".bedplate").exists()
        done = subprocess.run(
            line, shell=True, cwd=folder, env={**os.environ, "PATH": path}, input="", capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        expected = 2 if line in LOOKING or (line in PENDING and not up) else 0
        assert done.returncode == expected, f"{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return folder
