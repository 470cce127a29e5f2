"""The generated pages of the documentation: commands with their options and exit codes, and error codes.

    python -m bedplate.cli.reference docs

writes `commands.md`, `errors.md` and the schemas of JSON output (`schema/`) there; tests hold them to the code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bedplate.problems import ExitCode, catalogue

EXITS = {
    ExitCode.OK: "done, or nothing to do",
    ExitCode.ERROR: "an error; the message has a code",
    ExitCode.CHANGES_PENDING: "`plan`: changes are pending; `lock --check`: the pins are out of date",
    ExitCode.NEEDS_APPROVAL: "a yes is needed and nobody could be asked",
    ExitCode.GATE_FAILED: "`eval`: a gate failed",
    ExitCode.DRIFT: "what runs differs from what was released",
    ExitCode.LOCKED: "someone else is at work on the stage",
    ExitCode.STALE_PLAN: "a plan no longer fits",
    ExitCode.INCONCLUSIVE: "a gate could not decide",
    ExitCode.INVALID_EVIDENCE: "`eval`: the run was faulty and says nothing",
    ExitCode.USAGE: "the command line was not understood",
}
AREAS = {
    "manifest": "The manifest",
    "engine": "Engine and state",
    "local": "Processes and sandbox",
    "gateway": "The gateway",
    "tools": "Tools and search",
    "models": "Models and the agent",
    "store": "Memory",
    "evals": "Evals",
    "traces": "Traces",
    "cli": "The command line",
    "builds": "Builds",
    "release": "Releases, plans and approvals",
    "access_language": "Scopes and data",
    "access_lock": "Pins",
}


def commands_page() -> str:
    """`docs/commands.md`."""
    lines = [
        "# Commands",
        "",
        "Every command has `--help`. Those that print data take `--json`: one document with a versioned schema on",
        "standard output; the schema of `bedplate.dev/plan/v1` is `docs/schema/plan.v1.json`. `chat`, `logs` and",
        "`traces tail` print one document a line, so nothing where there is nothing to print. `completion` prints",
        "a script for a shell and takes no `--json`. What fails prints `bedplate.dev/error/v1`. Talk and progress",
        "go to standard error. Without a terminal nothing ever waits for an answer.",
        "",
        "## Exit codes",
        "",
        "| Code | Meaning |",
        "|---|---|",
        *(f"| {int(code)} | {meaning} |" for code, meaning in EXITS.items()),
        "| 130 | stopped by Ctrl-C |",
        "",
    ]
    for path, command in _commands():
        lines += _section(path, command)
    return "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """`docs/errors.md`."""
    lines = ["# Error codes", "", "`bedplate explain CODE` prints the same in the terminal.", ""]
    by_area: dict[str, list[Any]] = {}
    for entry in catalogue().values():
        by_area.setdefault(entry.area, []).append(entry)
    for area in sorted(by_area, key=lambda name: list(AREAS).index(name) if name in AREAS else 99):
        lines += [f"## {AREAS.get(area, area.capitalize())}", ""]
        for entry in by_area[area]:
            exits = f" (exit {int(entry.exit)})" if entry.exit is not ExitCode.ERROR else ""
            lines += [f"### {entry.code}: {entry.title}{exits}", "", entry.explain, "", f"To mend it: {entry.fix}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands() -> Iterator[tuple[str, Any]]:
    import typer

    from bedplate.cli.main import app

    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield f"bedplate {name}", command
            for inner, subcommand in command.commands.items():
                yield f"bedplate {name} {inner}", subcommand
        else:
            yield f"bedplate {name}", command


def _section(path: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([path, *(_argument(a) for a in arguments), "[OPTIONS]"])
    lines = [f"## {path}", "", _tidy(command.help), "", "```text", usage, "```", ""]
    rows = [(f"`{_argument(a)}`", _tidy(a.help)) for a in arguments]
    rows += [(f"`{_option(o)}`", _tidy(o.help)) for o in options if o.name != "help"]
    if rows:
        lines += ["| Option | Meaning |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), ""]
    return lines


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]")
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"


def _tidy(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").replace("|", "\\|").strip()


def main(folder: Path) -> None:
    """Write the pages and schemas."""
    from bedplate.cli.schemas import schemas

    for name, text in schemas().items():
        (folder / "schema" / name).write_text(text, "utf-8")
    (folder / "commands.md").write_text(commands_page(), "utf-8")
    (folder / "errors.md").write_text(errors_page(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
