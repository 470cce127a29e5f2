"""What commands print: text or JSON on stdout, problems and progress on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.problems import BedplateError, ExitCode, Problem, Severity

ERROR_SCHEMA = "bedplate.dev/error/v1"
_OTHERS_KEYS = {"attributes", "content", "arguments", "metadata", "messages", "body", "resource", "tools"}
"""Fields whose keys are not ours: OpenTelemetry's, a model's, or names in the manifest."""


def say(text: str = "") -> None:
    """Talk: progress, hints, questions. Never data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Data for a person or a pipe."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def show_json(document: Mapping[str, Any]) -> None:
    """Data for a program: one JSON document, indented, keys in camelCase and in the order given."""
    show(json.dumps(camel_keys(document), indent=2, ensure_ascii=False, default=str))


def show_line(document: Mapping[str, Any]) -> None:
    """The same on one line, for commands that print a document for each thing that happens (JSON Lines)."""
    show(json.dumps(camel_keys(document), ensure_ascii=False, default=str))


def camel_keys(value: Any) -> Any:
    """The value with its field names in camelCase, as everywhere in JSON of ours. Span attributes keep OTel's names."""
    match value:
        case Mapping():
            return {_camel(k): v if k in _OTHERS_KEYS else camel_keys(v) for k, v in value.items()}
        case list() | tuple():
            return [camel_keys(item) for item in value]
        case _:
            return value


def _camel(name: str) -> str:
    first, *rest = str(name).split("_")
    return first + "".join(word.capitalize() for word in rest)


def width() -> int:
    """Columns to fill: the terminal's, 100 at most; 100 where there is none."""
    return max(40, min(100, shutil.get_terminal_size((100, 24)).columns))


def interactive() -> bool:
    """Whether a person can be asked: both ends are a terminal and CI is not set."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def strong(text: str) -> str:
    """Bold on a terminal that wants it. Never carries meaning."""
    wanted = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return f"\x1b[1m{text}\x1b[0m" if wanted else text


def problem_text(problem: Problem) -> str:
    """A problem as a person reads it: place, summary, detail, fix, code."""
    word = "" if problem.severity is Severity.ERROR else "warning: "
    place = f"{problem.where}: " if problem.where else ""
    lines = [f"{problem.code} {place}{word}{problem.summary}"]
    if problem.detail:
        lines += [textwrap.indent(problem.detail.rstrip(), "      ")]
    if problem.fix:
        lines += [f"      fix: {problem.fix}"]
    return "\n".join(lines)


def fail(error: BedplateError, *, as_json: bool) -> int:
    """Print the error's problems (as JSON on stdout with `--json`, else on stderr) and return the exit code."""
    if as_json:
        show_json(error_document(error.problems, error.exit_code))
    else:
        for problem in error.problems:
            say(problem_text(problem))
        codes = [p.code for p in error.problems if p.severity is Severity.ERROR]
        if len(codes) > 1:
            say(f"\n{len(codes)} problems.")
        say(f"More: `bedplate explain {codes[0]}`")
    return int(error.exit_code)


def error_document(problems: Sequence[Problem], exit_code: ExitCode) -> dict[str, Any]:
    """The JSON form of a failed command."""
    return {
        "schema": ERROR_SCHEMA,
        "ok": False,
        "exit": int(exit_code),
        "problems": [p.to_json() for p in problems],
    }


def printable(text: str) -> str:
    """One line that cannot steer a terminal, whoever wrote it: control characters are shown, not sent."""
    if text.isprintable():
        return text
    from bedplate.traces.render import clean

    return clean(text)


def table(rows: Sequence[Sequence[str]], *, indent: int = 2) -> str:
    """Columns aligned by spaces; the last column is cut to the terminal's width."""
    if not rows:
        return ""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    limit = width()
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) for i, cell in enumerate(row)]
        line = (" " * indent + "  ".join(cells)).rstrip()
        lines.append(line if len(line) <= limit else line[: limit - 1] + "…")
    return "\n".join(lines)


def wrapped_rows(rows: Sequence[Sequence[str]], *, indent: int = 2) -> list[str]:
    """Rows with aligned columns; in one that is wider than the terminal, cells go on below. Nothing is cut."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    return [_wrapped([cell.ljust(widths[i]) for i, cell in enumerate(row)], row, indent) for row in rows]


def _wrapped(aligned: Sequence[str], cells: Sequence[str], indent: int) -> str:
    line = (" " * indent + "  ".join(aligned)).rstrip()
    if len(line) <= width():
        return line
    folded = textwrap.TextWrapper(width(), break_long_words=False, break_on_hyphens=False)
    folded.initial_indent, folded.subsequent_indent = f"{' ' * indent}{aligned[0]}  ", " " * (indent + 4)
    return folded.fill("  ".join(filter(None, cells[1:])))


def moment(unix: float) -> str:
    """A point in time to the second, RFC 3339 in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(unix), UTC).isoformat().replace("+00:00", "Z")


def ago(seconds: float) -> str:
    """A span of time in one unit: `12s`, `5m`, `3h`, `2d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"
