"""`freeze` and `thaw`: the kill switch of a stage."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import say, show_json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("freeze")(freeze)
    app.command("thaw")(thaw)


def freeze(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; callers and the agent read it.", metavar="TEXT")] = "",
    as_json: AsJson = False,
) -> int:
    """Deny everything at once: questions, tools, memory, the model. Nothing is lost; `thaw` ends it."""
    from bedplate.release.freezing import freeze as stop

    label, standing = stop(file, stage, reason)
    if as_json:
        show_json({"schema": "bedplate.dev/freeze/v1", "ok": True, "frozen": asdict(standing)})
    else:
        say(f"{label}: {standing.words}. Everything is denied until `bedplate thaw`.")
    return 0


def thaw(file: ManifestFile = DEFAULT_FILE, stage: Stage = None, as_json: AsJson = False) -> int:
    """Let the scopes decide again."""
    from bedplate.release.freezing import thaw as go_on

    label, was = go_on(file, stage)
    if as_json:
        show_json({"schema": "bedplate.dev/thaw/v1", "ok": True, "was_frozen": was})
    else:
        say(f"{label} {'decides by its scopes again' if was else 'was not frozen'}.")
    return 0
