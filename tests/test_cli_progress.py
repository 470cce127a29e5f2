"""What is said on stderr while a run is under way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pulumi.automation.events import OpType

import bedplate.engine
from bedplate.cli.progress import Progress
from bedplate.engine.api import Event, Step
from bedplate.engine.steps import Op

CASES = Path(__file__).parent / "cases/engine"
QUIET = {"same", "refresh"}


def operations() -> set[str]:
    """The operations that Pulumi has, those of the embedded engine, and those of every step in the engine's cases."""
    found = {op.value for op in OpType} | set(get_args(Op))
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


def test_the_embedded_engine_makes_steps_in_one_place() -> None:
    """Where their operation is of the type `Op`, so that none can come that has no words. Pulumi's come from events."""
    makers = set()
    for path in Path(bedplate.engine.__path__[0]).rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        makers |= {path.stem for call in calls if ast.unparse(call.func).rpartition(".")[2] == "Step"}
    assert makers == {"steps", "pulumievents"}


def test_reading_its_words_loads_no_pulumi() -> None:
    """The command starts fast."""
    code = "import sys, bedplate.cli.progress; assert 'pulumi' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
