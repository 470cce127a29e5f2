"""What can be validated and not be brought up: other targets, and what nothing enforces here yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate.blueprint.resolve import resolve
from bedplate.manifest import load
from bedplate.problems import BedplateError
from bedplate.release.supported import require_supported, unsupported
from manifest_support import blueprint_of, example_project, searching, write_files


def test_a_stage_of_another_target_is_refused_by_name(tmp_path: Path) -> None:
    """A stage for AWS validates, and planning it is refused with the line of the stage."""
    manifest = example_project(tmp_path)
    lines = manifest.read_text().splitlines()
    (problem,) = unsupported(resolve(load(manifest), "prod"))
    assert problem.code == "BP801"
    assert problem.where
    assert lines[problem.where.line - 1].strip() == "target: aws"


def test_what_nothing_enforces_is_refused_at_its_line(tmp_path: Path) -> None:
    """Databases, buckets, tables, egress, shared state and paths of the sandbox are each named where they stand."""
    manifest = example_project(tmp_path)
    with pytest.raises(BedplateError) as caught:
        require_supported(resolve(load(manifest), "staging"))
    said = {problem.summary.partition(": not")[0] for problem in caught.value.problems}
    assert {problem.code for problem in caught.value.problems} == {"BP802"}
    assert said == {
        "the tool `crm` of type sql",
        "the data `crm` of type postgres",
        "the data `invoices` of type s3",
        "the data `bookings` of type dynamodb",
        "egress of `refunds`",
        "egress of `tickets`",
        "the state `plan`",
        "`sandbox.read`",
        "`sandbox.write`",
    }
    assert all(problem.where and problem.where.line for problem in caught.value.problems)


def test_what_the_gateway_decides_can_be_brought_up(tmp_path: Path) -> None:
    """Conditions, asks and limits of tools that the gateway calls keep no stage from being brought up."""
    write_files(tmp_path, {"docs/a.md": "a", "tools/pay.py": "def pay(amount: float) -> float:\n    return amount\n"})
    scope = {"call": "pay", "where": {"amount": {"max": 5}}, "ask": {"amount": {"over": 3}}, "limit": {"calls": "5/1h"}}
    document = searching()
    document["tools"].append({"name": "pay", "type": "python", "entrypoint": "tools.pay:pay", "scopes": [scope]})
    assert tuple(unsupported(blueprint_of(tmp_path, document))) == ()
