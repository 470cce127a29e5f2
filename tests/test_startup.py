"""What a command imports before it works: `--help` must stay quick, and only what runs a program loads Pulumi."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("pydantic", "pulumi", "asyncio", "yaml", "grpc", "google", "mcp", "pydantic_ai", "starlette", "uvicorn"),
    *("opentelemetry", "jsonschema", "httpx2", "ssl", "sqlite3", "cryptography", "anyio", "rich"),
}
LIGHT_PARTS = {"cli", "problems"}
# The last line of standard output tells what was loaded; what the command prints stands before it.
PROBE = """
import json, sys
from bedplate.cli.main import run
code = run(sys.argv[1:])
print()
print(json.dumps({"code": code, "modules": list(sys.modules)}))
"""
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: small}
intent: script
instructions: Answer.
stages:
  prototype: {target: local}
"""


def loaded(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """Exit code and modules of a command that ran in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return told["code"], set(told["modules"])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_are_light(tmp_path: Path, option: str) -> None:
    """`--help` and `--version` load no heavy library and no part of Bedplate but the command line and its errors."""
    code, modules = loaded(tmp_path, option)
    assert code == 0
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    parts = {name.split(".")[1] for name in modules if name.startswith("bedplate.")}
    assert parts <= LIGHT_PARTS


@pytest.mark.parametrize("command", ["validate", "status", "up --help"])
def test_what_runs_no_program_loads_no_pulumi(tmp_path: Path, command: str) -> None:
    """Commands that run no Pulumi program load neither Pulumi, nor gRPC, nor what only the stage's processes need."""
    (tmp_path / "agent.yaml").write_text(MANIFEST)
    code, modules = loaded(tmp_path, *command.split())
    assert code in (0, 1)
    assert not {"pulumi", "grpc", "mcp", "starlette", "pydantic_ai", "opentelemetry"} & modules
