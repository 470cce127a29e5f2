"""`plan`, `up`, `promote`, `destroy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedplate.cli.options import (
    AT_ONCE,
    DEFAULT_FILE,
    AsJson,
    Dependents,
    EngineName,
    Excludes,
    KeepGoing,
    ManifestFile,
    Parallel,
    Refresh,
    Stage,
    Targets,
    Unsandboxed,
    Yes,
    require_one_form,
    run_options,
)
from bedplate.cli.output import interactive, say, show, show_json

if TYPE_CHECKING:
    from bedplate.release.deploy import Release
    from bedplate.release.plan import Plan
    from bedplate.release.receipt import PlanReceipt

Planned = Annotated[
    Path | None,
    typer.Option("--plan", help="Apply what this receipt of `plan --out` says, or nothing.", metavar="FILE"),
]
Out = Annotated[Path | None, typer.Option("--out", help="Write a receipt that `--plan` takes.", metavar="FILE")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the plan as Markdown, as a review has it.")]
WithoutSecrets = Annotated[
    bool, typer.Option("--without-secrets", help="Plan without looking up secrets: they count as unchanged.")
]
Override = Annotated[
    str | None,
    typer.Option(
        "--override", help="Go on against gates, approvals or order, for this reason. It is recorded.", metavar="REASON"
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("plan")(plan)
    app.command("up")(up)
    app.command("promote")(promote)
    app.command("destroy")(destroy)


def plan(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    out: Out = None,
    markdown: Markdown = False,
    without_secrets: WithoutSecrets = False,
    parallel: Parallel = AT_ONCE,
    target: Targets = None,
    exclude: Excludes = None,
    target_dependents: Dependents = False,
    continue_on_error: KeepGoing = False,
    refresh: Refresh = False,
    engine: EngineName = "",
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Show what `up` would change and the verdict on it. Exit 2 when changes are pending, 0 when none are."""
    from bedplate.cli.progress import drifted, waiting
    from bedplate.release.check import open_checked, open_deployable
    from bedplate.release.deploy import make_plan
    from bedplate.release.receipt import write_receipt
    from bedplate.release.releasing import receipt_of

    require_one_form(markdown, as_json)
    options = run_options(parallel, target, exclude, target_dependents, continue_on_error, refresh)
    opened = replace((open_checked if without_secrets else open_deployable)(file, stage), engine=engine)
    with waiting(f"Planning {opened.label}", quiet=as_json):
        seen = None if as_json else drifted
        found = make_plan(
            opened,
            allow_unsandboxed=allow_unsandboxed,
            without_secrets=without_secrets,
            options=options,
            on_event=seen,
        )
    if out:
        write_receipt(out, receipt_of(found, opened))
    return _show_plan(found, markdown=markdown, as_json=as_json, out=out)


def _show_plan(found: Plan, *, markdown: bool, as_json: bool, out: Path | None) -> int:
    from bedplate.cli.planscreen import plan_screen

    if as_json:
        show_json(found.to_json())
    elif markdown:
        from bedplate.review.markdown import plan_markdown

        show(plan_markdown(found))
    else:
        show(plan_screen(found))
        steps = found.verdict.next_steps
        if out and steps and not found.verdict.blocks and steps[-1].startswith(("bedplate up", "bedplate promote")):
            steps = (f"{steps[-1]} --plan {out}",)
        if steps:
            say("\nNext:\n" + "\n".join(f"  {step}" for step in steps))
    return int(found.verdict.exit)


