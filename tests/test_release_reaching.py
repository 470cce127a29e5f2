"""Who must approve a change is not decided by that change alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.resolve import resolve
from bedplate.manifest import load
from bedplate.release.reaching import reaching
from manifest_support import write_files

CASES = yaml.safe_load((Path(__file__).parent / "cases/approvals/required.yaml").read_text())


def blueprint(folder: Path, stages: str, scope: str = "public/*", stage: str = "staging") -> Blueprint:
    """A small agent with these stages."""
    text = CASES["manifest"].replace("SCOPE", scope) + "stages:\n" + stages
    files = {"agent.yaml": text, "faq.yaml": "cases: []\n", "docs/public/a.md": "# A\n", "docs/b.md": "# B\n"}
    write_files(folder, files)
    return resolve(load(folder / "agent.yaml"), stage)


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_the_larger_number_counts_and_asking_for_less_is_a_finding(case: dict[str, Any], tmp_path: Path) -> None:
    """Of the approvals that the stage asked for and asks for now the larger number is needed, for the lowering too."""
    old = blueprint(tmp_path / "old", case["old"], stage=case.get("of", "staging"))
    new = blueprint(tmp_path / "new", case["new"], scope="*")
    found = reaching(old, new, {})
    said = [f"{f.effect}: {f.subject} {f.verb} {f.object} | {f.reason} | {f.where}" for f in found.findings]
    assert found.required == case["required"]
    assert said == [*case["find"], "wider: docs read * |  | agent.yaml:9"]


def test_where_nothing_runs_yet_the_stage_itself_says(tmp_path: Path) -> None:
    """With nothing to compare with, no approval can have been waived."""
    found = reaching(None, blueprint(tmp_path, CASES["cases"][0]["new"]), {})
    assert found.required == 0
    assert "approvals" not in {finding.subject for finding in found.findings}
