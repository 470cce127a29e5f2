"""The record of releases: append-only, verified, safe against a death at any point."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.problems import BedplateError
from bedplate.release.chain import Head, next_line
from bedplate.release.records import ReleaseLog, who

CASES = yaml.safe_load((Path(__file__).parent / "cases/records/tamper.yaml").read_text())
NOON = 1_800_000_000.0
BODY: dict[str, Any] = {
    "stage": "prod",
    "agent": "support",
    "build": "sha256:b",
    "behaviour": "sha256:c",
    "toolVersion": "0.1.0",
    "verdict": {"exit": 0, "line": "ready"},
    "who": {"user": "ann"},
    "fromStage": "staging",
    "fromRelease": 4,
}


def log_in(folder: Path) -> ReleaseLog:
    return ReleaseLog(folder / "releases.jsonl", lambda: NOON)


def release(log: ReleaseLog, number: int, end: Any = "applied", **more: Any) -> None:
    log.append("started", number, {**BODY, **more})
    log.append(end, number, {"evals": [{"suite": "answers", "outcome": "PASS"}]})


@pytest.fixture
def three(tmp_path: Path) -> ReleaseLog:
    log = log_in(tmp_path)
    for number, end in enumerate(("applied", "failed", "applied"), 1):
        release(log, number, end)
    return log


def problem(error: pytest.ExceptionInfo[BedplateError]) -> tuple[str, str]:
    found = error.value.problems[0]
    return found.code, found.detail


def test_a_release_is_its_start_and_its_end(three: ReleaseLog) -> None:
    """Both lines of a release become one record; the last one that was applied is what is deployed."""
    three.append("started", 4, {**BODY, "override": "the gate is wrong"})
    three.append("failed", 4, {"problem": "the model does not answer"})
    records = three.releases()
    assert [(r.number, r.status) for r in records] == [(1, "applied"), (2, "failed"), (3, "applied"), (4, "failed")]
    last = records[-1]
    assert (last.override, last.problem) == ("the gate is wrong", "the model does not answer")
    assert (last.from_stage, last.from_release, last.started) == ("staging", 4, "2027-01-15T08:00:00Z")
    applied = three.last_applied()
    assert applied is not None
    assert applied.number == 3
    assert applied.evals == [{"suite": "answers", "outcome": "PASS"}]
    assert three.next_number() == 5


def test_a_record_as_json_is_camel_case(three: ReleaseLog) -> None:
    """A record's JSON has the names that stand in the file."""
    document = three.releases()[0].to_json()
    assert {**document, **BODY} == document
    assert document["number"] == 1
    assert json.loads(json.dumps(document)) == document


