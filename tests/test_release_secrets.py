"""What is written down about a plan or a release, to be kept and shown around, holds no secret."""

from __future__ import annotations

import os
from pathlib import Path

from bedplate.release import make_plan
from bedplate.release.check import open_deployable
from bedplate.release.receipt import PlanReceipt, parts_of, write_receipt
from bedplate.release.records import ReleaseLog, who
from cli_support import bedplate, ok

MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: careful}
intent: script
model: {id: "anthropic:claude-sonnet-4-5", credentials: {secret: orders-key}}
instructions: Answer.
stages: {first: {target: local}}
"""
CANARIES = ("canary-of-the-first-day", "canary-of-the-second-day", "canary-of-the-pipeline")


def write_both(folder: Path, name: str) -> None:
    """A receipt and a record of the plan as it is now, of everything that a plan's JSON says."""
    target = open_deployable(folder / "agent.yaml", "first")
    plan = make_plan(target).to_json()
    receipt = PlanReceipt(
        tool_version="0.1.0",
        agent=target.blueprint.name,
        stage=target.blueprint.stage,
        build=target.blueprint.digests.build,
        behaviour=target.blueprint.digests.behaviour,
        parts=parts_of("agent.yaml", target.loaded.document, {}),
        state="",
        release=0,
        baseline="nothing",
        changes=plan["changes"],
        findings=(),
        verdict={},
    )
    write_receipt(folder / f"{name}.json", receipt)
    body = {"stage": "first", "agent": "careful", "build": receipt.build, "behaviour": receipt.behaviour}
    environment = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": CANARIES[2]}
    log = ReleaseLog(folder / "releases.jsonl")
    with log.hold("up"):
        number = log.next_number()
        log.append("started", number, {**body, "toolVersion": "0.1.0", "plan": plan, "who": who(environment)})


def test_secrets_are_in_no_receipt_and_no_record(tmp_path: Path) -> None:
    """Neither a secret's value, nor the one before it, nor keys that `up` made stand in receipts and records."""
    (tmp_path / "agent.yaml").write_text(MANIFEST)
    (tmp_path / ".env").write_text(f"ORDERS_KEY={CANARIES[0]}\n")
    write_both(tmp_path, "before")
    try:
        ok(tmp_path, "up")
        made = [path.read_text().strip() for path in (tmp_path / ".bedplate/first/secrets").iterdir()]
        (tmp_path / ".env").write_text(f"ORDERS_KEY={CANARIES[1]}\n")
        write_both(tmp_path, "after")
    finally:
        bedplate(tmp_path, "destroy", "--yes")
    assert CANARIES[0] in made
    written = "".join((tmp_path / name).read_text() for name in ("before.json", "after.json", "releases.jsonl"))
    assert "orders-key" in written
    assert [secret for secret in {*CANARIES, *made} if secret in written] == []
