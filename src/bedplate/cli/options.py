"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ManifestFile = Annotated[Path, typer.Option("--file", "-f", help="The manifest.", show_default=True, metavar="FILE")]
Stage = Annotated[
    str | None, typer.Option("--stage", "-s", help="The stage; the first of the manifest unless given.", metavar="NAME")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (a versioned schema) on standard output.")]
Unsandboxed = Annotated[
    bool,
    typer.Option("--allow-unsandboxed", help="Go on where this machine cannot isolate the agent; says what is lost."),
]
User = Annotated[str, typer.Option("--user", "-u", help="The end user on whose behalf you ask.", metavar="ID")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

DEFAULT_FILE = Path("agent.yaml")
