"""`history`: what was released to a stage, and each release with everything it rested on."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import ago, printable, say, show, show_json, strong, width, wrapped_rows

if TYPE_CHECKING:
    from bedplate.release.records import ReleaseRecord

_LABEL = 11
_EFFECTS = (("wider", "+{} wider"), ("unproved", "{} unproved"), ("narrower", "-{} narrower"))


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
    group.callback(invoke_without_command=True)(history)
    group.command("show")(show_release)
    app.add_typer(group, name="history")


def history(
    context: typer.Context, file: ManifestFile = DEFAULT_FILE, stage: Stage = None, as_json: AsJson = False
) -> int:
    """List the releases of a stage, the last one first."""
    if context.invoked_subcommand:
        _refuse_options(context)
        return 0
    name, releases = _releases(file, stage)
    newest = list(reversed(releases))
    if as_json:
        documents = [release.to_json() for release in newest]
        show_json({"schema": "bedplate.dev/history/v1", "ok": True, "stage": name, "releases": documents})
    elif not newest:
        show(f"Nothing was released{f' to {name}' if name else ''} yet.")
    else:
        now = time.time()
        head = ("", "when", "build", "who", "status", "access", "verdict")
        show("\n".join(wrapped_rows([head, *(_row(r, now) for r in newest)])))
        say("\nEverything of one: bedplate history show last" + (f" --stage {stage}" if stage else ""))
    return 0


def show_release(
    number: Annotated[str, typer.Argument(help="The release's number, or `last`.")],
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    as_json: AsJson = False,
) -> int:
    """Show one release: what changed, who released it, and the evals and approvals it rested on."""
    name, releases = _releases(file, stage)
    release = _chosen(number, name, releases)
    if as_json:
        show_json({"schema": "bedplate.dev/release-record/v1", "ok": True, **release.to_json()})
    else:
        show(release_record_screen(release, time.time()))
    return 0


def _refuse_options(context: typer.Context) -> None:
    """Options before the subcommand would be read and not used."""
    from bedplate.problems import BedplateError, Problem

    given = [p for p in context.params if str(getattr(context.get_parameter_source(p), "name", "")) == "COMMANDLINE"]
    if given:
        said = f"options of `history {context.invoked_subcommand}` stand after it"
        raise BedplateError(Problem("BP700", said, fix=f"see `bedplate history {context.invoked_subcommand} --help`"))


def _releases(file: Any, stage: str | None) -> tuple[str, Sequence[ReleaseRecord]]:
    """The stage's name and its releases; none where it has no folder."""
    from bedplate.release.destroy import find_stage
    from bedplate.release.records import ReleaseLog, require_fitting
    from bedplate.release.status import stage_outputs

    found = find_stage(file, stage)
    if found is None:
        return stage or "", ()
    log = ReleaseLog(found.paths.releases)
    require_fitting(log, str(stage_outputs(found.paths, found.name).get("buildDigest", "")))
    return found.name, log.releases()


def _chosen(number: str, stage: str, releases: Sequence[ReleaseRecord]) -> ReleaseRecord:
    from bedplate.problems import BedplateError, Problem

    if number == "last" and releases:
        return releases[-1]
    for release in releases:
        if number == str(release.number):
            return release
    there = f"1 to {releases[-1].number}" if releases else "none"
    of = f" of {stage}" if stage else ""
    raise BedplateError(Problem("BP778", f"there is no release {number}{of}", fix=f"there are: {there}"))


def _row(release: ReleaseRecord, now: float) -> tuple[str, ...]:
    return (
        str(release.number),
        f"{ago(now - _seconds(release.started))} ago",
        _short(release.build),
        release.who.get("actor") or release.who.get("user", ""),
        release.status + (", overridden" if release.override else ""),
        access_summary(release.plan) or "unchanged",
        str(release.verdict.get("line", "")),
    )


def access_summary(plan: Mapping[str, Any]) -> str:
    """`+2 wider, -1 narrower`; "" where access did not change."""
    counts = Counter(finding["effect"] for finding in plan.get("access", ()))
    return ", ".join(text.format(counts[effect]) for effect, text in _EFFECTS if counts[effect])


def release_record_screen(release: ReleaseRecord, now: float) -> str:
    """One release on one calm screen. What it does not have is not listed."""
    head = f"{strong(f'{release.agent} → {release.stage}')}   release {release.number}, {release.status}"
    facts = [line for label, text in _facts(release, now) if text for line in _hanging(f"  {label:<{_LABEL}}", text)]
    parts = [head, "", *facts]
    for title, rows in _lists(release):
        if rows:
            parts += ["", f"  {title}", *_rows(rows)]
    return "\n".join(parts)


def _rows(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns aligned; the last one goes on below where it is long."""
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    for *cells, last in rows:
        start = "    " + "".join(f"{printable(cell):<{size + 2}}" for cell, size in zip(cells, widths, strict=True))
        yield from _hanging(start, last)


def _facts(release: ReleaseRecord, now: float) -> Iterator[tuple[str, str]]:
    who = release.who
    taken = f", took {ago(_seconds(release.finished) - _seconds(release.started))}" if release.finished else ""
    yield "when", f"{release.started} ({ago(now - _seconds(release.started))} ago{taken})"
    yield "who", who.get("user", "") + (f", in {who['ci']} for {who.get('actor', '')}" if "ci" in who else "")
    yield "run", who.get("run", "")
    yield "build", release.build
    yield "behaviour", release.behaviour
    yield "from", f"{release.from_stage}, release {release.from_release}" if release.from_stage else ""
    yield "verdict", str(release.verdict.get("line", ""))
    yield "override", release.override and f"released against the verdict: {release.override}"
    yield "problem", release.problem
    yield "with", f"bedplate {release.tool_version}"


def _lists(release: ReleaseRecord) -> Iterator[tuple[str, Sequence[tuple[str, ...]]]]:
    plan = release.plan
    yield "access", [_finding(f"A{number}", finding) for number, finding in enumerate(plan.get("access", ()), 1)]
    rest = [("", "", f"{plan['unchanged']} unchanged")] if plan.get("unchanged") else []
    yield "changes", [*map(_change, plan.get("changes", ())), *rest]
    yield "evals", [(e["suite"], e["outcome"], _cases(e)) for e in release.evals]
    yield (
        "approvals",
        [(a["approver"], f"until {a['expires']}", f"{a['says']}: {a['reason']}") for a in release.approvals],
    )


def _finding(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    from bedplate.access.findings import Finding
    from bedplate.release.approve import words

    finding = Finding(**{field: found[field] for field in Finding.__dataclass_fields__ if field in found})
    return name, finding.effect, finding.where, words(finding)


def _change(change: Mapping[str, Any]) -> tuple[str, ...]:
    from bedplate.release.plan import SYMBOLS

    note = change.get("loss") or change.get("note")
    what = f"{change['kind']} {change['name']}" + (f" ({note})" if note else "")
    return SYMBOLS[change["action"]], change.get("where", ""), what


def _cases(suite: Mapping[str, Any]) -> str:
    return f"{suite['passed']} of {suite['cases']} cases" if suite.get("cases") else ""


def _hanging(start: str, text: str) -> Iterator[str]:
    """A text behind its beginning, going on below itself. Digests and addresses are not broken."""
    room = max(width() - len(start), 20)
    for line in textwrap.wrap(printable(text), room, break_long_words=False, break_on_hyphens=False) or [""]:
        yield (start + line).rstrip()
        start = " " * len(start)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _seconds(time_text: str) -> float:
    from bedplate.release.approvals import unix_time

    return unix_time(time_text)
