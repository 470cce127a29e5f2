"""The catalogue of codes: one YAML file an area, read when a code is explained or an exit code is looked up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bedplate.problems.model import ExitCode


@dataclass(frozen=True)
class CodeEntry:
    """What a code means.

    `title` is one line; `explain` one or more paragraphs: what Bedplate found and why it matters; `fix` how to mend it,
    with an example where that helps; `exit` the exit code it leads to; `area` the file it stands in.
    """

    code: str
    title: str
    explain: str
    fix: str
    exit: ExitCode
    area: str


@cache
def catalogue() -> dict[str, CodeEntry]:
    """Every code with its entry, sorted by code. Raises ValueError where two areas use one code."""
    import yaml

    entries: dict[str, CodeEntry] = {}
    for file in sorted(files("bedplate.problems").joinpath("codes").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".yaml"):
            continue
        for code, raw in (yaml.safe_load(file.read_text("utf-8")) or {}).items():
            if code in entries:
                raise ValueError(f"code {code} stands in {entries[code].area} and in {file.name}")
            entries[code] = CodeEntry(
                code=code,
                title=raw["title"],
                explain=raw["explain"].strip(),
                fix=raw["fix"].strip(),
                exit=ExitCode(raw.get("exit", 1)),
                area=file.name.removesuffix(".yaml"),
            )
    return dict(sorted(entries.items()))


def explain(code: str) -> CodeEntry | None:
    """The entry of `code` (any case), or None where no such code exists."""
    return catalogue().get(code.upper())


def exit_of(code: str) -> ExitCode:
    """The exit code that a problem with this code leads to; ERROR for a code outside the catalogue."""
    entry = catalogue().get(code)
    return entry.exit if entry else ExitCode.ERROR
