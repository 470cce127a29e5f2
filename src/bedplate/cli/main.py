"""The `bedplate` command: every subcommand registered, errors turned into text or JSON and an exit code."""

from __future__ import annotations

import gc
import io
import os
import sys
from typing import TYPE_CHECKING

import typer

from bedplate import __version__
from bedplate.cli import (
    access,
    approve,
    ask,
    asks,
    build,
    ci,
    deploy,
    engine,
    evals,
    freeze,
    history,
    inspect,
    lock,
    memory,
    project,
    refresh,
    review,
    skills,
    state,
    traces,
)

if TYPE_CHECKING:
    from bedplate.problems import BedplateError

COMPLETE = "_BEDPLATE_COMPLETE"
"""The variable by which a shell's completion script asks."""
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""

app = typer.Typer(
    name="bedplate",
    help="Deploy AI agents that are products: one agent.yaml, from a laptop to production.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bedplate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Deploy AI agents that are products: one agent.yaml, from a laptop to production."""


for module in (
    project,
    lock,
    build,
    deploy,
    refresh,
    engine,
    access,
    approve,
    history,
    review,
    ci,
    ask,
    asks,
    evals,
    traces,
    inspect,
    freeze,
    memory,
    state,
    skills,
):
    module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. The only place where an error becomes an exit code."""
    argv = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(50_000)  # most of a command's time are imports, whose objects stay: looking for garbage finds none
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no “→” gets an escape, not a crash
    if COMPLETE in os.environ:
        _prepare_completion()
    sys.exit(_flushed(run(argv or ["--help"])))


def run(argv: list[str]) -> int:
    """Run one command and return its exit code. Every error is printed here, as text or as JSON."""
    from bedplate.cli.output import fail, say
    from bedplate.problems import BedplateError, ExitCode, Problem

    as_json = "--json" in argv
    try:
        code = app(argv, standalone_mode=False, prog_name="bedplate")
    except BedplateError as error:
        code = fail(error, as_json=as_json)
        return STOPPED if any(problem.code == "BP231" for problem in error.problems) else code
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        say("Stopped.")
        return STOPPED
    except BrokenPipeError:
        _drop_stdout()  # the reader is gone
        return 0
    except typer.TyperException as error:
        usage = Problem("BP700", _message(error), fix=_help_of(error))
        return fail(BedplateError(usage, exit_code=ExitCode.USAGE), as_json=as_json)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        return _refused(BedplateError(Problem("BP713", what)), as_json)
    except Exception as error:  # noqa: BLE001 - the last resort: told as what it is, with its traceback
        return _fault(error, as_json)
    return code if isinstance(code, int) else 0


def _refused(error: BedplateError, as_json: bool) -> int:
    """Told as asked for, or on stderr where standard output itself cannot be written."""
    from bedplate.cli.output import fail

    try:
        return fail(error, as_json=as_json)
    except OSError:
        return fail(error, as_json=False)


def _fault(error: Exception, as_json: bool) -> int:
    import traceback

    from bedplate.cli.output import fail
    from bedplate.problems import BedplateError, Problem

    traceback.print_exception(error, file=sys.stderr)
    told = Problem("BP799", f"a fault in Bedplate: {type(error).__name__}: {error}")
    return fail(BedplateError(told), as_json=as_json)


def _flushed(code: int) -> int:
    """Write out what is left; a full disk or a reader that went away is told here and not at the interpreter's end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        sys.stderr.write(f"BP713 standard output: {error.strerror}\n")
        _drop_stdout()
        return 1
    return code


def _drop_stdout() -> None:
    """Let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _prepare_completion() -> None:
    """Make Typer answer the shells; it does so by itself only where it also adds options for installing scripts."""
    from typer._completion_classes import completion_init

    completion_init()


def _message(error: typer.TyperException) -> str:
    return str(getattr(error, "format_message", lambda: error)()).rstrip(".")


def _help_of(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else "see `bedplate --help`"


if __name__ == "__main__":
    main()
