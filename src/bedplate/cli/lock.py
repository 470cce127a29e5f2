"""`lock`: pin what stands behind tools, models and evals, or say what differs from the pins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage, Unsandboxed
from bedplate.cli.output import problem_text, say, show, show_json, table

if TYPE_CHECKING:
    from bedplate.release.locking import Relocked


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("lock")(lock)


def lock(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 where the file is out of date.")
    ] = False,
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Ask every MCP server for its tools, read the project's own, and write their pins to bedplate.lock."""
    from bedplate.cli.progress import waiting
    from bedplate.release.locking import relock

    with waiting("Asking the tools", quiet=as_json):
        found = relock(file, stage=stage, check=check, allow_unsandboxed=allow_unsandboxed)
    if as_json:
        show_json(_document(found))
        return int(found.exit)
    for problem in found.problems:
        say(problem_text(problem))
    show(_screen(found))
    return int(found.exit)


def _document(found: Relocked) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "schema": "bedplate.dev/lock-report/v1",
        "ok": found.exit == 0,
        "exit": int(found.exit),
        "file": str(found.file),
        "stale": found.stale,
        "wrote": found.wrote,
        "changes": [asdict(change) for change in found.changes],
        "problems": [problem.to_json() for problem in found.problems],
    }


def _screen(found: Relocked) -> str:
    """What differs, and what became of the file."""
    name = found.file.name
    rows = [(c.symbol, c.label, c.detail) for c in found.changes]
    if not found.stale:
        return f"{name} is up to date" + (", as far as could be asked" if found.problems else "")
    head = f"{name} written" if found.wrote else f"{name} is out of date"
    return "\n".join([head, table(rows) if rows else "  only its form differs"])