def test_nothing_was_released_yet(tmp_path: Path) -> None:
    """Without files there are no releases, and the next one is the first."""
    log = log_in(tmp_path)
    assert (log.releases(), log.last_applied(), log.next_number()) == ((), None, 1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_tampering_shows(three: ReleaseLog, case: dict[str, Any]) -> None:
    """Each way to alter the files is told as BP770 with what is wrong, and nothing is appended on top of it."""
    tamper(three.path, **case["do"])
    for act in (three.entries, three.releases, lambda: three.append("started", 4, BODY)):
        with pytest.raises(BedplateError) as error:
            act()
        code, detail = problem(error)
        assert code == "BP770"
        assert detail.startswith(case["says"])


def tamper(path: Path, **do: Any) -> None:
    ((op, value),) = do.items()
    lines, head = path.read_bytes().splitlines(keepends=True), path.with_name("releases.head")
    match op:
        case "flip":
            lines[value - 1] = lines[value - 1].replace(b'"kind":"', b'"kind":"\x41', 1)
        case "drop":
            del lines[value - 1]
        case "swap":
            a, b = (v - 1 for v in value)
            lines[a], lines[b] = lines[b], lines[a]
        case "cut":
            lines = lines[: len(lines) - value]
        case "tear":
            lines = [b"".join(lines)[:-value]]
        case "add":
            digest = json.loads(lines[value])["previous"]
            lines.append(next_line(Head(len(lines), digest), "started", 4, "2027-01-15T08:00:00Z", BODY))
        case "repeat":
            lines.append(lines[value - 1])
        case "garbage":
            lines[value - 1] = b"{\n"
        case "earlier":
            head.write_bytes(Head(value, json.loads(lines[value])["previous"]).to_bytes())
        case "head":
            head.write_text(value + "\n")
        case "remove":
            path.with_name(value).unlink()
            return
    path.write_bytes(b"".join(lines))


def test_half_a_line_that_was_never_completed_is_mended(three: ReleaseLog) -> None:
    """A writer that died in the middle of a line leaves nothing: the line is not read, and the next takes its place."""
    with three.path.open("ab") as file:
        file.write(b'{"agent":"supp')
    assert len(three.entries()) == 6
    release(three, 4)
    assert [e.seq for e in three.entries()] == list(range(1, 9))


def test_a_whole_line_whose_writer_died_before_the_head_counts(three: ReleaseLog) -> None:
    """The last line is on disk and the head one behind: the line is read, and the next one follows it."""
    head = three.path.with_name("releases.head")
    three.append("started", 4, BODY)
    before = head.read_bytes()
    three.append("applied", 4, {})
    head.write_bytes(before)
    assert three.releases()[-1].status == "applied"
    release(three, 5)
    assert three.next_number() == 6


def test_the_first_line_without_a_head_counts(tmp_path: Path) -> None:
    """The very first writer may die before there is a head."""
    log = log_in(tmp_path)
    log.append("started", 1, BODY)
    (tmp_path / "releases.head").unlink()
    assert len(log.entries()) == 1
    log.append("applied", 1, {})
    assert log.releases()[0].status == "applied"


@settings(max_examples=40)
@given(
    ends=st.lists(st.sampled_from(["applied", "failed", "interrupted"]), min_size=1, max_size=5),
    words=st.text(max_size=40),
    data=st.data(),
)
def test_every_changed_byte_shows(ends: list[Any], words: str, data: st.DataObject) -> None:
    """Whatever is released with whatever words is read back; any byte changed anywhere in the log is told."""
    with tempfile.TemporaryDirectory() as folder:
        log = log_in(Path(folder))
        words = words.encode("utf-8", "replace").decode()
        for number, end in enumerate(ends, 1):
            release(log, number, end, override=words)
        assert [(r.status, r.override) for r in log.releases()] == [(end, words) for end in ends]
        content = bytearray(log.path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        log.path.write_bytes(content)
        with pytest.raises(BedplateError) as error:
            log.entries()
        assert problem(error)[0] == "BP770"


@pytest.mark.parametrize(
    ("kind", "number"), [("started", 3), ("started", 5), ("applied", 4), ("failed", 3), ("interrupted", 1)]
)
def test_lines_come_in_order(three: ReleaseLog, kind: Any, number: int) -> None:
    """A line that does not follow from the one before it is refused as the fault it is."""
    with pytest.raises(ValueError, match="out of order"):
        three.append(kind, number, BODY)


@pytest.mark.parametrize("body", [{"surprise": 1}, {"seq": 1}, {"time": ""}, {"finished": "x"}])
def test_a_body_holds_fields_of_a_release_only(tmp_path: Path, body: dict[str, Any]) -> None:
    """A field that no reader would show is refused when it is written."""
    with pytest.raises(ValueError):
        log_in(tmp_path).append("started", 1, {**BODY, **body})


def test_one_release_at_a_time(three: ReleaseLog) -> None:
    """While one process holds the log another is refused with exit 6; its release shows as running meanwhile."""
    with three.hold("up"):
        three.append("started", 4, BODY)
        with pytest.raises(BedplateError) as error, log_in(three.path.parent).hold("promote"):
            pass
        assert error.value.exit_code == 6
        assert three.releases()[-1].status == "running"
    assert three.releases()[-1].status == "interrupted"


def test_the_next_release_records_that_the_last_was_interrupted(three: ReleaseLog) -> None:
    """A release whose process died gets its end when the next one begins."""
    three.append("started", 4, BODY)
    with three.hold("up"):
        assert [e.kind for e in three.entries()[-2:]] == ["started", "interrupted"]
        release(three, three.next_number())
    assert [r.status for r in three.releases()[-2:]] == ["interrupted", "applied"]


@pytest.mark.parametrize("delay", [0.0, 0.011, 0.037])
def test_sigkill_while_appending_loses_no_line_that_was_told(tmp_path: Path, delay: float) -> None:
    """After SIGKILL every line that was reported is there, at most one more, and the log goes on."""
    script = Path(__file__).parent / "records_crash.py"
    log = log_in(tmp_path)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, str(script), str(log.path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline()]
            time.sleep(delay)
            process.kill()
            told += process.stdout.readlines()
        reported = max(int(line) for line in told if line.endswith("\n"))
        assert reported <= len(log.entries()) <= reported + 1
    with log.hold("up"):
        release(log, log.next_number())
    assert log.releases()[-1].status == "applied"


CI = [
    ({}, {}),
    (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "octo",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": "team/agent",
            "GITHUB_RUN_ID": "7",
        },
        {"ci": "github", "actor": "octo", "run": "https://github.example/team/agent/actions/runs/7"},
    ),
    (
        {"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "ann", "CI_JOB_URL": "https://gitlab.example/t/a/-/jobs/7"},
        {"ci": "gitlab", "actor": "ann", "run": "https://gitlab.example/t/a/-/jobs/7"},
    ),
]


@pytest.mark.parametrize(("environment", "expected"), CI, ids=["a person", "GitHub", "GitLab"])
def test_who_releases(environment: dict[str, str], expected: dict[str, str]) -> None:
    """The user of the operating system always, whatever LOGNAME says; actor and run in CI; nothing else."""
    found = who({**environment, "LOGNAME": "somebody-else", "GITHUB_TOKEN": "canary"})
    assert found.pop("user") not in {"", "somebody-else"}
    assert found == expected
