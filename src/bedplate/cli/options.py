"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bedplate.engine.api import Options

ManifestFile = Annotated[Path, typer.Option("--file", "-f", help="The manifest.", show_default=True, metavar="FILE")]


def _stage_names(incomplete: str) -> list[str]:
    """For the shell's completion: the stages of ./agent.yaml. One of which no stage can be read completes nothing."""
    from bedplate.manifest.load import examine
    from bedplate.problems import BedplateError

    try:
        loaded = examine(DEFAULT_FILE)
    except BedplateError:
        return []
    return [name for name in loaded.stage_names or loaded.stages if name.startswith(incomplete)]


DEFAULT_FILE = Path("agent.yaml")

Stage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        "-s",
        help="The stage; the first of the manifest unless given.",
        metavar="NAME",
        autocompletion=_stage_names,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (a versioned schema) on standard output.")]
Unsandboxed = Annotated[
    bool,
    typer.Option("--allow-unsandboxed", help="Go on where this machine cannot isolate the agent; says what is lost."),
]
User = Annotated[str, typer.Option("--user", "-u", help="The end user on whose behalf you ask.", metavar="ID")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

Parallel = Annotated[int, typer.Option("--parallel", min=1, help="How many steps run at once.", metavar="N")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", help="Touch only this resource: its name or URN, `*` for a part, `**` for any. Repeatable."
    ),
]
Excludes = Annotated[
    list[str] | None, typer.Option("--exclude", help="Leave this resource as it is; written as --target. Repeatable.")
]
Dependents = Annotated[
    bool, typer.Option("--target-dependents", help="With --target or --exclude: also what depends on those.")
]
KeepGoing = Annotated[
    bool, typer.Option("--continue-on-error", help="After a failure go on with what does not need what failed.")
]
Refresh = Annotated[bool, typer.Option("--refresh", help="First look for what was changed or lost outside.")]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="embedded, or pulumi: the Pulumi CLI. The one that deployed the stage unless given.",
        metavar="NAME",
    ),
]
AT_ONCE = 16


def run_options(
    parallel: int,
    targets: list[str] | None,
    excludes: list[str] | None,
    dependents: bool,
    keep_going: bool,
    refresh: bool,
) -> Options:
    """The engine's options of one run. Raises BedplateError BP230 for what makes no sense together."""
    from bedplate.engine.api import Options

    return Options(
        parallel=parallel,
        targets=tuple(targets or ()),
        excludes=tuple(excludes or ()),
        target_dependents=dependents,
        continue_on_error=keep_going,
        refresh=refresh,
    )


def require_one_form(markdown: bool, as_json: bool) -> None:
    """Raises BP701 where both are asked for: standard output has room for one."""
    from bedplate.problems import BedplateError, ExitCode, Problem

    if markdown and as_json:
        problem = Problem("BP701", "--markdown and --json are two forms of one output", fix="give one of them")
        raise BedplateError(problem, exit_code=ExitCode.USAGE)
