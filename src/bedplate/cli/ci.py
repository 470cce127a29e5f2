"""`ci init`: workflows that review each change and release stage after stage."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile
from bedplate.cli.output import say, show, show_json, table, width

if TYPE_CHECKING:
    from bedplate.review.ci.write import Platform, Written


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="Workflows for GitHub Actions and GitLab CI.", no_args_is_help=True, rich_markup_mode=None)
    group.command("init")(init)
    app.add_typer(group, name="ci")


def init(
    github: Annotated[bool, typer.Option("--github", help="Write workflows for GitHub Actions.")] = False,
    gitlab: Annotated[bool, typer.Option("--gitlab", help="Write jobs for GitLab CI.")] = False,
    branch: Annotated[
        str | None,
        typer.Option(help="The branch that is released; the default branch of origin unless given.", metavar="NAME"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
    file: ManifestFile = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """Write workflows made of the manifest's stages: review of each change, release of what was merged."""
    from bedplate import __version__
    from bedplate.review.ci.facts import read_facts
    from bedplate.review.ci.write import write

    platform = _platform(github, gitlab)
    written = write(read_facts(file, branch, __version__), platform, force=force)
    if as_json:
        from dataclasses import asdict

        show_json({"schema": "bedplate.dev/ci-init/v1", "ok": True, **asdict(written)})
        return 0
    _show(written)
    return 0


def _platform(github: bool, gitlab: bool) -> Platform:
    from bedplate.problems import BedplateError, ExitCode, Problem

    if github == gitlab:
        summary = "--github and --gitlab are two platforms" if github else "the platform is not named"
        fix = "give one of --github, --gitlab"
        raise BedplateError(Problem("BP701", summary, fix=fix), exit_code=ExitCode.USAGE)
    return "github" if github else "gitlab"


def _show(written: Written) -> None:
    show(table([(file.action, file.path) for file in written.files]))
    if all(file.action == "unchanged" for file in written.files):
        say("\nNothing to do: the files are as they would be written.")
        return
    say("\nLeft to do by hand:")
    for number, line in enumerate(written.remaining, start=1):
        say(_wrapped(f"  {number}. ", line))


def _wrapped(mark: str, line: str) -> str:
    """Names and addresses in it stay whole, to be copied."""
    indent = " " * len(mark)
    return textwrap.fill(
        line, width(), initial_indent=mark, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
