"""`plan`, `up`, `destroy`."""

from __future__ import annotations

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage, Unsandboxed, Yes
from bedplate.cli.output import interactive, say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("plan")(plan)
    app.command("up")(up)
    app.command("destroy")(destroy)


def plan(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Show what `up` would change. Exit 2 when something is pending, 0 when nothing is."""
    from bedplate.cli.progress import waiting
    from bedplate.cli.screens import plan_screen
    from bedplate.problems import ExitCode
    from bedplate.release import make_plan
    from bedplate.release.check import open_deployable

    target = open_deployable(file, stage)
    with waiting(f"Planning {target.label}", quiet=as_json):
        found = make_plan(target, allow_unsandboxed=allow_unsandboxed)
    if as_json:
        show_json(found.to_json())
    else:
        show(plan_screen(found))
        if not found.empty:
            say(f"\nApply it: bedplate up{_stage_flag(stage)}")
    return int(ExitCode.OK if found.empty else ExitCode.CHANGES_PENDING)


def up(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Bring a stage up, or change it to what the manifest says. Does nothing when nothing changed."""
    from bedplate.cli.progress import Progress
    from bedplate.cli.screens import next_commands, release_screen
    from bedplate.release import up as bring_up
    from bedplate.release.check import open_deployable

    target = open_deployable(file, stage)
    progress = Progress(quiet=as_json)
    release = bring_up(target, allow_unsandboxed=allow_unsandboxed, on_event=progress)
    if as_json:
        show_json({**release.to_json(), "ok": True})
        return 0
    if release.plan.sandbox == "none":
        say("warning: this machine cannot isolate the agent; `bedplate status` lists what is not enforced")
    show(release_screen(release))
    for trouble in release.troubles:
        say(f"warning: {trouble}")
    if release.plan.first:
        say(next_commands(target.blueprint, stage))
    return 0


def destroy(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Take a stage away: processes, memory, traces and files. Says first what is lost."""
    from bedplate.cli.progress import Progress
    from bedplate.cli.screens import loss_screen
    from bedplate.problems import BedplateError, ExitCode, Problem
    from bedplate.release.destroy import destroy as take_away
    from bedplate.release.destroy import find_stage, losses

    found = find_stage(file, stage)
    if found is None:
        if as_json:
            show_json({"schema": "bedplate.dev/destroy/v1", "ok": True, "deleted": [], "lost": {}})
        else:
            show("Nothing is deployed there.")
        return 0
    lost = losses(found)
    if not as_json:
        say(loss_screen(found.name, lost))
    if not yes:
        if not interactive():
            problem = Problem("BP703", "destroy needs a yes", fix=f"bedplate destroy{_stage_flag(stage)} --yes")
            raise BedplateError(problem, exit_code=ExitCode.NEEDS_APPROVAL)
        if not typer.confirm(f"Destroy {found.name}?", err=True):
            return int(ExitCode.NEEDS_APPROVAL)
    deleted = take_away(found, on_event=Progress(quiet=as_json))
    if as_json:
        show_json({"schema": "bedplate.dev/destroy/v1", "ok": True, "deleted": deleted, "lost": lost})
    else:
        show(f"{found.name} is gone: {len(deleted)} resources deleted, nothing left behind.")
    return 0


def _stage_flag(stage: str | None) -> str:
    return f" --stage {stage}" if stage else ""
