"""What differs between a deployed build and the planned one is told where nothing else tells it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.access.findings import Finding
from bedplate.problems import BedplateError
from bedplate.release.builds.make import open_tree
from bedplate.release.builds.sides import sides_of_stage
from bedplate.release.builds.store import BuildStore
from bedplate.release.builds.told import untold
from bedplate.release.plan import Change, Detail
from bedplate.release.target import open_target
from builds_support import built, code_of_error, write_project

DATA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "cases/builds/told.yaml").read_text())
FILES = {path: text.encode() for path, text in DATA["files"].items()}


def changed(folder: Path, case: dict[str, Any]) -> None:
    for path, edits in case.get("edit", {}).items():
        text = (folder / path).read_text()
        for old, new in edits.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / path).write_text(text)
    write_project(folder, {path: text.encode() for path, text in case.get("write", {}).items()})
    for path in case.get("delete", ()):
        (folder / path).unlink()


def told_of(case: dict[str, Any]) -> tuple[list[Change], list[Finding]]:
    """Changes and findings that other sections have: paths of fields, names of indexes, subjects of findings."""
    details = tuple(Detail(path, "", "") for path in case.get("told", ()))
    changes = [Change("update", "process", "gateway", details=details)]
    changes += [Change("update", "index", name) for name in case.get("indexes", ())]
    return changes, [Finding("wider", name, "read", "*") for name in case.get("findings", ())]


def lines(found: Iterable[Any]) -> list[str]:
    return [" ".join(filter(None, (f.symbol, f.path, f.what, f.lines, f.where))) for f in found]


@pytest.mark.parametrize("case", DATA["cases"], ids=[case["name"] for case in DATA["cases"]])
def test_what_nothing_else_tells_is_told(tmp_path: Path, case: dict[str, Any]) -> None:
    """Each change of a file or field is told once, by what it is and its line; the same from the tree of its build."""
    manifest = write_project(tmp_path, FILES)
    first = built(tmp_path)
    changed(tmp_path, case)
    stage = case.get("stage", "prototype")
    old, new = sides_of_stage(open_target(manifest, stage), first.digest)
    assert lines(untold(old, new, *told_of(case))) == case["expect"]
    second = built(tmp_path)
    write_project(tmp_path, FILES)  # the working tree goes another way
    of_build = sides_of_stage(open_tree(tmp_path, second, stage), first.digest)
    assert lines(untold(*of_build, *told_of(case))) == case["expect"]


def test_equal_files_are_not_opened(tmp_path: Path) -> None:
    """A plan reads of the deployed build what differs and nothing else: damage of other files does not meet it."""
    manifest = write_project(tmp_path, FILES)
    first = built(tmp_path)
    blob = BuildStore(tmp_path).blob(first.files["tools/rates.py"].sha256)
    blob.chmod(0o600)
    blob.write_bytes(b"damaged\n")
    (tmp_path / "tools/quote.py").write_text("def price() -> str:\n    return '6'\n")
    old, new = sides_of_stage(open_target(manifest, None), first.digest)
    assert [f.path for f in untold(old, new, [], [])] == ["tools/quote.py"]


@pytest.mark.parametrize(("damage", "code"), [("changed", "BP760"), ("missing", "BP760"), ("none", "BP761")])
def test_a_deployed_build_that_cannot_be_read_is_an_error(tmp_path: Path, damage: str, code: str) -> None:
    """A content that was changed or is gone, and a build without record, are errors and not empty comparisons."""
    manifest = write_project(tmp_path, FILES)
    first = built(tmp_path)
    store = BuildStore(tmp_path)
    blob = store.blob(first.files["tools/quote.py"].sha256)
    if damage == "none":
        store.record(first.digest).unlink()
    else:
        blob.chmod(0o600)
        blob.write_bytes(b"damaged\n") if damage == "changed" else blob.unlink()
    (tmp_path / "tools/quote.py").write_text("def price() -> str:\n    return '6'\n")
    with pytest.raises(BedplateError) as raised:
        untold(*sides_of_stage(open_target(manifest, None), first.digest), [], [])
    assert code_of_error(raised.value) == code
