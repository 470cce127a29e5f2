"""`bedplate review` from the shell: evidence, approvals, formats, and the exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bedplate.access.findings import Finding
from bedplate.blueprint.resolve import resolve
from bedplate.cli import main
from bedplate.evals.dataset import load_dataset
from bedplate.manifest.load import examine
from bedplate.release.approve import content, new_approval, write_approval
from bedplate.review.compare import Request, review
from cli_support import Ran, bedplate
from review_support import apply, commit, git, repository, write

ROOT = Path(__file__).parent
HISTORY = yaml.safe_load((ROOT / "cases/review/history.yaml").read_text())
SCHEMA = json.loads((ROOT.parent / "docs/schema/review.v1.json").read_text())
WIDER = next(change for change in HISTORY["changes"] if change["name"] == "wider scope")
PROMPT = next(change for change in HISTORY["changes"] if change["name"] == "prompt edited")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo", HISTORY["files"])


def run(folder: Path, *arguments: str, base: str = "HEAD^") -> Ran:
    """The command in this process: as a process of its own it takes a second."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run(["review", "--base", base, "-f", str(folder / "agent.yaml"), *arguments])
    return Ran(code, out.getvalue(), err.getvalue())


def document(folder: Path, *arguments: str) -> dict[str, Any]:
    """What `--json` prints, which must be as its schema says."""
    found: dict[str, Any] = run(folder, "--json", *arguments).json
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def results(folder: Path, outcome: str, *, failing: bool = False, **changed: Any) -> dict[str, Any]:
    """Results of the suite `faq` for the behaviour that the folder has now, as `bedplate eval --out` writes them."""
    blueprint = resolve(examine(folder / "agent.yaml"), "prototype")
    dataset = load_dataset(folder / "evals/faq.yaml")
    gates = [
        {"metric": g.metric, "outcome": outcome, "value": 0.5, "min": g.min, "max": g.max}
        for g in blueprint.evals[0].gates
    ]
    cases = [
        {"name": c.name, "digest": c.digest, "passed": 0 if failing else 1, "samples": [{}]} for c in dataset.cases
    ]
    suite = {
        "schema": "bedplate.dev/eval-results/v1",
        "suite": "faq",
        "outcome": outcome,
        "agent": blueprint.name,
        "stage": "prototype",
        "buildDigest": blueprint.digests.build,
        "behaviourDigest": blueprint.digests.behaviour,
        "startedAt": "2026-01-01T00:00:00.000+00:00",
        "repeats": blueprint.evals[0].repeats,
        "dataset": {"digest": dataset.digest},
        "gates": gates,
        "cases": cases,
        **changed,
    }
    return {"schema": "bedplate.dev/eval/v1", "suites": [suite]}


