"""Bad manifests: each file in cases/manifest/bad marks the lines at fault with the code and a part of the summary."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bedplate.blueprint.resolve import resolve_all
from bedplate.manifest import examine
from bedplate.problems import BedplateError, Problem, catalogue

CASES = Path(__file__).parent / "cases" / "manifest"
BAD = sorted((CASES / "bad").glob("*.yaml"))
_MARK = re.compile(r"# ((?:! BP\d{3} [^!]*)+)$")
_ONE = re.compile(r"! (BP\d{3}) ([^!]*)")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(CASES / "project", tmp_path, dirs_exist_ok=True)
    (tmp_path / "tools" / "broken.py").write_text("def add(:\n")
    return tmp_path


def expected(text: str) -> list[tuple[str, int, str]]:
    """Code, line and part of the summary of every mark."""
    marks = ((number, _MARK.search(line)) for number, line in enumerate(text.splitlines(), 1))
    return [(code, number, part.strip()) for number, mark in marks if mark for code, part in _ONE.findall(mark[1])]


def problems_of(manifest: Path) -> tuple[Problem, ...]:
    try:
        resolve_all(examine(manifest))
    except BedplateError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("case", BAD, ids=lambda p: p.stem)
def test_every_problem_is_found_at_its_line(case: Path, project: Path) -> None:
    """A bad manifest gives exactly the marked problems: code, line and what is said, all at once and nothing else."""
    manifest = project / "agent.yaml"
    shutil.copy(case, manifest)
    found = problems_of(manifest)
    wanted = expected(case.read_text())
    shown = [str((p.code, p.where, p.summary)) for p in found]
    assert sorted((p.code, p.where.line if p.where else 0) for p in found) == sorted(w[:2] for w in wanted), shown
    for code, line, part in wanted:
        assert any(p.code == code and p.where and p.where.line == line and part in p.summary for p in found), shown


@pytest.mark.parametrize("case", BAD, ids=lambda p: p.stem)
def test_every_problem_says_how_to_mend_it(case: Path, project: Path) -> None:
    """Each problem has a column, a one-line summary in the house style, a fix, and an entry in the catalogue."""
    manifest = project / "agent.yaml"
    shutil.copy(case, manifest)
    for problem in problems_of(manifest):
        assert problem.fix
        assert problem.where
        assert problem.where.file == "agent.yaml"
        assert "\n" not in problem.summary
        assert not problem.summary.endswith(".")
        assert not problem.summary[0].isupper() or problem.summary.startswith("API")
        assert problem.code in catalogue()


def test_enough_cases_and_codes_are_covered() -> None:
    """The cases cover every code of the manifest that a manifest's text alone can cause (and some of other areas)."""
    covered = {code for case in BAD for code, _, _ in expected(case.read_text())}
    mine = {code for code, entry in catalogue().items() if entry.area == "manifest"}
    elsewhere = {"BP001", "BP008", "BP009", "BP115", "BP120", "BP121"}
    assert len(BAD) >= 60
    assert covered & mine == mine - elsewhere
