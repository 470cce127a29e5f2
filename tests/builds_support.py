"""Small projects for tests of builds, and what a build's tree holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bedplate.release.builds.make import make
from bedplate.release.builds.model import Build
from bedplate.release.target import open_target

MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: built}
intent: script
model: bedplate:extractive
instructions: {file: prompts/system.md}
data:
  - {name: docs, type: files, path: docs, include: ["*"]}
tools:
  - {name: docs, type: search, use: docs, scopes: [{read: "*"}]}
stages:
  prototype: {target: local}
"""
FILES = {
    "agent.yaml": MANIFEST.encode(),
    "prompts/system.md": b"Answer from the documents.\n",
    "docs/one.md": b"# One\n\nThe harbour opens at six.\n",
    "docs/deep/two.md": b"# Two\n\nThe lighthouse is red.\n",
    "bedplate.lock": b'{"schema": "bedplate.dev/lock/v1"}\n',
}


def write_project(folder: Path, files: Mapping[str, bytes], order: Iterable[str] | None = None) -> Path:
    """Write files in the order given; the manifest's path."""
    for path in order or files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(files[path])
    return folder / "agent.yaml"


def built(folder: Path) -> Build:
    """The build of a project as it is now."""
    return make(open_target(folder / "agent.yaml", None))


def tree_of(build: Build) -> dict[str, bytes]:
    """What stands in the tree, by path."""
    found = (path for path in build.tree.rglob("*") if path.is_file())
    return {path.relative_to(build.tree).as_posix(): path.read_bytes() for path in found}


def code_of_error(error: BaseException) -> str:
    """The code of the first problem."""
    problems = getattr(error, "problems", ())
    return str(problems[0].code) if problems else ""
