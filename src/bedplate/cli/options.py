"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ManifestFile = Annotated[Path, typer.Option("--file", "-f", help="The manifest.", show_default=True, metavar="FILE")]


def _stage_names(incomplete: str) -> list[str]:
    """For the shell's completion: the stages of ./agent.yaml. One of which no stage can be read completes nothing."""
    from bedplate.manifest.load import examine
    from bedplate.problems import BedplateError

    try:
        loaded = examine(DEFAULT_FILE)
    except BedplateError:
        return []
    return [name for name in loaded.stage_names or loaded.stages if name.startswith(incomplete)]


DEFAULT_FILE = Path("agent.yaml")

Stage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        "-s",
        help="The stage; the first of the manifest unless given.",
        metavar="NAME",
        autocompletion=_stage_names,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (a versioned schema) on standard output.")]
Unsandboxed = Annotated[
    bool,
    typer.Option("--allow-unsandboxed", help="Go on where this machine cannot isolate the agent; says what is lost."),
]
User = Annotated[str, typer.Option("--user", "-u", help="The end user on whose behalf you ask.", metavar="ID")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
