"""`bedplate ci init`: workflows as data. What the platforms' schemas and a security linter say of them; their rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.problems import BedplateError
from bedplate.review.ci.facts import read_facts
from bedplate.review.ci.write import Platform, write
from ci_support import agent_files
from cli_support import bedplate, ok
from review_support import git, repository

CASES = yaml.safe_load((Path(__file__).parent / "cases/ci/manifests.yaml").read_text())
GOLDEN = Path(__file__).parent / "cases/ci/golden"
TOOLS = Path(sys.executable).parent
SAME = "github.event.pull_request.head.repo.full_name == github.repository"
OTHER = SAME.replace("==", "!=")


def made(case: dict[str, Any], folder: Path, platform: Platform) -> dict[str, str]:
    """The files that are written for a case, by their path, and what is left to do under REMAINING."""
    repository(folder, agent_files(case))
    manifest = folder / case.get("folder", "") / case.get("file", "agent.yaml")
    written = write(read_facts(manifest, case.get("branch"), "1.2.3"), platform)
    texts = {file.path: (folder / file.path).read_text() for file in written.files}
    return {**texts, "REMAINING": "\n".join([*written.remaining, ""])}


@pytest.fixture(params=CASES, ids=lambda case: case["name"])
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


def jobs_of(text: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return jobs


def workflows(case: dict[str, Any], folder: Path) -> tuple[str, str]:
    """The review and the deployment on GitHub."""
    texts = made(case, folder, "github")
    return next(t for n, t in texts.items() if "review" in n), next(t for n, t in texts.items() if "deploy" in n)


@pytest.mark.parametrize("platform", ["github", "gitlab"])
@pytest.mark.parametrize("case", [c for c in CASES if c.get("golden")], ids=lambda case: case["name"])
def test_workflows_are_as_they_were(case: dict[str, Any], platform: Platform, tmp_path: Path) -> None:
    """Each file is, word for word, what tests/cases/ci/golden holds."""
    for name, text in made(case, tmp_path, platform).items():
        golden = GOLDEN / case["name"] / platform / f"{Path(name).name.lstrip('.')}.golden"
        assert golden.read_text() == text, golden


def test_the_platforms_schemas_accept_them(case: dict[str, Any], tmp_path: Path) -> None:
    """What is written is valid by the schemas that are published for both platforms."""
    for platform in ("github", "gitlab"):
        files = [n for n in made(case, tmp_path / platform, platform) if n != "REMAINING"]
        schema = "vendor.github-workflows" if platform == "github" else "vendor.gitlab-ci"
        command = [TOOLS / "check-jsonschema", "--builtin-schema", schema, *files]
        ran = subprocess.run(command, cwd=tmp_path / platform, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout


def test_a_security_linter_finds_nothing(case: dict[str, Any], tmp_path: Path) -> None:
    """zizmor, offline and pedantic, has no finding of any severity."""
    made(case, tmp_path, "github")
    command = [TOOLS / "zizmor", "--offline", "--persona=pedantic", "--no-progress", ".github/workflows"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_actions_are_pinned_and_nothing_is_written_into_scripts(case: dict[str, Any], tmp_path: Path) -> None:
    """Every action is named by its commit, no expression stands in a script, and no token is left in a clone."""
    for text in workflows(case, tmp_path):
        assert yaml.safe_load(text)["permissions"] == {}
        assert "pull_request_target" not in text
        assert len(re.findall(r"uses: ", text)) == len(re.findall(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d", text))
        for job in jobs_of(text).values():
            assert job["timeout-minutes"]
            steps = job["steps"]
            assert not [step for step in steps if "${{" in step.get("run", "")]
            assert all(s["with"]["persist-credentials"] is False for s in steps if "checkout" in s.get("uses", ""))


def test_only_who_needs_a_right_has_it(case: dict[str, Any], tmp_path: Path) -> None:
    """One job may write comments, never for a fork; identities are given to deployments only, each of one stage."""
    review, deploy = workflows(case, tmp_path)
    jobs = jobs_of(review)
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        **{name: {"contents": "read"} for name in jobs},
        "review": {"contents": "read", "pull-requests": "write"},
    }
    assert {name for name, job in jobs.items() if SAME not in job["if"]} == {"fork"}
    assert OTHER in jobs["fork"]["if"]
    assert "secrets." not in yaml.safe_dump({name: job for name, job in jobs.items() if name != "evals"})
    prefix = "support-" if "folder" in case else ""
    for name, job in jobs_of(deploy).items():
        if name.endswith("_plan"):
            assert job["permissions"] == {"contents": "read"}
            assert not {"environment", "env"} & set(job)
            assert "secrets." not in str(job)
            continue
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        assert job["environment"] == prefix + name
        assert job["concurrency"] == {"group": f"bedplate-support-{name}", "cancel-in-progress": False}


def test_stages_wait_for_those_they_are_promoted_from(case: dict[str, Any], tmp_path: Path) -> None:
    """A stage waits for its plan, and that for its source. First stages are brought up, others are promoted to."""
    _, deploy = workflows(case, tmp_path / "github")
    jobs = jobs_of(deploy)
    plans = {name.removesuffix("_plan"): jobs.pop(name) for name in list(jobs) if name.endswith("_plan")}
    assert {name: job.get("needs") for name, job in plans.items()} == case["jobs"]
    assert {name: job["needs"] for name, job in jobs.items()} == {name: f"{name}_plan" for name in case["jobs"]}
    for name, job in jobs.items():
        last = job["steps"][-1]["run"].splitlines()[-1]
        assert last.startswith("bedplate promote" if case["jobs"][name] else "bedplate up")
        assert name in last.split()
    texts = made(case, tmp_path / "gitlab", "gitlab")
    text = next(text for name, text in texts.items() if name != "REMAINING")
    prefix = "bedplate-support-deploy-" if "folder" in case else "bedplate-deploy-"
    every, planned = yaml.safe_load(text), prefix.replace("deploy", "plan")
    found = {n.removeprefix(prefix): job for n, job in every.items() if n.startswith(prefix)}
    assert {name: job["needs"] for name, job in found.items()} == {name: [planned + name] for name in case["jobs"]}
    for name, source in case["jobs"].items():
        plan = every[planned + name]
        assert plan["needs"] == ([prefix + source] if source else [])
        assert not {"environment", "id_tokens", "when"} & set(plan)
        assert "when" not in plan["rules"][0]
        for script in (plan["script"][0], plans[name]["steps"][-1]["run"]):
            assert ("--dry-run" in script) == bool(source)
            assert "--without-secrets" in script
    manual = {name for name, job in found.items() if job["rules"][0].get("when") == "manual"}
    assert manual == {name for name, source in case["jobs"].items() if source}
    assert len({job["id_tokens"]["BEDPLATE_ID_TOKEN"]["aud"] for job in found.values()}) == len(found)


def test_evals_run_where_a_suite_wants_pull_requests(case: dict[str, Any], tmp_path: Path) -> None:
    """The evals' job asks the suites that run on pull requests, and there is none where no suite does."""
    review, _ = workflows(case, tmp_path)
    suites = case.get("suites", {"faq": ["pullRequest"]})
    wanted = [name for name, when in suites.items() if "pullRequest" in when]
    evals = jobs_of(review).get("evals")
    assert (evals is None) == (not wanted)
    if evals:
        assert f"bedplate eval{' --file support.yaml' if 'file' in case else ''} {' '.join(wanted)} " in str(evals)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo", agent_files(CASES[2]))


