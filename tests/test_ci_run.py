"""Generated jobs at work: their scripts, run on real repositories by a runner of ours, with the real command."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.review.ci.fill import fill
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
def runner_alone(tmp_path: Path) -> Runner:
    """A machine without a repository."""
    return Runner(tmp_path / "home", tmp_path)


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

    Before each there is a plan to read, which changes nothing. A run whose approval comes late is refused, and not even
    planned: by then its source stage has another build.
    """
    deploy, plan = _deployer(runner, platform), _planner(runner, platform)
    first = git(runner.origin, "rev-parse", "HEAD")
    assert plan("prototype", first)[0] == 0, runner.log
    assert deploy("prototype", first) == 0, runner.log
    home = runner.home / "bedplate/shop/agents"
    assert "thirty days." in ok(home, "ask", "How long do refunds take?").out
    tracked = [pid for pid in pids_of(home) if TRACKED.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    assert tracked == []

    second = _merged(runner, _changed(runner))
    assert deploy("prototype", second) == 0, runner.log
    assert "no longer" in ok(home, "ask", "How long do refunds take?").out
    assert plan("staging", first)[0] == 1, runner.log
    assert deploy("staging", first) == 1, runner.log
    assert "prototype has another build by now" in runner.log
    code, shown = plan("staging", second)
    assert code == 0, runner.log
    assert "**go: ready**" in shown
    assert not (home / ".bedplate/staging").exists()
    assert deploy("staging", second) == 0, runner.log
    assert "no longer" in ok(home, "ask", "--stage", "staging", "How long do refunds take?").out


@pytest.mark.parametrize("platform", ["github", "gitlab"])
def test_a_plan_knows_no_key_and_is_red_until_all_is_approved(runner: Runner, platform: str) -> None:
    """The plan of a stage with a key is made without it; exit 3 where an approval is missing, 0 once it is in git."""
    staging = {**STAGES["staging"], "model": {"id": "anthropic:some-model", "credentials": {"secret": "a-key"}}}
    (runner.origin / "agent.yaml").write_text(
        agent_files({"stages": {"prototype": STAGES["prototype"], "staging": staging}})["agent.yaml"]
    )
    commit(runner.origin, "another model")
    deploy, plan = _deployer(runner, platform), _planner(runner, platform)
    assert deploy("prototype", git(runner.origin, "rev-parse", "HEAD")) == 0, runner.log
    code, shown = plan("staging", git(runner.origin, "rev-parse", "HEAD"))
    assert code == 3, runner.log
    assert "A1 needs approval for staging" in shown
    assert "+ secret a-key" in shown

    home = runner.home / "bedplate/shop/agents"
    for finding in ("A1", "A2"):
        ok(home, "approve", finding, "--stage", "staging", "--reason", "asked", "--expires", "1d", "--as", "ada")
    shutil.move(home / "approvals", runner.origin)
    assert plan("staging", commit(runner.origin, "approved"))[0] == 0, runner.log


def test_a_gate_that_failed_is_planned_again(runner: Runner) -> None:
    """A promotion that a gate stops does not keep the next one from being planned: the plan says it, and is not red."""
    deploy, plan = _deployer(runner, "github"), _planner(runner, "github")
    bad = _merged(runner, _changed(runner, "thirty days", "a while"))
    assert deploy("prototype", bad) == 0, runner.log
    assert deploy("staging", bad) == 4, runner.log
    code, shown = plan("staging", bad)
    assert code == 0, runner.log
    assert "**stop: eval faq fails" in shown
    assert "::warning::The evals do not pass yet" in runner.log.rpartition("esac\n")[2]


@pytest.mark.parametrize("exits", [[], [2], [3], [4], [3, 4], [8, 2], [1]], ids=str)
def test_which_verdicts_fail_the_plan(runner_alone: Runner, exits: list[int]) -> None:
    """Evals that do not pass are said and asked again later; a missing approval fails also beside them."""
    receipt = runner_alone.home / "plan.json"
    receipt.write_text(json.dumps({"verdict": {"causes": [{"exit": code} for code in exits]}}))
    worst = next((code for code in (1, 4, 8, 3, 2) if code in exits), 0)
    script = fill("judge.yml", {"WARNING": "::warning::"})
    found = runner_alone.shell(script, runner_alone.home, {"code": str(worst), "receipt": str(receipt)})
    assert found == next((code for code in (1, 3) if code in exits), 0)
    assert ("::warning::The evals" in runner_alone.log.rpartition("esac\n")[2]) == bool({4, 8} & set(exits))


def _deployer(runner: Runner, platform: str) -> Any:
    if platform == "github":
        runner.given = {"GITHUB_REPOSITORY": "shop/agents", TRACKED: "1"}
        jobs = _workflow(runner, "deploy")
        return lambda stage, commit: runner.github(jobs[stage], commit)
    runner.given = {"CI_PROJECT_PATH": "shop/agents", TRACKED: "1"}
    jobs = _gitlab(runner)
    return lambda stage, commit: runner.gitlab(jobs[f"bedplate-deploy-{stage}"], commit)


def _planner(runner: Runner, platform: str) -> Any:
    """Runs the plan of a stage for a commit: the job's exit code, and what there is to read."""
    if platform == "github":
        jobs, summary = _workflow(runner, "deploy"), runner.temp / "GITHUB_STEP_SUMMARY"
        return lambda stage, commit: (runner.github(jobs[f"{stage}_plan"], commit), summary.read_text())
    jobs = _gitlab(runner)

    def plan(stage: str, commit: str) -> tuple[int, str]:
        code = runner.gitlab(jobs[f"bedplate-plan-{stage}"], commit)
        kept = runner.artifacts.get(f"bedplate-plan-{stage}.md")
        return code, kept.read_text() if kept else ""

    return plan
