"""`refresh`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import (
    AT_ONCE,
    DEFAULT_FILE,
    AsJson,
    Dependents,
    Excludes,
    KeepGoing,
    ManifestFile,
    Parallel,
    Stage,
    Targets,
    run_options,
)
from bedplate.cli.output import say, show, show_json, table

if TYPE_CHECKING:
    from bedplate.release.refresh import Drift


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("refresh")(refresh)


def refresh(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    look: Annotated[bool, typer.Option("--dry-run", help="Only say what differs; the state stays too.")] = False,
    parallel: Parallel = AT_ONCE,
    target: Targets = None,
    exclude: Excludes = None,
    target_dependents: Dependents = False,
    continue_on_error: KeepGoing = False,
    as_json: AsJson = False,
) -> int:
    """Look for what was changed or lost outside of Bedplate, and take it into the state. Changes nothing that runs.

    Exit 5 where something differs and --dry-run leaves the state as it is.
    """
    from bedplate.cli.progress import Progress
    from bedplate.problems import BedplateError, ExitCode, Problem
    from bedplate.release.destroy import find_stage
    from bedplate.release.refresh import refresh as read_all

    options = run_options(parallel, target, exclude, target_dependents, continue_on_error, refresh=False)
    found = find_stage(file, stage)
    if found is None:
        what = f"stage {stage}" if stage else "a stage"
        raise BedplateError(Problem("BP706", f"{what} is not up in this folder", fix="bring it up: `bedplate up`"))
    drift = read_all(found, look=look, options=options, on_event=Progress(quiet=True))
    if as_json:
        show_json(
            {
                "schema": "bedplate.dev/refresh/v1",
                "stage": found.name,
                "dry_run": look,
                "drift": [asdict(d) for d in drift],
            }
        )
    else:
        _show(drift, found.name, look=look)
    return int(ExitCode.DRIFT) if drift and look else 0


def _show(drift: tuple[Drift, ...], stage: str, *, look: bool) -> None:
    if not drift:
        show(f"{stage} is what its state says.")
        return
    show(table([(d.name, d.kind, " ".join((d.found, *d.properties))) for d in drift]))
    if not look:
        say(f"\nThe state says so now. Next:\n  bedplate up --stage {stage}")
