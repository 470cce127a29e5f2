"""Options of a run at the command line, on a stage that is up."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_support import COMMAND, bedplate, ok
from stage_support import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The support template's stage, up."""
    found = Stage(tmp_path)
    ok(tmp_path, "init", "--template", "support", "--intent", "product", "--name", "support")
    ok(tmp_path, "up", "--parallel", "1")
    yield found
    bedplate(tmp_path, "destroy", "--yes")


def test_drift_is_told_apart_from_intent_and_brought_back(stage: Stage) -> None:
    """An index that somebody deleted is drift: `plan` does not see it unless it looks, and `up` makes it again."""
    folder = stage.folder
    assert ok(folder, "refresh", "--dry-run").out == "prototype is what its state says.\n"
    [index] = stage.home.glob("index/*.db")
    index.unlink()
    looked = bedplate(folder, "refresh", "--dry-run", "--json")
    assert looked.code == 5
    assert [(d["name"], d["found"]) for d in looked.json["drift"]] == [("docs", "gone")]
    planned = bedplate(folder, "plan", "--refresh", "--json")
    assert planned.code == 2
    assert [c["action"] for c in planned.json["infrastructure"]["changes"]] == ["create"]
    up = ok(folder, "up", "--refresh")
    assert "drift: docs: gone" in up.err
    assert index.exists()


def test_a_refresh_is_no_release(stage: Stage) -> None:
    """Looking for drift before an `up` that changes nothing leaves the record of releases as it is."""
    before = stage.home.joinpath("releases.jsonl").read_bytes()
    ok(stage.folder, "up", "--refresh")
    assert stage.home.joinpath("releases.jsonl").read_bytes() == before


def test_a_targeted_destroy_leaves_the_stage_and_up_brings_the_rest_back(stage: Stage) -> None:
    """Only what is named goes; what it would pull from under another is refused; the next `up` makes it again."""
    folder = stage.folder
    refused = bedplate(folder, "destroy", "--target", "api-key", "--yes", "--json")
    assert refused.json["problems"][0]["code"] == "BP233"
    gone = ok(folder, "destroy", "--target", "agent", "--yes", "--json").json
    assert (gone["deleted"], gone["lost"]) == (["agent"], {})
    assert {p["name"] for p in stage.status()["processes"]} == {"gateway", "sink"}
    ok(folder, "up", "--target", "agent")
    assert {p["name"] for p in stage.status()["processes"]} == {"agent", "gateway", "sink"}


def test_options_that_cannot_be_meant_are_refused(stage: Stage) -> None:
    """What contradicts itself or names nothing changes nothing."""
    for arguments, code, exit_code in (
        (["plan", "--target", "a", "--exclude", "b"], "BP230", 64),
        (["plan", "--target", "nothing-like-it"], "BP232", 1),
        (["up", "--parallel", "0"], "BP700", 64),
    ):
        ran = bedplate(stage.folder, *arguments, "--json")
        assert (ran.code, ran.json["problems"][0]["code"]) == (exit_code, code)


def test_ctrl_c_ends_up_after_the_running_step_and_up_goes_on_from_there(stage: Stage) -> None:
    """One SIGINT ends the command with 130, says so and what to do; what was made stands, and `up` makes the rest."""
    ok(stage.folder, "destroy", "--yes")
    command = [*COMMAND, "up", "--parallel", "1"]
    with subprocess.Popen(command, cwd=stage.folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        while "created" not in up.stderr.readline():
            pass
        up.send_signal(signal.SIGINT)
        said = up.stderr.read()
        assert up.wait(30) == 130
    assert "Stopping: running steps finish" in said
    assert "BP231 the update was stopped" in said
    planned = bedplate(stage.folder, "plan", "--json").json["infrastructure"]
    assert planned["changes"]
    assert planned["unchanged"]
    ok(stage.folder, "up")
    assert stage.status()["healthy"]
