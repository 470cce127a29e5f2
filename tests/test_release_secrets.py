"""What is written down about a plan or a release, to be kept and shown around, holds no secret."""

from __future__ import annotations

from pathlib import Path

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


def test_secrets_are_in_no_receipt_and_no_record(tmp_path: Path) -> None:
    """Neither a secret's value, nor the one before it, nor keys that `up` made stand in plans, receipts and records."""
    (tmp_path / "agent.yaml").write_text(MANIFEST)
    (tmp_path / ".env").write_text(f"ORDERS_KEY={CANARIES[0]}\n")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": CANARIES[2]}
    try:
        said = bedplate(tmp_path, "plan", "--json", "--out", "before.json").out
        ok(tmp_path, "up", env=environment)
        made = [path.read_text().strip() for path in (tmp_path / ".bedplate/first/secrets").iterdir()]
        (tmp_path / ".env").write_text(f"ORDERS_KEY={CANARIES[1]}\n")
        said += bedplate(tmp_path, "plan", "--json", "--out", "after.json").out
        said += (
            ok(tmp_path, "up", "--json", env=environment).out + ok(tmp_path, "history", "show", "last", "--json").out
        )
        kept = [path.read_text() for path in tmp_path.glob("*.json")]
        kept += [
            path.read_text("utf-8", "replace") for path in (tmp_path / ".bedplate/_builds").rglob("*") if path.is_file()
        ]
        kept += [path.read_text() for path in (tmp_path / ".bedplate/first").glob("releases.*")]
    finally:
        bedplate(tmp_path, "destroy", "--yes")
    assert CANARIES[0] in made
    written = said + "".join(kept)
    assert "orders-key" in written
    assert [secret for secret in {*CANARIES, *made} if secret in written] == []