def kept(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def test_the_document_is_as_its_schema_says(project: Path) -> None:
    """A change that needs approval, one that is invalid and one that is nothing print documents of one schema."""
    apply(project, WIDER)
    assert document(project)["exit"] == 3
    write(project, {"agent.yaml": "kind: [\n"})
    commit(project, "broken")
    assert document(project)["problems"][0]["code"] == "BP002"
    assert document(project, "--head", "HEAD^^")["line"] == "2 stages as before"


def test_results_of_the_same_behaviour_count(project: Path, tmp_path: Path) -> None:
    """Results of the head's behaviour make the eval table, and a failing gate is exit 4 with the commands to look."""
    before = kept(tmp_path / "before.json", results(project, "PASS"))
    apply(project, PROMPT)
    good = kept(tmp_path / "good.json", results(project, "PASS"))
    bad = kept(tmp_path / "bad.json", results(project, "FAIL", failing=True))
    assert "evals pass" in document(project, "--evals", good)["line"]
    ran = run(project, "--evals", bad, "--base-evals", before, "--format", "github")
    assert ran.code == 4
    assert "### Gate failed" in ran.out
    assert (
        "**FAIL** 0/1 | `contains` 0.5, `min 0.9` **FAIL** | **`prototype`**, **`staging`** | `returns` | none |"
        in ran.out
    )


def test_a_failing_gate_outranks_a_missing_approval(project: Path, tmp_path: Path) -> None:
    """With both the exit code is 4, and the approval is still asked for."""
    apply(project, WIDER)
    ran = run(project, "--evals", kept(tmp_path / "bad.json", results(project, "FAIL")), "--format", "gitlab")
    assert ran.code == 4
    assert "bedplate approve" in ran.out


def test_a_run_that_says_nothing_is_told(project: Path, tmp_path: Path) -> None:
    """An invalid run of the head is exit 9."""
    apply(project, PROMPT)
    assert document(project, "--evals", kept(tmp_path / "r.json", results(project, "INVALID")))["exit"] == 9


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"behaviourDigest": "sha256:" + "0" * 64}, "of another behaviour"),
        ({"gates": []}, "of other gates"),
        ({"dataset": {"digest": "sha256:" + "0" * 64}}, "or cases"),
        ({"repeats": 7}, "repeats"),
    ],
)
def test_results_of_something_else_are_not_counted(
    project: Path, tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    """Passing results of another behaviour, gates or cases leave the eval `not run`, and a note says why."""
    apply(project, PROMPT)
    found = document(project, "--evals", kept(tmp_path / "r.json", results(project, "PASS", **changed)))
    assert "evals not run" in found["line"]
    assert why in found["notes"][0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "bedplate.dev/eval/v1", "suites": [{}]}', "[" * 100_000])
def test_a_file_without_results_is_told(project: Path, tmp_path: Path, text: str) -> None:
    """What is no result of an eval is BP794 with the file's name, as is a file that is not there."""
    (tmp_path / "r.json").write_text(text)
    for name in ("r.json", "none.json"):
        ran = run(project, "--evals", str(tmp_path / name))
        assert (ran.code, f"BP794 {name}" in ran.err) == (1, True), ran.err


def _widened(project: Path) -> Finding:
    return review(Request(project / "agent.yaml", "HEAD^")).rows[0].finding


def test_an_approval_in_the_head_counts(project: Path) -> None:
    """With its approval committed the same change needs nothing more; the comment names who agreed."""
    apply(project, WIDER)
    about: dict[str, Any] = {"agent": "support", "stage": "staging", "reason": "needed", "now": time.time()}
    approval = new_approval(_widened(project), approver="ann@example.com", expires="30d", **about)
    write_approval(project, approval, time.time())
    assert run(project).code == 3  # on disk, and not in the commit
    git(project, "add", "-A")
    git(project, "commit", "-q", "--amend", "--no-edit")
    ran = run(project, "--format", "github")
    assert (ran.code, "approved by `ann@example.com`" in ran.out) == (0, True), ran.out


def test_the_command_that_a_review_prints_approves(project: Path) -> None:
    """Typed as it stands, with nothing deployed anywhere, it writes the approval that the next review asks for."""
    apply(project, WIDER)
    line = next(line for line in run(project).err.splitlines() if "bedplate approve" in line)
    words = shlex.split(line, comments=True)[1:]
    assert bedplate(project, *words, "--as", "ann@example.com").code == 0
    commit(project, "approved")
    assert run(project, base="HEAD~2").code == 0


def test_an_approval_that_does_not_fit_counts_for_nothing(project: Path) -> None:
    """One that is over, or of another finding, leaves the change in need of approval; a damaged one is an error."""
    git(project, "tag", "start")
    apply(project, WIDER)
    finding, now = _widened(project), time.time()
    about: dict[str, Any] = {"agent": "support", "stage": "staging", "approver": "ann", "reason": "r", "expires": "1d"}
    for approval in (
        new_approval(finding, now=now - 3 * 86400, **about),
        new_approval(replace(finding, object="*"), now=now, **about),
    ):
        write(project, {approval.file: content(approval)})
        commit(project, "approval")
        assert run(project, base="start").code == 3
    write(project, {approval.file: "kind: Approval\n"})
    commit(project, "damaged")
    ran = run(project, base="start")
    assert (ran.code, "BP774" in ran.out) == (1, True)


def test_what_is_shown_and_what_is_written(project: Path, tmp_path: Path) -> None:
    """Text is the default, --format chooses, and --out writes the comment beside the screen."""
    apply(project, WIDER)
    screen, out = run(project), tmp_path / "comment.md"
    assert "Needs approval: 2 stages change" in screen.out
    assert "Next:\n  bedplate approve" in screen.err
    assert run(project, "--out", str(out)).out == screen.out
    assert out.read_text() == run(project, "--format", "github").out
    assert "\x1b" not in screen.out


@pytest.mark.parametrize(
    "arguments",
    [("--format", "html"), ("--format", "text", "--post"), ("--head", "main", "--working-tree")],
)
def test_options_that_do_not_fit_are_refused(project: Path, arguments: tuple[str, ...]) -> None:
    """Nothing is accepted and ignored: exit 64."""
    assert run(project, *arguments).code == 64


def test_a_comment_that_cannot_be_posted_changes_no_exit_code(project: Path, tmp_path: Path) -> None:
    """Where the platform cannot be reached that is a warning, the job's summary gets the comment, and 3 stays 3."""
    apply(project, WIDER)
    (tmp_path / "event.json").write_text('{"pull_request": {"number": 1}}')
    summary = tmp_path / "summary.md"
    token = "secret-of-this-test"
    env = {
        "GITHUB_API_URL": "http://127.0.0.1:1",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": token,
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    ran = bedplate(project, "review", "--base", "HEAD^", "--post", env=env)
    assert (ran.code, "BP795" in ran.err) == (3, True), ran.err
    assert "### Needs approval" in summary.read_text()
    assert token not in ran.out + ran.err + summary.read_text()
