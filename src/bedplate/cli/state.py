"""`state`: the state of a stage as a document, its history, and mending it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage, Yes
from bedplate.cli.output import ago, interactive, say, show, show_json, table

if TYPE_CHECKING:
    from bedplate.engine.api import Update
    from bedplate.release.state import StageState


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(
        help="The state of a stage: out, in, mended, and its history.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("export")(export)
    group.command("import")(bring_in)
    group.command("repair")(repair)
    group.command("history")(history)
    app.add_typer(group, name="state")


def export(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.", metavar="FILE")] = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Secrets in plain text.")] = False,
) -> int:
    """Print the state as a Pulumi deployment, which `pulumi stack import` and `state import` take."""
    import json

    from bedplate.release.state import open_state

    text = json.dumps(open_state(file, stage).export(show_secrets=show_secrets), indent=2, ensure_ascii=False)
    if out is None:
        show(text)
        return 0
    out.touch(mode=0o600)
    out.write_text(text + "\n", "utf-8")
    say(f"Written to {out}.")
    return 0


def bring_in(
    document: Annotated[Path, typer.Argument(help="The document; - for standard input.", metavar="FILE")],
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Put a document in the place of the state. Nothing that runs is changed: see `plan` afterwards."""
    import sys

    from bedplate.release.state import open_state, read_document

    text = sys.stdin.read() if str(document) == "-" else document.read_text("utf-8")
    found, read = open_state(file, stage), read_document(document, text)
    if not _agreed(f"Replace the state of {found.name}?", f"bedplate state import {document}", yes):
        return _unwilling()
    kept = found.bring_in(read)
    count = found.resources()
    if as_json:
        said = {"schema": "bedplate.dev/state-import/v1", "ok": True, "stage": found.name}
        show_json({**said, "resources": count, "kept": kept})
    else:
        before = f" The one before it is in {' and '.join(kept)}." if kept else ""
        show(f"The state of {found.name} holds {count} resources now.{before}")
    return 0


def repair(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    forget: Annotated[
        list[str] | None,
        typer.Option("--forget", help="Take an interrupted operation out that you have settled.", metavar="NAME"),
    ] = None,
    look: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Mend a damaged state and settle what was interrupted. Says first what it does; throws nothing away."""
    from bedplate.release.state import open_state

    found = open_state(file, stage)
    todo = found.repair(forget or (), look=True)
    if not as_json:
        _show_todo(found, todo)
    if todo and not look:
        if not _agreed("Do that?", "bedplate state repair", yes):
            return _unwilling()
        todo = _repaired(found, forget or [], as_json)
    if as_json:
        document = {"schema": "bedplate.dev/state-repair/v1", "ok": True, "stage": found.name, "dry_run": look}
        show_json({**document, "actions": todo})
    return 0


def _show_todo(found: StageState, todo: tuple[str, ...]) -> None:
    show("\n".join(f"  {line}" for line in todo) if todo else f"The state of {found.name} is whole.")


def _repaired(found: StageState, forget: list[str], quiet: bool) -> tuple[str, ...]:
    """Do it, and say what came out."""
    from bedplate.cli.progress import Progress

    done = found.repair(forget, look=False, on_event=Progress(quiet=quiet))
    if not quiet:
        show("\n".join(("Done.", *(f"  {line}" for line in done))))
        say("\nNext:\n  bedplate plan")
    return done


def history(file: ManifestFile = DEFAULT_FILE, stage: Stage = None, as_json: AsJson = False) -> int:
    """List the runs that changed the state or tried to, the last one first. Releases stand in `bedplate history`."""
    from bedplate.release.state import open_state

    found = open_state(file, stage)
    updates = found.history()
    if as_json:
        document = {"schema": "bedplate.dev/state-history/v1", "ok": True, "stage": found.name, "updates": updates}
        show_json({**document, "updates": [vars(update) for update in updates]})
    elif not updates:
        show(f"Nothing has happened to {found.name} yet.")
    else:
        now = time.time()
        show(table([("", "when", "what", "result", "steps", "who"), *(_row(update, now) for update in updates)]))
    return 0


def _row(update: Update, now: float) -> tuple[str, ...]:
    steps = ", ".join(f"{count} {op}" for op, count in update.counts.items())
    return str(update.number), f"{ago(now - update.finished)} ago", update.kind, update.result, steps, update.who


def _agreed(question: str, command: str, yes: bool) -> bool:
    from bedplate.problems import BedplateError, ExitCode, Problem

    if yes:
        return True
    if not interactive():
        problem = Problem("BP703", "changing a state needs a yes", fix=f"{command} --yes")
        raise BedplateError(problem, exit_code=ExitCode.NEEDS_APPROVAL)
    return typer.confirm(question, err=True)


def _unwilling() -> int:
    from bedplate.problems import ExitCode

    return int(ExitCode.NEEDS_APPROVAL)
