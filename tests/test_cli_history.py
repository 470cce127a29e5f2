"""`history`: what was released, by whom and on what grounds; read from the record alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from bedplate.access.findings import Finding
from bedplate.cli.history import access_summary, release_record_screen
from bedplate.release.plan import Change
from bedplate.release.records import ReleaseLog
from cli_support import bedplate, ok

NOON = 1_800_000_000.0
WIDER = Finding("wider", "docs", "read", "*", witness="docs/a.md", where="agent.yaml:8")
NARROWER = Finding("narrower", "http", "get", "https://example.com/*")
CHANGE = Change("update", "process", "gateway", "agent.yaml:9", note="its scopes changed")
BODY: dict[str, Any] = {
    "stage": "prod",
    "agent": "support",
    "build": "sha256:" + "b" * 64,
    "behaviour": "sha256:" + "c" * 64,
    "toolVersion": "0.1.0",
    "plan": {"access": [asdict(WIDER), asdict(NARROWER)], "changes": [asdict(CHANGE)], "unchanged": 6},
    "verdict": {"exit": 2, "blocks": False, "line": "ready", "causes": []},
    "who": {"user": "runner", "ci": "github", "actor": "octo", "run": "https://github.example/t/a/actions/runs/7"},
    "fromStage": "staging",
    "fromRelease": 9,
}
END = {
    "evals": [{"suite": "answers", "outcome": "PASS", "passed": 18, "cases": 20}],
    "approvals": [
        {"approver": "ann@example.com", "says": "docs may read *", "expires": "2027-02-14", "reason": "they asked"}
    ],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three releases: one applied, one failed that was overridden, one that its process left behind."""
    (tmp_path / ".bedplate/prod").mkdir(parents=True)
    log = ReleaseLog(tmp_path / ".bedplate/prod/releases.jsonl", lambda: NOON)
    log.append("started", 1, BODY)
    log.append("applied", 1, END)
    bare = {key: BODY[key] for key in ("stage", "agent", "build", "behaviour", "toolVersion")}
    log.append("started", 2, {**bare, "override": "the gate is wrong, " * 12, "who": {"user": "ann"}})
    log.append("failed", 2, {"problem": "BP302 the gateway does not start"})
    log.append("started", 3, bare)
    return tmp_path


def test_history_lists_releases(project: Path) -> None:
    """Each release is one line, the last one first, with build, who, status, access and verdict."""
    lines = ok(project, "history").out.splitlines()
    assert lines[0].split() == ["when", "build", "who", "status", "access", "verdict"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert "interrupted" in lines[1]
    assert " ann   failed, overridden  unchanged" in lines[2]
    assert "bbbbbbbbbbbb  octo  applied" in lines[3]
    assert "+1 wider, -1 narrower  ready" in lines[3]


def test_history_as_json(project: Path) -> None:
    """The same as a document: whole records, the last one first."""
    document = ok(project, "history", "--stage", "prod", "--json").json
    assert (document["schema"], document["stage"]) == ("bedplate.dev/history/v1", "prod")
    assert [(r["number"], r["status"]) for r in document["releases"]] == [
        (3, "interrupted"),
        (2, "failed"),
        (1, "applied"),
    ]
    assert json.loads(json.dumps({**document["releases"][2], **BODY, **END})) == document["releases"][2]


def test_history_show_tells_everything(project: Path) -> None:
    """One release shows when, who, what, from where, the verdict, access, changes, evals and approvals."""
    shown = ok(project, "history", "show", "1").out
    for part in (
        "support → prod   release 1, applied",
        "2027-01-15T08:00:00Z",
        "runner, in github for octo",
        "https://github.example/t/a/actions/runs/7",
        "staging, release 9",
        "A1  wider     agent.yaml:8  docs may read *",
        "A2  narrower                http may get https://example.com/*",
        "~  agent.yaml:9  process gateway (its scopes changed)",
        "6 unchanged",
        "answers  PASS  18 of 20 cases",
        "ann@example.com  until 2027-02-14  docs may read *: they asked",
        "bedplate 0.1.0",
    ):
        assert part in shown


def test_an_override_and_a_failure_are_shown_whole(project: Path) -> None:
    """A long reason is wrapped and not cut, on a narrow terminal too; what there is not is not listed."""
    shown = ok(project, "history", "show", "2", env={"COLUMNS": "50"}).out
    assert " ".join(shown.split()).count("the gate is wrong,") == 12
    assert "problem    BP302 the gateway does not start" in shown
    assert [line for line in shown.splitlines() if len(line) > 50 and "sha256:" not in line] == []
    assert not {"evals", "approvals", "access", "from"} & set(shown.split())


def test_last_is_the_last_one(project: Path) -> None:
    """`last` names the newest release, whatever became of it."""
    document = ok(project, "history", "show", "last", "--json").json
    assert document["number"] == 3
    schema = json.loads((Path(__file__).parents[1] / "docs/schema/release-record.v1.json").read_text())
    validate(document, schema)
    validate(ok(project, "history", "show", "1", "--json").json, schema)


@pytest.mark.parametrize("number", ["4", "0", "x", "-1", "01"])
def test_no_such_release(project: Path, number: str) -> None:
    """What names no release is refused with exit 64 and the numbers there are."""
    ran = bedplate(project, "history", "show", "--json", "--", number)
    assert ran.code == 64
    assert ran.json["problems"][0]["code"] == "BP778"
    assert ran.json["problems"][0]["fix"] == "there are: 1 to 3"


def test_nothing_was_released(tmp_path: Path) -> None:
    """A folder without stages has an empty history and is no error."""
    assert ok(tmp_path, "history").out == "Nothing was released yet.\n"
    assert ok(tmp_path, "history", "--json").json["releases"] == []
    assert bedplate(tmp_path, "history", "show", "last").code == 64


def test_a_damaged_record_is_no_history(project: Path) -> None:
    """A record that was altered is told instead of shown."""
    log = project / ".bedplate/prod/releases.jsonl"
    log.write_text(log.read_text().replace("octo", "orca"))
    ran = bedplate(project, "history")
    assert (ran.code, ran.out) == (1, "")
    assert "BP770 releases.jsonl:1" in ran.err


def test_options_before_the_subcommand_are_refused(project: Path) -> None:
    """An option that `history show` would not read is refused, not ignored."""
    ran = bedplate(project, "history", "--stage", "prod", "show", "1")
    assert ran.code == 64
    assert "stand after it" in ran.err


def test_access_in_a_word() -> None:
    """What widens comes first; no findings are no words."""
    findings = [asdict(f) for f in (NARROWER, WIDER, Finding("unproved", "t", "runs", "x"), WIDER)]
    assert access_summary({"access": findings}) == "+2 wider, 1 unproved, -1 narrower"
    assert access_summary({}) == ""


def test_a_record_cannot_steer_the_terminal(project: Path) -> None:
    """Control characters in what somebody wrote are shown and not sent."""
    log = ReleaseLog(project / ".bedplate/prod/releases.jsonl", lambda: NOON)
    log.append("failed", 3, {"problem": "\x1b[2J gone", "override": "\x1b[1m"})
    assert "\x1b" not in release_record_screen(log.releases()[-1], NOON)
