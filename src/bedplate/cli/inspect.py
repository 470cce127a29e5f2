"""`status`, `logs`, `doctor`: what runs, what it says, and what this machine can do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bedplate.cli.options import DEFAULT_FILE, AsJson, ManifestFile, Stage
from bedplate.cli.output import ago, printable, say, show, show_json, show_line, strong, table

_MARKS = {"pass": "ok", "warn": "!", "fail": "x", "skip": "-", "info": "i"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("status")(status)
    app.command("logs")(logs)
    app.command("doctor")(doctor)


def status(file: ManifestFile = DEFAULT_FILE, stage: Stage = None, as_json: AsJson = False) -> int:
    """Show what runs in a stage, where it answers, and what its sandbox enforces. Exit 1 when something is down."""
    from bedplate.release.status import stage_status

    found = stage_status(file, stage)
    if as_json:
        show_json(found.to_json())
    else:
        show(_status_screen(found))
    return 0 if found.healthy else 1


def _status_screen(found: Any) -> str:
    head = f"{strong(found.label)}   {'healthy' if found.healthy else 'not healthy'}"
    facts = [("address", found.url or "-"), ("build", found.build[:19] or "-"), ("sandbox", found.sandbox or "-")]
    facts += [(what, f"{n:,}") for what, n in found.counts.items()]
    rows = [
        (p["name"], p["state"], f"pid {p['pid'] or '-'}", ago(time.time() - p["since"]), _restarts(p), _rss(p))
        for p in found.processes
    ]
    parts = [head, "", table(facts), "", table(rows) if rows else "  No process runs."]
    if found.tools:
        parts += ["", "  tools", table([_tool(name, state) for name, state in found.tools.items()], indent=4)]
    if found.troubles:
        parts += ["", *(f"  ! {trouble}" for trouble in found.troubles)]
    if found.enforced:
        parts += ["", "  enforced on the agent's process", table(list(found.enforced.items()), indent=4)]
    if found.isolation:
        parts += ["", f"  isolation: {found.isolation}"]
    return "\n".join(parts)


def _tool(name: str, state: Any) -> tuple[str, str, str]:
    ready = state["state"] == "ready"
    return name, state["state"], f"{state.get('operations', 0)} operations" if ready else str(state.get("reason", ""))


def _restarts(process: dict[str, Any]) -> str:
    n = process.get("restarts", 0)
    return f"{n} restarts" if n else ""


def _rss(process: dict[str, Any]) -> str:
    return f"{process['rss'] / 1e6:.0f} MB" if process.get("rss") else ""


def logs(
    process: Annotated[str | None, typer.Argument(help="gateway, agent, traces, …; all unless given.")] = None,
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    follow: Annotated[bool, typer.Option("--follow", "-F", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many last lines.", min=1)] = 50,
    as_json: AsJson = False,
) -> int:
    """Show what the processes of a stage wrote to their logs."""
    from bedplate.problems import BedplateError, Problem
    from bedplate.release.target import open_target

    paths = open_target(file, stage).paths
    known = sorted(p.stem for p in paths.logs.glob("*.log"))
    if not known or (process and process not in known):
        what = f"no log of {process}" if process else "no logs"
        raise BedplateError(Problem("BP704", f"{what} in this stage", fix=f"known: {', '.join(known) or 'none'}"))
    files = [paths.log(name) for name in ([process] if process else known)]
    for log in files:
        for line in _tail(log, lines):
            _log_line(log.stem, line, as_json)
    if follow:
        _follow(files, as_json)
    return 0


def _log_line(process: str, line: str, as_json: bool) -> None:
    if as_json:
        show_line({"schema": "bedplate.dev/log-line/v1", "process": process, "line": line})
    else:
        show(f"{process:<10} {printable(line)}")


def _tail(path: Path, lines: int) -> list[str]:
    """The last lines, from the last 256 KiB."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 262_144))
        return file.read().decode("utf-8", "replace").splitlines()[-lines:]


def _follow(files: list[Path], as_json: bool) -> None:
    places = {path: path.stat().st_size for path in files}
    while True:
        for path, place in places.items():
            size = path.stat().st_size if path.exists() else 0
            if size < place:
                place = 0  # rotated
            if size > place:
                with path.open("rb") as file:
                    file.seek(place)
                    text = file.read()
                for line in text.decode("utf-8", "replace").splitlines():
                    _log_line(path.stem, line, as_json)
                place += len(text)
            places[path] = place
        time.sleep(0.25)


def doctor(
    file: ManifestFile = DEFAULT_FILE,
    stage: Stage = None,
    as_json: AsJson = False,
) -> int:
    """Check this machine, the project and the stage; each failed check says how to mend it. Exit 1 when one fails."""
    from bedplate.release.doctor import run_checks

    results = []
    for result in run_checks(file, stage):
        results.append(result)
        if not as_json:
            show(f"  {_MARKS[result.status]:<3} {result.name}" + (f"  {result.found}" if result.found else ""))
            if result.fix and result.status in {"fail", "warn"}:
                show(f"        fix: {result.fix}")
    failed = sum(r.status == "fail" for r in results)
    if as_json:
        from dataclasses import asdict

        show_json({"schema": "bedplate.dev/doctor/v1", "ok": not failed, "checks": [asdict(r) for r in results]})
    else:
        passed = sum(r.status == "pass" for r in results)
        say(f"\n{passed} passed, {failed} failed, {len(results) - passed - failed} noted or skipped")
    return 1 if failed else 0
