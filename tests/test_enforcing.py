"""The checks of every build on access: what nothing holds, the rule of two, the ceiling, what is said in vain."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from access_cases import cases
from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.resolve import resolve
from bedplate.manifest.load import load
from bedplate.problems import Severity
from bedplate.release.enforcing import needless, problems_of
from manifest_support import small

TODAY = dt.date(2026, 1, 1)
SECTIONS = ("stages", "data", "tools", "memory", "never", "ceiling", "accept")


def written(folder: Path, case: dict[str, Any]) -> Path:
    """The project of a case: each item of a list on a line of its own, as JSON, which is YAML."""
    (folder / "docs").mkdir()
    (folder / "docs" / "a.md").write_text("# A\n")
    (folder / "tools").mkdir()
    (folder / "tools" / "pay.py").write_text("def pay(amount: int = 1) -> str:\n    return 'paid'\n")
    (folder / "serve").write_text("#!/bin/sh\n")
    (folder / "serve").chmod(0o755)
    head = {"apiVersion": "bedplate.dev/v1", "kind": "Ceiling"}
    (folder / "ceiling.yaml").write_text(json.dumps({**head, **case.get("top", {})}))
    document = small(**{name: case[name] for name in SECTIONS if name in case})
    (folder / "agent.yaml").write_text("\n".join(_lines(document)) + "\n")
    return folder / "agent.yaml"


def _lines(document: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in document.items():
        if key != "tools":
            found.append(f"{key}: {_flow(value)}")
            continue
        found.append("tools:")
        for tool in value:
            lists = {name: of for name, of in tool.items() if isinstance(of, list) and name != "command"}
            plain = [f"{name}: {_flow(of)}" for name, of in tool.items() if name not in lists]
            found.append(f"- {{{', '.join(plain)},")
            found += [f"   {name}: {_flow(of)}," for name, of in lists.items()]
            found.append("  }")
    return found


def _flow(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(of)}" for key, of in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case _:
            return json.dumps(value) if not str(value).isidentifier() or isinstance(value, bool) else str(value)


def found_in(blueprint: Blueprint, case: dict[str, Any]) -> list[Any]:
    """All problems of a case's stage."""
    spent = bool(case.get("spent"))
    return [*problems_of(blueprint, TODAY, lambda: spent), *needless([blueprint], TODAY)]


@pytest.mark.parametrize("case", cases("enforcing"))
def test_each_build_is_held_to_what_can_be_enforced(case: dict[str, Any], tmp_path: Path) -> None:
    """Gaps, the rule of two, the ceiling and what is said in vain are told with their lines, and nothing else."""
    manifest = written(tmp_path, case)
    lines = manifest.read_text().splitlines()
    problems = found_in(resolve(load(manifest)), case)
    places = sorted((problem.where.line, problem.code) for problem in problems if problem.where)
    told = [(code, lines[line - 1]) for line, code in places]
    wanted = [one.split(" ", 1) for one in case["found"]]
    assert len(told) == len(problems) == len(wanted), problems
    for (code, line), (expected, text) in zip(told, wanted, strict=True):
        assert code == expected
        assert text.replace('"', "") in line.replace('"', "")
    assert case.get("says", "") in " ".join(f"{p.summary} {p.detail}" for p in problems)
    assert {p.code for p in problems if p.severity is Severity.WARNING} <= {"BP877", "BP878"}
