"""Write the workflows of a platform into the repository, and never over a file that someone may have edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bedplate.problems import BedplateError, Problem
from bedplate.review.ci.facts import Facts
from bedplate.review.ci.github import github_files, github_remaining
from bedplate.review.ci.gitlab import gitlab_files, gitlab_remaining

Platform = Literal["github", "gitlab"]
_MADE: Mapping[Platform, tuple[Callable[[Facts], dict[str, str]], Callable[[Facts], list[str]]]] = {
    "github": (github_files, github_remaining),
    "gitlab": (gitlab_files, gitlab_remaining),
}


@dataclass(frozen=True)
class WrittenWorkflow:
    """What became of one file: `path` in the repository."""

    action: Literal["added", "replaced", "unchanged"]
    path: str


@dataclass(frozen=True)
class Written:
    """The files of a platform, and what is left to do by hand there, in order."""

    platform: Platform
    files: tuple[WrittenWorkflow, ...]
    remaining: tuple[str, ...]


def write(facts: Facts, platform: Platform, *, force: bool = False) -> Written:
    """Write the files. Raises BP797 for each that is there and differs, unless `force`; then nothing is written."""
    texts, remaining = _MADE[platform]
    files = {path: (text, _action(facts.root / path, text)) for path, text in texts(facts).items()}
    taken = [path for path, (_, action) in files.items() if action == "replaced"]
    if taken and not force:
        fix = "look at the difference, then run it again with --force, or keep your file"
        raise BedplateError(*(Problem("BP797", f"{path} is there already and differs", fix=fix) for path in taken))
    for path, (text, action) in files.items():
        if action != "unchanged":
            (facts.root / path).parent.mkdir(parents=True, exist_ok=True)
            (facts.root / path).write_text(text, "utf-8")
    written = tuple(WrittenWorkflow(action, path) for path, (_, action) in files.items())
    return Written(platform, written, tuple(remaining(facts)))


def _action(file: Path, text: str) -> Literal["added", "replaced", "unchanged"]:
    if not file.exists():
        return "added"
    return "unchanged" if file.read_bytes() == text.encode() else "replaced"
