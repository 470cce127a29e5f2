"""Generated jobs at work: their scripts, run on real repositories by a runner of ours, with the real command."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci_support import Runner, agent_files
from cli_support import bedplate, ok, pids_of
from review_support import commit, git, repository

STAGES = {"prototype": {"target": "local"}, "staging": {"target": "local", "from": "prototype"}}
TRACKED = "RUNNER_TRACKING_ID"
"""GitHub's runner ends every process that has this variable once its job ends."""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A machine beside a repository whose agent has two stages and the workflows of both platforms, all committed."""
    origin = repository(tmp_path / "origin", agent_files({"stages": STAGES}))
    for platform in ("--github", "--gitlab"):
        ok(origin, "ci", "init", platform)
    commit(origin, "workflows")
    found = Runner(tmp_path / "home", origin)
    yield found
    for manifest in tmp_path.rglob("agent.yaml"):
        for stage in STAGES:
            bedplate(manifest.parent, "destroy", "--stage", stage, "--yes")
    assert pids_of(tmp_path) == []


@pytest.fixture
def comments() -> Iterator[tuple[str, list[str]]]:
    """The API of a platform that takes comments: its address, and each comment that was written."""
    written: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
            answer: Any = [] if self.command == "GET" else {"id": 1}
            if self.path.endswith("/user"):
                answer = {"id": 1, "login": "ci"}
            if self.command == "POST":
                written.append(body["body"])
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _do

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", written
    server.shutdown()
    server.server_close()


def _workflow(runner: Runner, name: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((runner.origin / f".github/workflows/bedplate-{name}.yml").read_text())[
        "jobs"
    ]
    return jobs


def _gitlab(runner: Runner) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((runner.origin / ".gitlab-ci.bedplate.yml").read_text())
    return jobs


def _changed(runner: Runner, old: str = "thirty days.", new: str = "thirty days and no longer.") -> str:
    """A commit on a branch that changes a document."""
    git(runner.origin, "checkout", "--quiet", "-B", "change")
    file = runner.origin / "docs/refunds.md"
    file.write_text(file.read_text().replace(old, new))
    made = commit(runner.origin, "change")
    git(runner.origin, "checkout", "--quiet", "main")
    return made


def _merged(runner: Runner, change: str) -> str:
    git(runner.origin, "merge", "--quiet", "--ff-only", change)
    return git(runner.origin, "rev-parse", "HEAD")


def _pull_request(runner: Runner, address: str) -> None:
    event = runner.home / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    runner.given = {
        "GITHUB_API_URL": address,
        "GITHUB_REPOSITORY": "shop/agents",
        "GITHUB_EVENT_PATH": str(event),
    }
    runner.values |= {
        "${{ github.event.pull_request.base.ref }}": "main",
        "${{ github.token }}": "token",
        "${{ needs.evals.outputs.results }}": "",
    }


def test_a_pull_request_gets_its_evals_and_one_comment(runner: Runner, comments: tuple[str, list[str]]) -> None:
    """On GitHub the evals of the changed agent run and pass, and the comment has their table."""
    address, written = comments
    _pull_request(runner, address)
    change, jobs = _changed(runner), _workflow(runner, "review")
    assert runner.github(jobs["evals"], change) == 0, runner.log
    assert runner.github(jobs["review"], change) == 0, runner.log
    assert len(written) == 1
    assert "faq" in written[0]
    assert "PASS" in written[0].upper()


def test_a_gate_that_fails_fails_the_review(runner: Runner, comments: tuple[str, list[str]]) -> None:
    """A change that breaks an answer fails the evals' job; the review runs all the same, says so and fails."""
    address, written = comments
    _pull_request(runner, address)
    change, jobs = _changed(runner, "thirty days", "a while"), _workflow(runner, "review")
    assert runner.github(jobs["evals"], change) == 4, runner.log
    assert runner.github(jobs["review"], change) == 4, runner.log
    assert "Gate failed" in written[0]


def test_a_forks_change_is_read_and_not_run(runner: Runner, comments: tuple[str, list[str]]) -> None:
    """The review of a fork's change stands in the job's summary; no stage is brought up and nothing is posted."""
    address, written = comments
    _pull_request(runner, address)
    assert runner.github(_workflow(runner, "review")["fork"], _changed(runner)) == 0, runner.log
    assert "prototype" in (runner.temp / "GITHUB_STEP_SUMMARY").read_text()
    assert written == []
    assert not (runner.home / "work/.bedplate/prototype").exists()
    assert pids_of(runner.home) == []


def test_a_merge_request_gets_its_evals_and_one_comment(runner: Runner, comments: tuple[str, list[str]]) -> None:
    """On GitLab as well; without a token, as in a fork's pipeline, the review stands in the log."""
    address, written = comments
    base, change, jobs = git(runner.origin, "rev-parse", "main"), _changed(runner), _gitlab(runner)
    runner.given = {"CI_API_V4_URL": address, "CI_PROJECT_ID": "9", "CI_MERGE_REQUEST_IID": "7"}
    runner.given |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base}
    assert runner.gitlab(jobs["bedplate-evals"], change) == 0, runner.log
    assert runner.gitlab(jobs["bedplate-review"], change, BEDPLATE_GITLAB_TOKEN="token") == 0, runner.log
    assert "PASS" in written[0].upper()
    assert runner.gitlab(jobs["bedplate-review"], change) == 0, runner.log
    assert len(written) == 1
    assert "<!-- bedplate" in runner.log.rpartition("$ ")[2]


def test_results_that_a_change_brings_along_are_not_believed(runner: Runner) -> None:
    """A committed file with the name of the results is no evidence: only what the job before left is."""
    git(runner.origin, "checkout", "--quiet", "-B", "forged")
    (runner.origin / "bedplate-evals.json").write_text("{}")
    forged = commit(runner.origin, "forged")
    runner.given = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": git(runner.origin, "rev-parse", "main")}
    assert runner.gitlab(_gitlab(runner)["bedplate-review"], forged) == 0, runner.log


@pytest.mark.parametrize("platform", ["github", "gitlab"])
def test_what_was_merged_runs_after_the_job(runner: Runner, platform: str) -> None:
    """The first stage is brought up from the commit, outlives the job and its workspace, and answers; then the next.

    A run whose approval comes late is refused: by then its source stage has another build.
    """
    deploy = _deployer(runner, platform)
    first = git(runner.origin, "rev-parse", "HEAD")
    assert deploy("prototype", first) == 0, runner.log
    home = runner.home / "bedplate/shop/agents"
    assert "thirty days." in ok(home, "ask", "How long do refunds take?").out
    tracked = [pid for pid in pids_of(home) if TRACKED.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    assert tracked == []

    second = _merged(runner, _changed(runner))
    assert deploy("prototype", second) == 0, runner.log
    assert "no longer" in ok(home, "ask", "How long do refunds take?").out
    assert deploy("staging", first) == 1, runner.log
    assert "prototype has another build by now" in runner.log
    assert deploy("staging", second) == 0, runner.log
    assert "no longer" in ok(home, "ask", "--stage", "staging", "How long do refunds take?").out


def _deployer(runner: Runner, platform: str) -> Any:
    if platform == "github":
        runner.given = {"GITHUB_REPOSITORY": "shop/agents", TRACKED: "1"}
        jobs = _workflow(runner, "deploy")
        return lambda stage, commit: runner.github(jobs[stage], commit)
    runner.given = {"CI_PROJECT_PATH": "shop/agents", TRACKED: "1"}
    jobs = _gitlab(runner)
    return lambda stage, commit: runner.gitlab(jobs[f"bedplate-deploy-{stage}"], commit)
