"""The skills bundle: the same steps as the commands, written for a coding agent.

Goes in: a project's folder and the names of coding agents. Comes out: `SKILL.md` files (the Agent Skills format of
agentskills.io) where those agents look for them. It runs nothing and reads its own bundle and those folders only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bedplate.problems import BedplateError, ExitCode, Problem

AGENTS = {
    "claude-code": ".claude/skills",
    "codex": ".agents/skills",
    "cursor": ".cursor/skills",
    "gemini-cli": ".gemini/skills",
    "copilot": ".github/skills",
}
"""Where each coding agent looks for a project's skills, by its own documentation."""
_MARKS = {
    "claude-code": (".claude", "CLAUDE.md"),
    "codex": (".codex", ".agents", "AGENTS.md"),
    "cursor": (".cursor",),
    "gemini-cli": (".gemini", "GEMINI.md"),
    "copilot": (".github/copilot-instructions.md", ".github/skills"),
}
_RECORD = ".bedplate-skills.json"


@dataclass(frozen=True)
class Skill:
    """One skill: its name, what it is for (from the front matter), and its whole text."""

    name: str
    description: str
    text: str


@dataclass(frozen=True)
class Written:
    """What became of one file: `added`, `updated`, `unchanged` or `kept` (edited by someone, left alone)."""

    action: str
    path: str


def bundle() -> tuple[Skill, ...]:
    """The skills in the order of use."""
    order = ("scaffold", "write", "evaluate", "deploy", "observe")
    return tuple(_read(f"bedplate-{step}") for step in order)


def install(folder: Path, *, agents: Sequence[str] | None, force: bool = False) -> list[Written]:
    """Write the bundle for `agents` (None: those the folder shows signs of, else Claude Code's and the common folder).

    A record beside the skills holds the hash of what was written, so that a file edited since is kept unless `force`.
    Raises BP710 for an unknown agent, before anything is written.
    """
    chosen = list(dict.fromkeys(agents or _found(folder)))
    for agent in chosen:
        if agent not in AGENTS:
            fix = f"one of {', '.join(AGENTS)}"
            raise BedplateError(Problem("BP710", f"unknown coding agent: {agent}", fix=fix), exit_code=ExitCode.USAGE)
    return [written for agent in chosen for written in _install_one(folder, AGENTS[agent], force)]


def _found(folder: Path) -> list[str]:
    found = [agent for agent, marks in _MARKS.items() if any((folder / mark).exists() for mark in marks)]
    return found or ["claude-code", "codex"]


def _install_one(folder: Path, home: str, force: bool) -> list[Written]:
    root = folder / home
    record_file = root / _RECORD
    record: dict[str, str] = json.loads(record_file.read_text("utf-8")) if record_file.exists() else {}
    done = []
    for skill in bundle():
        path = root / skill.name / "SKILL.md"
        action = _action(path, skill.text, record.get(skill.name), force)
        if action in {"added", "updated"}:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(skill.text, "utf-8")
            record[skill.name] = _digest(skill.text)
        done.append(Written(action, f"{home}/{skill.name}/SKILL.md"))
    record_file.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", "utf-8")
    return done


def _action(path: Path, text: str, recorded: str | None, force: bool) -> str:
    if not path.exists():
        return "added"
    present = path.read_text("utf-8")
    if present == text:
        return "unchanged"
    return "updated" if force or _digest(present) == recorded else "kept"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(name: str) -> Skill:
    text = files("bedplate.skills").joinpath("bundle", name, "SKILL.md").read_text("utf-8")
    head = text.split("---", 2)[1]
    description = next(line for line in head.splitlines() if line.startswith("description:"))
    return Skill(name, description.removeprefix("description:").strip(), text)
