"""`bedplate access` from the shell: why a request is decided as it is, and what one side may do beyond another."""

from __future__ import annotations

import contextlib
import io
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.cli import main
from cli_support import Ran
from review_support import commit, git, repository

CASES = yaml.safe_load((Path(__file__).parent / "cases/cli/access_why.yaml").read_text("utf-8"))
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: small}
intent: script
model: bedplate:extractive
instructions: Answer.
data: [{name: docs, type: files, path: docs}]
memory: {longTerm: {}}
never: [{call: "*.drop_*"}]
tools:
  - {name: docs, type: search, use: docs, scopes: [{id: guide, read: "guide/*"}]}
  - name: sums
    type: python
    entrypoint: sums:add
    data: [{use: docs, scopes: [{read: "guide/*"}]}]
    scopes: [{id: adding, call: add}]
  - name: orders
    type: http
    openapi: {file: api.yaml}
    scopes: [{id: reading, get: "https://api.example.com/v1/orders/*"}]
stages: {first: {target: local}, second: {target: local}}
"""
API = """\
openapi: 3.1.0
info: {title: Orders, version: "1"}
servers: [{url: "https://api.example.com/v1"}]
paths:
  /orders/{id}:
    get:
      operationId: get_order
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: An order.}}
"""
FILES = {
    "agent.yaml": MANIFEST,
    "api.yaml": API,
    "sums.py": 'def add(a: int) -> int:\n    """Add."""\n    return a\n',
    "docs/guide/a.md": "# A\n\nText.\n",
    "docs/private/a.md": "# B\n\nText.\n",
}
WIDER = {"agent.yaml": MANIFEST.replace('read: "guide/*"}]}\n  -', 'read: "*"}]}\n  -', 1)}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = repository(tmp_path / "repo", FILES)
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str) -> Ran:
    """The command in this process: as a process of its own it takes a second."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run(list(arguments))
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["run"])
def test_a_request_is_decided_as_the_gateway_would(project: Path, case: dict[str, Any]) -> None:
    """The words mean a request; the answer names the decision, the scope and the reason."""
    words = case["run"].partition(" {")
    found = run("access", "why", *words[0].split(), *([f"{{{words[2]}"] if words[2] else []), "--json").json
    if "code" in case:
        assert [problem["code"] for problem in found["problems"]] == [case["code"]]
        return
    assert {key: found[key] for key in case if key != "run"} == {key: case[key] for key in case if key != "run"}


def test_the_screen_names_the_line_of_the_scope(project: Path) -> None:
    """What decides is told with its line, and what else was asked stands below it."""
    shown = run("access", "why", "docs", "read", "guide/a.md").out
    assert shown.splitlines()[0] == "allow   docs read guide/a.md   by scope guide   agent.yaml:11"


def test_a_revision_is_compared_with_the_next(project: Path) -> None:
    """What a commit lets the agent do beyond the one before it is told with a request, and the exit code is 3."""
    (project / "agent.yaml").write_text(WIDER["agent.yaml"])
    commit(project, "wider")
    found = run("access", "diff", "HEAD^", "HEAD", "--stage", "first")
    assert found.code == 3
    assert "docs may read *" in found.out
    assert "private/a.md" in found.out
    back = run("access", "diff", "git:HEAD", "git:HEAD^", "--json").json
    assert [(pair["new"], pair["verdict"]) for pair in back["pairs"]] == [("first", "narrower"), ("second", "narrower")]
    table = run("access", "diff", "HEAD^", "HEAD", "--markdown").out
    assert "| A1 wider | `docs` may read `*` (`data docs: docs`) | `private/a.md` | `agent.yaml:11` |" in table


def test_files_and_stages_are_compared_too(project: Path) -> None:
    """A file stands for its manifest, a stage for itself; what is alike is said to be the same, with exit code 0."""
    (project / "other.yaml").write_text(WIDER["agent.yaml"])
    assert run("access", "diff", "agent.yaml", "other.yaml", "--stage", "second").code == 3
    same = run("access", "diff", "first", "second")
    assert (same.code, same.out.splitlines()[-1].strip()) == (0, "first → second: same: every request is decided alike")


def test_a_reference_with_two_meanings_is_refused(project: Path) -> None:
    """A branch that is called like a stage is no stage: the person says which one is meant."""
    git(project, "branch", "first")
    refused = run("access", "diff", "first", "second", "--json").json
    assert refused["problems"][0]["code"] == "BP870"
    assert shlex.split(refused["problems"][0]["fix"]) == ["write", "stage:first", "or", "git:first"]
    assert run("access", "diff", "stage:first", "git:first", "--json").json["ok"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nothing", "agent.yaml"), "BP870"),
        (("agent.yaml", "stage:third"), "BP871"),
        (("agent.yaml", "agent.yaml", "--stage", "third"), "BP871"),
        (("git:nothing", "agent.yaml"), "BP792"),
        (("file:none.yaml", "agent.yaml"), "BP001"),
    ],
)
def test_a_side_that_is_not_there_is_refused(project: Path, arguments: tuple[str, ...], code: str) -> None:
    """Each side is found before anything is compared."""
    assert run("access", "diff", *arguments, "--json").json["problems"][0]["code"] == code