def up(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    planned: Planned = None,
    override: Override = None,
    parallel: Parallel = AT_ONCE,
    target: Targets = None,
    exclude: Excludes = None,
    target_dependents: Dependents = False,
    continue_on_error: KeepGoing = False,
    refresh: Refresh = False,
    engine: EngineName = "",
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Bring a stage up, or change it to what the manifest says. Does nothing when nothing changed."""
    from bedplate.cli.progress import Progress
    from bedplate.release.check import open_deployable
    from bedplate.release.deploy import Refused
    from bedplate.release.deploy import up as bring_up
    from bedplate.release.releasing import reason_of

    options = run_options(parallel, target, exclude, target_dependents, continue_on_error, refresh)
    reason, receipt = reason_of(override), _read(planned)
    found = bring_up(
        replace(open_deployable(file, stage), engine=engine),
        planned=receipt,
        override=reason,
        allow_unsandboxed=allow_unsandboxed,
        options=options,
        on_event=Progress(quiet=as_json),
    )
    if isinstance(found, Refused):
        return _show_plan(found.plan, markdown=False, as_json=as_json, out=None)
    if as_json:
        show_json({**found.to_json(), "ok": True})
    else:
        _show_release(found, stage)
    return 0


def _read(path: Path | None) -> PlanReceipt | None:
    from bedplate.release.receipt import read_receipt

    return read_receipt(path) if path else None


def _show_release(release: Release, stage: str | None) -> None:
    from bedplate.cli.screens import next_commands, release_screen

    if release.override:
        say(f"OVERRIDE: applied against the verdict ({release.plan.verdict.line}). Reason: {release.override}")
    if release.plan.sandbox == "none":
        say("warning: this machine cannot isolate the agent; `bedplate status` lists what is not enforced")
    show(release_screen(release))
    for trouble in release.troubles:
        say(f"warning: {trouble}")
    if release.plan.first:
        say(next_commands(bool(release.plan.evals), stage))


def promote(
    stage: Annotated[str, typer.Argument(help="The stage that gets the build.", metavar="STAGE")],
    file: ManifestFile = DEFAULT_FILE,
    look: Annotated[bool, typer.Option("--dry-run", help="Show the plan; run no gates and change nothing.")] = False,
    markdown: Markdown = False,
    without_secrets: WithoutSecrets = False,
    out: Out = None,
    planned: Planned = None,
    override: Override = None,
    allow_unsandboxed: Unsandboxed = False,
    as_json: AsJson = False,
) -> int:
    """Bring the build that a stage's `from` has released to the stage: gates run, approvals checked, never rebuilt."""
    from bedplate.cli.progress import Progress, answers
    from bedplate.release.promote import open_promotion
    from bedplate.release.promote import promote as bring_on
    from bedplate.release.receipt import write_receipt
    from bedplate.release.releasing import reason_of, receipt_of

    require_one_form(markdown, as_json)
    look = look or out is not None
    _require_look(look, {"--markdown": markdown, "--without-secrets": without_secrets})
    reason, receipt = reason_of(override), _read(planned)
    promotion = open_promotion(file, stage)
    found = bring_on(
        promotion,
        look=look,
        planned=receipt,
        override=reason,
        allow_unsandboxed=allow_unsandboxed,
        without_secrets=without_secrets,
        on_event=Progress(quiet=as_json),
        on_answer=None if as_json else answers,
    )
    if out:
        write_receipt(out, receipt_of(found.plan, promotion.target))
    if as_json:
        show_json(found.to_json())
    elif found.release:
        _show_release(found.release, stage)
    else:
        return _show_plan(found.plan, markdown=markdown, as_json=False, out=out)
    return 0 if found.release else int(found.plan.verdict.exit)


def _require_look(look: bool, options: Mapping[str, bool]) -> None:
    from bedplate.problems import BedplateError, ExitCode, Problem

    given = [name for name, there in options.items() if there]
    if given and not look:
        problem = Problem("BP701", f"{given[0]} is for a plan, and this promotes", fix="add --dry-run")
        raise BedplateError(problem, exit_code=ExitCode.USAGE)


def destroy(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    parallel: Parallel = AT_ONCE,
    target: Targets = None,
    exclude: Excludes = None,
    target_dependents: Dependents = False,
    continue_on_error: KeepGoing = False,
    refresh: Refresh = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Take a stage away: processes, memory, traces and files. Says first what is lost.

    With --target or --exclude the stage stays, without what is named.
    """
    from bedplate.cli.progress import Progress
    from bedplate.cli.screens import loss_screen
    from bedplate.problems import BedplateError, ExitCode, Problem
    from bedplate.release.destroy import destroy as take_away
    from bedplate.release.destroy import find_stage, losses

    options = run_options(parallel, target, exclude, target_dependents, continue_on_error, refresh)
    found = find_stage(file, stage)
    if found is None:
        if as_json:
            show_json({"schema": "bedplate.dev/destroy/v1", "ok": True, "deleted": [], "lost": {}})
        else:
            show("Nothing is deployed there.")
        return 0
    lost = {} if target or exclude else losses(found)
    if not as_json and not (target or exclude):
        say(loss_screen(found.name, lost))
    if not yes:
        if not interactive():
            problem = Problem("BP703", "destroy needs a yes", fix=f"bedplate destroy{_stage_flag(stage)} --yes")
            raise BedplateError(problem, exit_code=ExitCode.NEEDS_APPROVAL)
        if not typer.confirm(f"Destroy {', '.join(target or [])}{' of ' if target else ''}{found.name}?", err=True):
            return int(ExitCode.NEEDS_APPROVAL)
    deleted = take_away(found, options=options, on_event=Progress(quiet=as_json))
    if as_json:
        show_json({"schema": "bedplate.dev/destroy/v1", "ok": True, "deleted": deleted, "lost": lost})
    elif found.paths.folder.exists():
        show(f"{len(deleted)} resources of {found.name} deleted; the rest stands.")
    else:
        show(f"{found.name} is gone: {len(deleted)} resources deleted, nothing left behind.")
    return 0


def _stage_flag(stage: str | None) -> str:
    return f" --stage {stage}" if stage else ""