def test_files_of_others_stay(project: Path) -> None:
    """A second run has nothing to do; a file that differs keeps both from being written, unless --force."""
    ok(project, "ci", "init", "--github")
    assert "Nothing to do" in ok(project, "ci", "init", "--github").err
    review, deploy = (project / f".github/workflows/bedplate-{name}.yml" for name in ("review", "deploy"))
    before = review.read_text()
    review.unlink()
    deploy.write_text("# mine\n")
    refused = bedplate(project, "ci", "init", "--github")
    assert (refused.code, refused.err.split()[0]) == (1, "BP797")
    assert not review.exists()
    assert deploy.read_text() == "# mine\n"
    forced = ok(project, "ci", "init", "--github", "--force", "--json").json
    assert [(f["action"], Path(f["path"]).name) for f in forced["files"]] == [
        ("added", "bedplate-review.yml"),
        ("replaced", "bedplate-deploy.yml"),
    ]
    assert review.read_text() == before


def test_the_branch_is_that_of_the_remote(project: Path, tmp_path: Path) -> None:
    """What is released is the default branch of origin, or the branch that is named."""
    git(project, "branch", "-m", "trunk")
    git(tmp_path, "clone", "--quiet", str(project), "clone")
    for options, branch in (((), "trunk"), (("--branch", "v2", "--force"), "v2")):
        ok(tmp_path / "clone", "ci", "init", "--github", *options)
        text = (tmp_path / "clone/.github/workflows/bedplate-deploy.yml").read_text()
        assert f'branches: ["{branch}"]' in text


@pytest.mark.parametrize(
    ("options", "code"),
    [((), 64), (("--github", "--gitlab"), 64), (("--github", "--branch", "a b"), 1), (("--gitlab", "-f", "none"), 1)],
)
def test_what_cannot_be_made_is_refused(project: Path, options: tuple[str, ...], code: int) -> None:
    """No platform named, a branch that no script can hold, a manifest that is not there: nothing is written."""
    assert bedplate(project, "ci", "init", *options).code == code
    assert not (project / ".github").exists()
    assert not list(project.glob(".gitlab*"))


def test_outside_a_repository_nothing_is_written(project: Path) -> None:
    """Workflows belong into a repository: elsewhere it is an error that says so."""
    git(project, "status")
    (project / ".git").rename(project.parent / "git")
    with pytest.raises(BedplateError) as error:
        read_facts(project / "agent.yaml", None, "1.2.3")
    assert error.value.problems[0].code == "BP791"
