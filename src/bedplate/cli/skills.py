"""`skills list` and `skills install`: the skills bundle for coding agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedplate.cli.options import AsJson
from bedplate.cli.output import say, show, show_json, table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(
        help="Skills that teach a coding agent to work with Bedplate.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("list")(list_)
    group.command("install")(install)
    app.add_typer(group, name="skills")


def list_(as_json: AsJson = False) -> int:
    """List the skills of the bundle and the coding agents they can be installed for."""
    from bedplate.skills import AGENTS, bundle

    skills = bundle()
    if as_json:
        rows = [{"name": s.name, "description": s.description} for s in skills]
        show_json({"schema": "bedplate.dev/skills/v1", "skills": rows, "agents": list(AGENTS)})
        return 0
    show(table([(s.name, s.description) for s in skills]))
    say(f"\nInstall: bedplate skills install --agent {' | '.join(AGENTS)}")
    return 0


def install(
    agent: Annotated[
        list[str] | None, typer.Option(help="The coding agent; may be given again. Found unless given.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite skills that were edited here.")] = False,
    as_json: AsJson = False,
) -> int:
    """Put the skills where a coding agent looks for them. Files edited since are kept unless --force."""
    from dataclasses import asdict

    from bedplate.skills import install as put

    written = put(folder, agents=agent, force=force)
    if as_json:
        show_json({"schema": "bedplate.dev/skills-install/v1", "ok": True, "files": [asdict(w) for w in written]})
        return 0
    show(table([(w.action, w.path) for w in written]))
    return 0
