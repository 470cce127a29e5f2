"""`engine`, `eject`: which engine deploys a stage, and leaving with a plain Pulumi project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage, Unsandboxed
from bedplate.cli.output import say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("engine")(engine)
    app.command("eject")(eject)


def engine(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    use: Annotated[
        str, typer.Option("--use", help="Hand the stage over to this engine, with its state.", metavar="NAME")
    ] = "",
    install: Annotated[bool, typer.Option("--install", help="Download the Pulumi CLI of the fitting version.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show which engine deployed a stage, or move the stage to the other one."""
    from bedplate.release.engines import EMBEDDED, install_cli, move, owner_of
    from bedplate.release.target import open_target

    if install:
        say(f"The Pulumi CLI is at {install_cli()}.")
        if not use and not file.exists():
            return 0  # installed before there is a project
    target = open_target(file, stage)
    moved = move(target.paths, target.home, use) if use else 0
    name = owner_of(target.paths)
    if as_json:
        document = {"schema": "bedplate.dev/engine/v1", "stage": target.blueprint.stage}
        show_json({**document, "engine": name or EMBEDDED, "deployed": bool(name), "moved": moved})
    elif use:
        show(f"{target.blueprint.stage} belongs to the {name} engine now: {moved} resources taken over.")
    else:
        show(f"{target.blueprint.stage}: {name or f'not deployed yet, {EMBEDDED} unless asked for'}")
    return 0


def eject(
    folder: Annotated[Path, typer.Argument(help="Where to write the project; made, and empty before.")],
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Write a stage as a plain Pulumi project that `pulumi up` runs without Bedplate's command line."""
    from bedplate.release.check import open_deployable
    from bedplate.release.eject import eject as write

    target = open_deployable(file, stage)
    files = [str(path) for path in write(target, folder, allow_unsandboxed=allow_unsandboxed)]
    if as_json:
        show_json({"schema": "bedplate.dev/eject/v1", "stage": target.blueprint.stage, "files": files})
        return 0
    for path in files:
        show(f"  + {path}")
    say(f"\nNext: {folder / 'README.md'}")
    return 0
