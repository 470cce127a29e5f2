"""`memory show` and `memory forget`: what the agent keeps about a person, and erasing it."""

from __future__ import annotations

from typing import Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage, Yes
from bedplate.cli.output import interactive, moment, say, show, show_json, table

OneUser = Annotated[str, typer.Option("--user", "-u", help="The person, as callers name them.", metavar="ID")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="What the agent remembers about people.", no_args_is_help=True, rich_markup_mode=None)
    group.command("show")(show_memory)
    group.command("forget")(forget)
    app.add_typer(group, name="memory")


def show_memory(user: OneUser, file: ManifestFile = DEFAULT_FILE, stage: Stage = None, as_json: AsJson = False) -> int:
    """Show everything that a stage keeps about one person."""
    from bedplate.release.people import remembered

    found = remembered(file, stage, user)
    if as_json:
        show_json({"schema": "bedplate.dev/memory/v1", "user": user, **found})
        return 0
    facts = found["facts"]
    rows = [(moment(f["created"]), str(f["text"])) for f in facts]
    show(table(rows) if rows else f"  Nothing is remembered about {user}.")
    say(f"\n{len(facts)} facts, {len(found['sessions'])} conversations")
    return 0


def forget(
    user: OneUser,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Erase a person from a stage: conversations, remembered facts, and their text in traces."""
    from bedplate.problems import BedplateError, ExitCode, Problem
    from bedplate.release.people import erase

    if not yes:
        if not interactive():
            problem = Problem(
                "BP703", "forgetting a person needs a yes", fix=f"bedplate memory forget --user {user} --yes"
            )
            raise BedplateError(problem, exit_code=ExitCode.NEEDS_APPROVAL)
        if not typer.confirm(f"Erase everything about {user}?", err=True):
            return int(ExitCode.NEEDS_APPROVAL)
    counts = erase(file, stage, user)
    if as_json:
        show_json({"schema": "bedplate.dev/forget/v1", "ok": True, "user": user, "erased": counts})
    else:
        show(f"Erased: {', '.join(f'{n} {what}' for what, n in counts.items())}.")
    return 0
