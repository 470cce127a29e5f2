"""`approve` and `approvals` as a person types them, on a manifest with two stages and nothing deployed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import validate

from cli_support import bedplate, ok

SCHEMAS = Path(__file__).parents[1] / "docs/schema"
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: support, description: Answers., owner: team@example.com}
intent: product
model: bedplate:extractive
instructions: Answer.
data: [{name: notes, type: files, path: notes}]
tools: [{name: notes, type: search, use: notes, scopes: [{read: "*"}]}]
memory: {sessions: {retention: 30d}}
tracing: {content: redacted, retention: 30d}
evals: [{name: answers, dataset: answers.yaml, gates: [{metric: contains, min: 0.5}]}]
stages:
  first: {target: local}
  prod: {target: local, from: first}
"""
APPROVE = ("--stage", "prod", "--reason", "They asked for it", "--expires", "30d")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("# A\n\nText.\n")
    cases = "".join(f'  - {{name: c{n}, inputs: "What is {n}?", expected_output: Text}}\n' for n in range(10))
    (tmp_path / "answers.yaml").write_text(f"cases:\n{cases}")
    (tmp_path / "agent.yaml").write_text(MANIFEST)
    return tmp_path


def test_approve_and_list(project: Path) -> None:
    """An approval is written where reviewers see it, is listed as counting, and what is left to approve is said."""
    document = ok(project, "approve", "A1", *APPROVE, "--as", "ann@example.com", "--json").json
    validate(document, json.loads((SCHEMAS / "approval.v1.json").read_text()))
    assert (document["approver"], document["reason"]) == ("ann@example.com", "They asked for it")
    assert "A1" not in document["waiting"]
    assert (project / document["file"]).is_file()
    listed = ok(project, "approvals", "--stage", "prod", "--json").json
    validate(listed, json.loads((SCHEMAS / "approvals.v1.json").read_text()))
    assert [(a["says"], a["standing"]) for a in listed["approvals"]] == [(document["says"], "counts")]
    assert listed["waiting"] == document["waiting"]
    shown = ok(project, "approvals", "--stage", "prod").out
    assert "counts" in shown
    assert "ann@example.com" in shown


def test_an_approval_outlives_a_plan_and_dies_with_its_finding(project: Path) -> None:
    """A comment in the manifest changes nothing; another scope leaves the approval without a finding."""
    agreed = ok(project, "approve", "A1", *APPROVE, "--json").json
    manifest = project / "agent.yaml"
    manifest.write_text("# a comment\n" + MANIFEST)
    (kept,) = ok(project, "approvals", "--stage", "prod", "--json").json["approvals"]
    assert kept["standing"] == "counts"
    manifest.write_text(MANIFEST.replace('read: "*"', 'read: "*.md"'))
    lost = ok(project, "approvals", "--stage", "prod", "--json").json
    assert [a["standing"] for a in lost["approvals"]] == ["unmatched"]
    assert len(lost["waiting"]) > len(agreed["waiting"])


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("A99", *APPROVE), 64, "BP777"),
        (("A1", "--stage", "prod", "--reason", " ", "--expires", "30d"), 64, "BP777"),
        (("A1", "--stage", "prod", "--reason", "x", "--expires", "2y"), 64, "BP777"),
        (("A1", "--stage", "prod", "--reason", "x"), 64, "BP700"),
        (("A1", "--stage", "prod", "--expires", "30d"), 64, "BP700"),
        (("A1", *APPROVE, "--as", ""), 64, "BP777"),
    ],
)
def test_nothing_is_approved_by_half(project: Path, words: tuple[str, ...], code: int, problem: str) -> None:
    """Without a finding, a reason, an end or a name nothing is approved and no file is written."""
    ran = bedplate(project, "approve", *words, "--json")
    assert (ran.code, ran.json["problems"][0]["code"]) == (code, problem)
    assert not (project / "approvals").exists()


def test_a_damaged_approval_stops_the_list(project: Path) -> None:
    """A file that was altered is told with its place, and so is the next attempt to approve over it."""
    path = project / ok(project, "approve", "A1", *APPROVE, "--as", "ann", "--json").json["file"]
    path.write_text(path.read_text().replace("reason:", "reasons:"))
    for words in (("approvals", "--stage", "prod"), ("approve", "A1", *APPROVE, "--as", "ann")):
        ran = bedplate(project, *words)
        assert ran.code == 1
        assert f"BP774 approvals/prod/{path.name}:8:1" in ran.err


def test_no_approvals_yet(project: Path) -> None:
    """A stage without approvals says so, and what waits for one."""
    ran = ok(project, "approvals", "--stage", "prod")
    assert ran.out == "  There are no approvals for prod.\n"
    assert "Still to be approved for prod: A1" in ran.err
