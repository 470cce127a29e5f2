"""Plan receipts: what moved since is said in words, and nothing but a whole receipt is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.blueprint.digest import canonical, digest_of
from bedplate.problems import BedplateError
from bedplate.release.receipt import PlanReceipt, moved, parts_of, read_receipt, require_same, write_receipt

CASES = yaml.safe_load((Path(__file__).parent / "cases/receipts/moved.yaml").read_text())
RECEIPT = PlanReceipt(
    tool_version="0.1.0",
    agent="support",
    stage="prod",
    build="sha256:b1",
    behaviour="sha256:v1",
    parts={"agent.yaml: tools": "t1", "prompts/support.md": "p1"},
    state="sha256:s1",
    release=3,
    baseline="release 3",
    changes=(
        {
            "action": "update",
            "kind": "process",
            "name": "gateway",
            "where": "agent.yaml:9",
            "details": ({"path": "limits.tokens", "old": "1", "new": "2"},),
        },
        {"action": "update", "kind": "index", "name": "docs", "where": "agent.yaml:12", "details": ()},
    ),
    findings=({"effect": "wider", "subject": "docs", "verb": "read", "object": "*", "where": "agent.yaml:8"},),
    verdict={"exit": 2, "line": "ready"},
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_moved_is_said(case: dict[str, Any], tmp_path: Path) -> None:
    """Each thing that moved since the receipt was written is one line; what means nothing is none."""
    write_receipt(tmp_path / "plan.json", RECEIPT)
    receipt = read_receipt(tmp_path / "plan.json")
    now = replace(RECEIPT, **case["now"])
    assert list(moved(receipt, now)) == case["says"]
    assert (receipt.change_set == now.change_set) == (not any("plan" in s or "access gains" in s for s in case["says"]))


def test_another_behaviour_of_the_same_build() -> None:
    """A behaviour that moved is said where the build did not, for then nothing else would say it."""
    now = replace(RECEIPT, behaviour="sha256:v2")
    assert moved(RECEIPT, now) == ("the behaviour changed although the build is the same",)


def test_a_stale_plan_is_refused_with_exit_7() -> None:
    """A receipt that no longer fits is BP773 and says all that moved."""
    with pytest.raises(BedplateError) as error:
        require_same(RECEIPT, replace(RECEIPT, release=4, tool_version="0.2.0"))
    problem = error.value.problems[0]
    assert (problem.code, error.value.exit_code) == ("BP773", 7)
    assert problem.detail.splitlines() == [
        "Bedplate was 0.1.0 and is 0.2.0",
        "the stage changed since: release 3 → 4",
    ]


@pytest.mark.parametrize(("other", "fix"), [({"stage": "staging"}, "--stage prod"), ({"agent": "sales"}, "plan")])
def test_a_receipt_of_something_else_is_refused(other: dict[str, str], fix: str) -> None:
    """A receipt of another stage or agent is BP772, whatever else is equal."""
    with pytest.raises(BedplateError) as error:
        require_same(RECEIPT, replace(RECEIPT, **other))
    assert error.value.problems[0].code == "BP772"
    assert fix in error.value.problems[0].fix


def test_the_same_plan_is_let_through(tmp_path: Path) -> None:
    """A receipt that was written and read again fits the plan it was made of."""
    path = tmp_path / "plan.json"
    write_receipt(path, RECEIPT)
    require_same(read_receipt(path), RECEIPT)
    assert path.read_bytes() == canonical(json.loads(path.read_bytes())) + b"\n"


def forged(**values: Any) -> bytes:
    document = {**json.loads(json.dumps(RECEIPT.to_json())), **values}
    document.pop("digest")
    return canonical({**document, "digest": digest_of(document)})


BROKEN = {
    "an empty file": b"",
    "no JSON": b"{",
    "deep JSON": b"[" * 200_000,
    "another document": b'{"schema":"bedplate.dev/plan/v2"}',
    "a list": b"[]",
    "another version": canonical({**RECEIPT.to_json(), "schema": "bedplate.dev/plan-receipt/v2"}),
    "an altered build": canonical({**RECEIPT.to_json(), "build": "sha256:evil"}),
    "an altered change set": canonical({**RECEIPT.to_json(), "changes": []}),
    "a field more": forged(surprise=1),
    "a change of another form": forged(changes=[{}]),
    "a finding that is text": forged(findings=["x"]),
    "parts that are a list": forged(parts=["x"]),
    "a verdict that is text": forged(verdict="ready"),
    "a field less": canonical({k: v for k, v in RECEIPT.to_json().items() if k != "state"}),
    "bytes that are no text": b"\xff\xfe{}",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_receipt_is_refused(content: bytes, tmp_path: Path) -> None:
    """Anything but an unaltered receipt of this version is BP771."""
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(BedplateError) as error:
        read_receipt(tmp_path / "plan.json")
    assert [p.code for p in error.value.problems] == ["BP771"]


def test_parts_name_sections_files_and_lock() -> None:
    """The parts of a build are the manifest's sections, the files and the lock, each with a digest."""
    parts = parts_of("agent.yaml", {"tools": [1], "model": "m"}, {"prompts/a.md": "f1"}, "l1")
    assert set(parts) == {"agent.yaml: tools", "agent.yaml: model", "prompts/a.md", "bedplate.lock"}
    assert parts["agent.yaml: tools"] != parts["agent.yaml: model"]
