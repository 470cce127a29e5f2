"""`traces list`, `traces show`, `traces tail`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import say, show, show_json, show_line, table, width


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="What the agent did, turn by turn.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_)
    group.command("show")(show_trace)
    group.command("tail")(tail_)
    app.add_typer(group, name="traces")


def list_(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many, newest first.", min=1, max=1000)] = 20,
    session: Annotated[str | None, typer.Option(help="Only this conversation.", metavar="ID")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only turns that failed.")] = False,
    as_json: AsJson = False,
) -> int:
    """List turns, newest first: when, how long, tokens, tool calls, denials."""
    from bedplate.release.target import open_target
    from bedplate.traces.query import list_traces
    from bedplate.traces.query import to_json as as_document

    folder = open_target(file, stage).paths.traces
    found = list_traces(folder, limit=limit, session=session, status="error" if failed else None)
    if as_json:
        show_json({"schema": "bedplate.dev/traces/v1", "traces": [as_document(t) for t in found]})
        return 0
    show(table([_row(t) for t in found]) if found else "  No traces yet.")
    if found:
        say("\nOne of them: bedplate traces show last, or the first characters of its id")
    return 0


def _row(trace: Any) -> tuple[str, ...]:
    from datetime import datetime

    started = datetime.fromtimestamp(trace.started).strftime("%m-%d %H:%M:%S")
    denied = f"{trace.denials} denied" if trace.denials else ""
    return (
        trace.trace_id[:12],
        started,
        f"{trace.duration_ms:.0f} ms",
        f"{trace.input_tokens}+{trace.output_tokens} tok",
        f"{trace.tool_calls} calls",
        denied or trace.status,
        trace.input,
    )


def show_trace(
    trace: Annotated[str, typer.Argument(help="`last`, or the first characters of a trace's id.")] = "last",
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    as_json: AsJson = False,
) -> int:
    """Show one turn as a tree: timings, tokens, and the decision and grant of every tool call."""
    from bedplate.problems import BedplateError, Problem
    from bedplate.release.target import open_target
    from bedplate.traces.query import get_trace, list_traces
    from bedplate.traces.query import to_json as as_document
    from bedplate.traces.render import render_trace

    folder = open_target(file, stage).paths.traces
    if trace == "last":
        newest = list_traces(folder, limit=1)
        if not newest:
            raise BedplateError(Problem("BP705", "no traces in this stage yet", fix='bedplate ask "…"'))
        trace = newest[0].trace_id
    found = get_trace(folder, trace)
    if as_json:
        show_json({"schema": "bedplate.dev/trace/v1", **as_document(found)})
    else:
        show(render_trace(found, width=width()))
    return 0


def tail_(file: ManifestFile = DEFAULT_FILE, stage: Stage = None, as_json: AsJson = False) -> int:
    """Print turns as they finish, until Ctrl-C. With --json, one document a line."""
    from bedplate.release.target import open_target
    from bedplate.traces.query import tail
    from bedplate.traces.query import to_json as as_document

    target = open_target(file, stage)
    say(f"Waiting for turns of {target.label}; Ctrl-C ends.")
    for found in tail(target.paths.traces):
        if as_json:
            show_line({"schema": "bedplate.dev/trace-summary/v1", **as_document(found)})
        else:
            show(table([_row(found)]))
    return 0
