"""The steps of the embedded engine, from cases as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.problems import BedplateError
from engine_cloud import Bench, ops

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases/engine/steps.yaml").read_text("utf-8"))


def _names(bench: Bench) -> list[str]:
    skip = ("pulumi:pulumi:Stack", "pulumi:providers:test")
    return sorted(r["urn"].split("::")[-1] for r in bench.state()["resources"] if r["type"] not in skip)


def _check_steps(found: list[str], wanted: list[str], ordered: bool) -> None:
    assert (found if ordered else sorted(found)) == (wanted if ordered else sorted(wanted))


def _preview(bench: Bench, update: dict[str, Any]) -> None:
    wanted = update.get("preview", update.get("steps"))
    if wanted is None:
        with pytest.raises(BedplateError):
            bench.preview(update["program"])
        return
    _check_steps(ops(bench.preview(update["program"])), wanted, update.get("ordered", False))


def _update(bench: Bench, update: dict[str, Any]) -> None:
    bench.cloud.fail = {tuple(call) for call in update.get("fail", ())}
    if "error" not in update:
        _check_steps(ops(bench.up(update["program"])), update["steps"], update.get("ordered", False))
        return
    with pytest.raises(BedplateError) as caught:
        bench.up(update["program"])
    assert caught.value.problems[0].code == update["error"]
    assert update.get("says", "") in caught.value.problems[0].summary
    assert update.get("fix", "") in caught.value.problems[0].fix


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_an_update_does_what_the_case_says_and_a_preview_says_the_same(case: dict[str, Any], tmp_path: Path) -> None:
    """Every case's updates take the steps written in it, foretold by a preview that changes nothing."""
    bench = Bench(tmp_path / "dev", secrets=False)
    for update in case["updates"]:
        before = _files(tmp_path), dict(bench.cloud.things)
        _preview(bench, update)
        assert (_files(tmp_path), bench.cloud.things) == before
        _update(bench, update)
        if "state" in update:
            assert _names(bench) == sorted(update["state"])
        if "cloud" in update:
            assert sorted(id.rpartition("-")[0] for id in bench.cloud.things) == sorted(update["cloud"])


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
