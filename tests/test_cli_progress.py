"""What is said on stderr while a run is under way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pulumi.automation.events import OpType

from bedplate.cli.progress import Progress
from bedplate.engine.api import Event, Step

CASES = Path(__file__).parent / "cases/engine"
QUIET = {"same", "refresh"}


def operations() -> set[str]:
    """The operations that Pulumi has, and those of every step in the engine's cases."""
    found = {op.value for op in OpType}
    for path in CASES.rglob("*.yaml"):
        rows = [run for row in yaml.safe_load(path.read_text("utf-8")) for run in row.get("runs", ())]
        steps = [step for run in rows for step in run.get("steps") or ()]
        found |= {step.split()[0] for step in steps if isinstance(step, str)}
    return found


def test_every_operation_has_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever an engine does to a resource is told when it is done, but for what changes nothing."""
    assert {"discard", "import", "read", "remove-pending-replace"} <= operations()
    for op in sorted(operations()):
        Progress()(Event("done", Step(op, "urn:pulumi:dev::shop::t::db", "t", "db")))
        said = capsys.readouterr().err
        assert (" db (" in said) == (op not in QUIET), op


def test_reading_its_words_loads_no_pulumi() -> None:
    """The command starts fast."""
    code = "import sys, bedplate.cli.progress; assert 'pulumi' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
