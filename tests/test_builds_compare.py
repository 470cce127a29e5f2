"""`bedplate build diff` says in the manifest's words what differs between two builds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.cli.build import diff_screen
from bedplate.release.builds.compare import compare
from bedplate.release.builds.sides import side
from builds_support import FILES, built, write_project
from cli_support import bedplate, ok
from stage_support import code_of

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases/builds/differences.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_differs_is_said(tmp_path: Path, case: dict[str, Any]) -> None:
    """Each kind of change is told by path, values and line; the working tree and its build compare alike."""
    manifest = write_project(tmp_path, FILES)
    first = built(tmp_path)
    change(tmp_path, case)
    of_tree = compare(side(manifest, first.short), side(manifest, "."))
    second = built(tmp_path)
    found = compare(side(manifest, first.short), side(manifest, second.digest))
    assert found == of_tree
    assert found.empty == case.get("same", False)
    assert [f"{f.path}: {f.old} → {f.new} ({f.where})" for f in found.fields] == case.get("fields", [])
    shown = diff_screen(found).partition("  files\n")[2]
    assert [" ".join(line.split()) for line in shown.splitlines()] == case.get("files", [])
    back = compare(side(manifest, second.digest), side(manifest, first.digest))
    assert (len(back.fields), len(back.files)) == (len(found.fields), len(found.files))


def change(folder: Path, case: dict[str, Any]) -> None:
    for path, (old, new) in case.get("edit", {}).items():
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))
    write_project(folder, {path: text.encode() for path, text in case.get("add", {}).items()})
    write_project(folder, {path: bytes.fromhex(data) for path, data in case.get("bytes", {}).items()})
    if "remove" in case:
        (folder / case["remove"]).unlink()


def test_sides_that_are_none(tmp_path: Path) -> None:
    """What names no build is told with its code: an unknown digest, and a stage that only left a folder."""
    write_project(tmp_path, FILES)
    ok(tmp_path, "build")
    assert code_of(bedplate(tmp_path, "build", "diff", "0000000", "--json")) == "BP761"
    (tmp_path / ".bedplate/prototype").mkdir()
    assert code_of(bedplate(tmp_path, "build", "diff", "prototype", "--json")) == "BP706"


def test_a_build_is_of_all_stages(tmp_path: Path) -> None:
    """`build` refuses what `validate` refuses, also in a stage that is not the first; nothing is stored then."""
    manifest = FILES["agent.yaml"] + b"  later: {target: local, instructions: {file: prompts/none.md}}\n"
    write_project(tmp_path, {**FILES, "agent.yaml": manifest})
    assert code_of(bedplate(tmp_path, "build", "--json")) == "BP104"
    assert not (tmp_path / ".bedplate").exists()


def test_the_screens_of_builds(tmp_path: Path) -> None:
    """`build` says whether it is new, `build list` what is there, `build collect` what went."""
    write_project(tmp_path, FILES)
    assert re.search(r"build [0-9a-f]{12}   built, new\n", ok(tmp_path, "build").out)
    assert "unchanged" in ok(tmp_path, "build").out
    (tmp_path / "docs/one.md").write_text("# One\n")
    ok(tmp_path, "build")
    listed = ok(tmp_path, "build", "list").out.splitlines()
    assert len(listed) == 2
    assert "1 build removed" in ok(tmp_path, "build", "collect").out
    assert ok(tmp_path, "build", "list").out.splitlines()[0].split()[0] == listed[0].split()[0]
