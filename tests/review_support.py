"""Real git repositories for the tests of `review`: commits with fixed times, so that their ids are always the same."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIME = "2026-01-02T03:04:05Z"
_ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": _TIME,
    "GIT_COMMITTER_DATE": _TIME,
}


def git(folder: Path, *arguments: str, data: bytes = b"") -> str:
    """Run git in `folder`; what it printed."""
    done = subprocess.run(["git", *arguments], cwd=folder, input=data, capture_output=True, env=_ENV, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A repository with one commit on `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    write(folder, files)
    commit(folder, "first")
    return folder


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(folder: Path, message: str) -> str:
    """Commit everything; the commit's id."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def apply(folder: Path, change: Mapping[str, Any]) -> str:
    """Make one change of cases/review/history.yaml and commit it."""
    for name, edits in change.get("edit", {}).items():
        text = (folder / name).read_text()
        for old, new in edits.items():
            assert text.count(old) == 1, f"{change['name']}: {old!r} is {text.count(old)} times in {name}"
            text = text.replace(old, new)
        (folder / name).write_text(text)
    write(folder, change.get("write", {}))
    for name in change.get("delete", ()):
        (folder / name).unlink()
    return commit(folder, change["name"])


def steady(comment: str) -> str:
    """A comment without what differs from version to version: digests and Bedplate's version."""
    for pattern, put in (
        (r"sha256:[0-9a-f]{64}", "sha256:…"),
        (r"\b[0-9a-f]{40}\b", "<commit>"),
        (r'"toolVersion":"[^"]*"', '"toolVersion":"…"'),
        (r"approve [0-9a-f]{12}", "approve <finding>"),
        (r"\b[0-9a-f]{12}\b", "<commit>"),
    ):
        comment = re.sub(pattern, put, comment)
    return comment
