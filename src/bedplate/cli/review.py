"""`review`: what a change in git does to every stage, as a screen, as JSON, and as the comment of a pull request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile
from bedplate.cli.output import say, show, show_json

if TYPE_CHECKING:
    from bedplate.review.model import Review

FORMATS = ("github", "gitlab", "text")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("review")(review)


def review(
    base: Annotated[str, typer.Option(help="What the change is to go into: a branch, tag or commit.", metavar="REV")],
    head: Annotated[str | None, typer.Option(help="The change; HEAD unless given.", metavar="REV")] = None,
    working_tree: Annotated[
        bool, typer.Option("--working-tree", help="Compare the files as they are on disk instead of a commit.")
    ] = False,
    file: ManifestFile = DEFAULT_FILE,
    evals: Annotated[
        list[Path] | None, typer.Option(help="Results of the change, from `bedplate eval --out`.", metavar="FILE")
    ] = None,
    base_evals: Annotated[
        list[Path] | None, typer.Option(help="Results of the base: tells newly failing cases.", metavar="FILE")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the comment here.", metavar="FILE")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help=f"One of {', '.join(FORMATS)}: what is shown, or written to --out.")
    ] = None,
    post: Annotated[bool, typer.Option("--post", help="Write or update the pull request's comment (in CI).")] = False,
    as_json: AsJson = False,
) -> int:
    """Compare two revisions for every stage. Runs nothing of them. Exit 3 needs approval, 4 gate failed, 1 invalid."""
    from bedplate.cli.progress import waiting
    from bedplate.review.compare import Request
    from bedplate.review.compare import review as compare
    from bedplate.review.evidence import read_results

    _refuse(form, head if working_tree else None, post)
    if out and not out.parent.is_dir():  # better now than after the work
        raise NotADirectoryError(20, "there is no such folder", str(out.parent))
    request = Request(file, base, head, working_tree, read_results(evals or ()), read_results(base_evals or ()))
    with waiting("Comparing", quiet=as_json):
        found = compare(request)
    chosen = form or ("gitlab" if os.environ.get("CI_API_V4_URL") else "github")
    if out:
        out.write_text(_text(found, chosen), "utf-8")
    _show(found, "text" if out or post or form is None else chosen, as_json)
    if post:
        _post(found, _text(found, chosen))
    return int(found.exit)


def _refuse(form: str | None, head: str | None, post: bool) -> None:
    """Raises BP701 for options that do not go together."""
    from bedplate.problems import BedplateError, ExitCode, Problem

    problem = None
    if form is not None and form not in FORMATS:
        problem = Problem("BP701", f"--format {form} is unknown", fix=f"one of {', '.join(FORMATS)}")
    elif form == "text" and post:
        problem = Problem("BP701", "--post writes Markdown, not text", fix="--format github or --format gitlab")
    elif head is not None:
        problem = Problem("BP701", "--head and --working-tree exclude each other", fix="leave one of them out")
    if problem:
        raise BedplateError(problem, exit_code=ExitCode.USAGE)


def _show(found: Review, form: str, as_json: bool) -> None:
    if as_json:
        from bedplate.review.model import to_json

        show_json(to_json(found))
        return
    show(_text(found, form))
    if form == "text":
        from bedplate.review.commands import next_commands

        say("\n".join(("", "Next:", *(f"  {line}" for line in next_commands(found)))))


def _text(found: Review, form: str) -> str:
    from bedplate.cli.reviewscreen import review_screen
    from bedplate.review.comment import comment
    from bedplate.review.post import link_maker

    folder = found.file.rpartition("/")[0]
    link = link_maker(os.environ, found.head.commit, f"{folder}/" if folder else "")
    match form:
        case "github":
            return comment(found, "github", link)
        case "gitlab":
            return comment(found, "gitlab", link)
        case _:
            return review_screen(found)


def _post(found: Review, text: str) -> None:
    """What keeps the comment from being posted is told; the exit code stays that of the review."""
    from bedplate.cli.output import problem_text
    from bedplate.problems import Problem, Severity
    from bedplate.review.post import post, summarise

    posted = post(text, found.file, os.environ)
    if posted.address:
        say(f"\nComment: {posted.address}")
        return
    where = "it stands in the job's summary" if summarise(text, os.environ) else "it stands above"
    problem = Problem("BP795", posted.refused, fix=f"{where}; `bedplate explain BP795`", severity=Severity.WARNING)
    say(problem_text(problem))
