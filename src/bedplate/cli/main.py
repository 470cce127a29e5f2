"""The `bedplate` command: every subcommand registered, errors turned into text or JSON and an exit code."""

from __future__ import annotations

import gc
import sys

import typer

from bedplate import __version__
from bedplate.cli import ask, deploy, evals, inspect, memory, project, skills, traces

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


for module in (project, deploy, ask, evals, traces, inspect, memory, skills):
    module.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. The only place where an error becomes an exit code."""
    argv = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(50_000)  # most of a command's time are imports, whose objects stay: looking for garbage finds none
    sys.exit(run(argv))


def run(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    from bedplate.cli.output import fail, say
    from bedplate.problems import BedplateError, ExitCode, Problem

    as_json = "--json" in argv
    try:
        code = app(argv, standalone_mode=False)
    except BedplateError as error:
        return fail(error, as_json=as_json)
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        say("Stopped.")
        return 130
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    except BrokenPipeError:
        sys.stdout = None  # the reader is gone: nothing is left to flush
        return 0
    except typer.TyperException as error:
        usage = Problem("BP700", error.format_message().rstrip("."), fix=_help_of(error))
        return fail(BedplateError(usage, exit_code=ExitCode.USAGE), as_json=as_json)
    return code if isinstance(code, int) else 0


def _help_of(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else "see `bedplate --help`"


if __name__ == "__main__":
    main()
