"""`eval` runs the evals and their gates; `evals generate` proposes cases from the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import say, show, show_json, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedplate.evals.report import SuiteReport


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("eval")(eval_)
    group = typer.Typer(help="Work with eval datasets.", no_args_is_help=True, rich_markup_mode=None)
    group.command("generate")(generate)
    app.add_typer(group, name="evals")


def eval_(
    suites: Annotated[list[str] | None, typer.Argument(help="Suites of the manifest; all unless given.")] = None,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    repeats: Annotated[
        int | None, typer.Option(help="Ask each case so often, instead of what the manifest says.", min=1)
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Questions at once.", min=1, max=64)] = 4,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.", metavar="FILE")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the results (JSON) here.", metavar="FILE")] = None,
    annotate: Annotated[bool, typer.Option("--github", help="Print GitHub annotations for failing cases.")] = False,
    as_json: AsJson = False,
) -> int:
    """Ask the running agent every case, grade the answers and judge the gates. Exit 4 when a gate fails."""
    from bedplate.cli.progress import answers
    from bedplate.release.check import open_checked
    from bedplate.release.evaluate import evaluate
    from bedplate.release.running import running_stage

    for path in (junit, out):
        if path and not path.parent.is_dir():  # better now than after the last answer
            raise NotADirectoryError(20, "there is no such folder", str(path.parent))
    running = running_stage(open_checked(file, stage))
    reports = evaluate(
        running, suites or (), repeats=repeats, concurrency=concurrency, progress=None if as_json else answers
    )
    document = _document(reports)
    _write(reports, document, junit, out)
    if as_json:
        show_json(document)
    else:
        _show(reports, annotate=annotate)
    return int(document["exit"])


def _document(reports: Sequence[SuiteReport]) -> dict[str, Any]:
    from bedplate.evals.gates import exit_of
    from bedplate.evals.report import to_json

    code = exit_of(report.outcome for report in reports)
    suites = [to_json(report) for report in reports]
    return {"schema": "bedplate.dev/eval/v1", "ok": code == 0, "exit": int(code), "suites": suites}


def _write(reports: Sequence[SuiteReport], document: dict[str, Any], junit: Path | None, out: Path | None) -> None:
    import json

    from bedplate.evals.junit import junit as junit_xml

    if junit:
        junit.write_text(junit_xml(reports), "utf-8")
    if out:
        out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _show(reports: Sequence[SuiteReport], *, annotate: bool) -> None:
    from bedplate.evals.table import github_annotations, render

    for report in reports:
        show(render(report, width=width()))
        if annotate and (lines := github_annotations(report)):
            show("\n".join(lines))


def generate(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    out: Annotated[Path, typer.Option(help="Where to write the proposals.", metavar="FILE")] = Path(
        "evals/proposed.yaml"
    ),
    limit: Annotated[int, typer.Option(help="At most so many cases.", min=1, max=5000)] = 200,
    as_json: AsJson = False,
) -> int:
    """Propose eval cases from the declared documents, each with its source, for a person to review."""
    from bedplate.release.propose import propose_cases
    from bedplate.release.target import open_target

    found = propose_cases(open_target(file, stage), out, limit=limit)
    if as_json:
        show_json({"schema": "bedplate.dev/evals-generate/v1", "ok": True, **found})
        return 0
    show(f"{found['cases']} proposed cases in {out}; search finds the source of {found['retrieved']} of them.")
    say(
        "Review them: correct or delete each case, remove `status: proposed` from those that are right,\n"
        "then move them to a dataset that agent.yaml names."
    )
    return 0
