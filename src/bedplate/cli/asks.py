"""`asks`: what waits for a person, and a person's decision."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import printable, say, show, show_json, wrapped_rows

if TYPE_CHECKING:
    from bedplate.store import AskRow

Ask = Annotated[str, typer.Argument(help="The ask, as `bedplate asks` lists it.", metavar="ASK")]
Comment = Annotated[str, typer.Option("--comment", help="Why; the agent reads it where you refuse.", metavar="TEXT")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="See and decide calls that wait for a person.", rich_markup_mode=None)
    group.callback(invoke_without_command=True)(list_asks)
    group.command("approve")(approve)
    group.command("deny")(deny)
    app.add_typer(group, name="asks")


def list_asks(
    context: typer.Context,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided or over.")] = False,
    as_json: AsJson = False,
) -> int:
    """List the calls that wait: exact arguments, for whom, by which scope. Decide by `asks approve` or `asks deny`."""
    from bedplate.release.asks import asks_of

    if context.invoked_subcommand:
        return 0
    found = asks_of(file, stage, all_of_them=everything)
    if as_json:
        show_json({"schema": "bedplate.dev/asks/v1", "ok": True, "asks": [asdict(ask) for ask in found]})
        return 0
    if not found:
        show("  Nothing waits for a person." if not everything else "  Nothing was asked.")
        return 0
    show("\n".join(line for ask in found for line in _lines(ask)))
    say("\nDecide: bedplate asks approve ASK, or bedplate asks deny ASK --comment …")
    return 0


def _lines(ask: AskRow) -> list[str]:
    arguments = json.dumps(dict(ask.arguments), ensure_ascii=False)
    by = f" by {ask.decider}" if ask.decider else ""
    rows = [
        (ask.id, f"{ask.status}{by}", f"{ask.tool}.{ask.operation}"),
        ("", "arguments", arguments),
        ("", "for", f"{ask.user}, session {ask.session}"),
        ("", "asked by", f"scope {ask.grant} {ask.line}".strip()),
        ("", "left", _left(ask)),
        ("", "comment", ask.comment),
    ]
    kept = [tuple(printable(cell) for cell in row) for row in rows if row[2]]
    return wrapped_rows(kept)


def _left(ask: AskRow) -> str:
    """How long it can still be decided, or used."""
    seconds = ask.expires - time.time()
    if ask.status not in {"pending", "approved"}:
        return ""
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{max(0, seconds) / 60:.0f} min"


def approve(
    ask: Ask,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    comment: Comment = "",
    resume: Annotated[bool, typer.Option("--resume", help="Let the agent go on now, and print its answer.")] = False,
    as_json: AsJson = False,
) -> int:
    """Agree to one call, with just these arguments, in its session, once."""
    return _decide(ask, file, stage, comment, True, resume, as_json)


def deny(
    ask: Ask,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    comment: Comment = "",
    resume: Annotated[bool, typer.Option("--resume", help="Let the agent go on now, and print its answer.")] = False,
    as_json: AsJson = False,
) -> int:
    """Refuse one call."""
    return _decide(ask, file, stage, comment, False, resume, as_json)


def _decide(
    ask: str, file: ManifestFile, stage: str | None, comment: str, agreed: bool, resume: bool, as_json: bool
) -> int:
    from bedplate.cli.ask import go_on
    from bedplate.release.asks import decide

    found = decide(file, stage, ask, approve=agreed, comment=comment)
    if as_json and not resume:
        show_json({"schema": "bedplate.dev/ask/v1", "ok": True, "ask": asdict(found)})
    else:
        say(f"{found.id} is {found.status}: {found.tool}.{found.operation}")
    if resume:
        return go_on(file, stage, found.id, found.user, as_json)
    if not as_json:
        say("The conversation goes on with its next message, or at once: --resume")
    return 0
