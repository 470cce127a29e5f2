"""What a missing manifest may mean. Goes in: the path that does not exist. Comes out: the problem. Changes nothing.

Parent folders are named in the message but never used: what a command changes should not depend on a file out of sight.
"""

from __future__ import annotations

from pathlib import Path

from bedplate.problems import Problem, Where

MANIFEST_NAME = "agent.yaml"


def missing(path: Path) -> Problem:
    """Why there is no manifest at `path`, with the likeliest way on (BP001)."""
    folder = path.parent
    where = Where(path.name)
    if path.name != MANIFEST_NAME or not folder.is_dir():
        fix = "check the path given with --file, or start an agent with `bedplate init`"
        return Problem("BP001", f"there is no file {path}", where, fix=fix)
    near = sorted(p.name for p in folder.glob("[aA]gent*.y*ml") if p.is_file())
    above = next((p for p in folder.absolute().parents if (p / MANIFEST_NAME).is_file()), None)
    fix = "start one with `bedplate init`"
    if near:
        fix = f"name the file: --file {folder / near[0]}, or start another with `bedplate init`"
    elif above:
        fix = f"change to {above}, where there is one, or start another with `bedplate init`"
    return Problem("BP001", f"there is no {MANIFEST_NAME} in {folder.absolute()}", where, fix=fix)
