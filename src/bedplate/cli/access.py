"""`access`: what the agent may do, what a change lets it do beyond that, and why one request is decided as it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bedplate.cli.accesschecks import compile_, matrix, prove
from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import show, show_json

_SIDE = "a manifest's file, a stage of the manifest, or a git revision; file:, stage: or git: before it says which"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="See and compare what the agent may do.", no_args_is_help=True, rich_markup_mode=None)
    group.command("diff")(diff)
    group.command("why")(why)
    group.command("matrix")(matrix)
    group.command("prove")(prove)
    group.command("compile")(compile_)
    app.add_typer(group, name="access")


def diff(
    old: Annotated[str, typer.Argument(help=f"What it is compared with: {_SIDE}.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="The other side, written likewise.", metavar="NEW")],
    file: ManifestFile = DEFAULT_FILE,
    stage: Annotated[
        str | None, typer.Option("--stage", "-s", help="Only this stage of both sides.", metavar="NAME")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as a review has it.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show what NEW may do and OLD may not, each with a request as proof. Exit 3 where it is wider or unproved."""
    from bedplate.cli.accessscreen import diff_screen
    from bedplate.cli.options import require_one_form
    from bedplate.review.accessdiff import access_diff
    from bedplate.review.markdown import diff_markdown

    require_one_form(markdown, as_json)
    found = access_diff(file, old, new, stage)
    if as_json:
        show_json(found.to_json())
    else:
        show(diff_markdown(found) if markdown else diff_screen(found))
    return int(found.exit)


def why(
    request: Annotated[
        list[str],
        typer.Argument(
            help="TOOL.OPERATION, or TOOL VERB OBJECT, then the arguments as JSON: refunds.refund '{\"amount\": 100}'.",
            metavar="REQUEST...",
        ),
    ],
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    claim: Annotated[
        list[str] | None, typer.Option("--claim", help="A claim of the session. Repeatable.", metavar="NAME=VALUE")
    ] = None,
    user: Annotated[str, typer.Option("--user", "-u", help="The end user.", metavar="ID")] = "",
    as_json: AsJson = False,
) -> int:
    """Decide one request as the gateway would: allow, ask or deny, by which scope, on which line. Runs nothing."""
    from bedplate.access.why import asked as in_json
    from bedplate.access.why import explain
    from bedplate.blueprint.asked import absent, request_of
    from bedplate.cli.accessscreen import why_screen
    from bedplate.release.check import open_checked

    blueprint = open_checked(file, stage, enforced=False).blueprint
    asked = request_of(blueprint, request, _claims(claim or ()), user)
    found, note = explain(blueprint.scopes, asked), absent(blueprint, asked)
    if as_json:
        show_json({**found.to_json(), "stage": blueprint.stage, "request": in_json(asked), "note": note})
    else:
        show(why_screen(asked, found, note))
    return 0


def _claims(given: Any) -> dict[str, str]:
    from bedplate.problems import BedplateError, ExitCode, Problem

    wrong = next((text for text in given if not text.partition("=")[0] or "=" not in text), None)
    if wrong is not None:
        problem = Problem("BP701", f"--claim {wrong} has no value", fix="write --claim tenant=acme")
        raise BedplateError(problem, exit_code=ExitCode.USAGE)
    return dict(text.split("=", 1) for text in given)
