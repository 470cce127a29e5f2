"""Where the project is: the folder that holds `agent.yaml`. Looks, changes nothing."""

from __future__ import annotations

from pathlib import Path

from bedplate.problems import BedplateError, Problem

MANIFEST_NAME = "agent.yaml"


def find_project(start: Path) -> Path:
    """The manifest's path: `start` itself if it is a file, else `agent.yaml` in that folder.

    Parent folders are not searched: what a command changes should not depend on a file that is out of sight. Raises
    BedplateError (BP001).
    """
    path = start if start.is_file() else start / MANIFEST_NAME
    if path.is_file():
        return path.absolute()
    raise BedplateError(_nothing(start, path))


def _nothing(start: Path, path: Path) -> Problem:
    if not start.exists():
        return Problem("BP001", f"there is no file {start}", fix="check the path given with --file")
    near = sorted(p.name for p in start.glob("[aA]gent*.y*ml")) if start.is_dir() else []
    if near:
        return Problem("BP001", f"there is no {MANIFEST_NAME} here", fix=f"name the file: --file {near[0]}")
    above = next((p for p in path.parent.absolute().parents if (p / MANIFEST_NAME).is_file()), None)
    fix = "start one with `bedplate init`"
    if above:
        fix = f"change to {above}, where there is one, or start another with `bedplate init`"
    return Problem("BP001", f"there is no {MANIFEST_NAME} in {start.absolute()}", fix=fix)
