"""Plans where no key is known, as jobs without a stage's environment make them: the real command on a real stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_support import agent_files
from cli_support import bedplate, ok, pids_of
from review_support import repository

KEY = "SOME_KEY"
MODEL = {"id": "anthropic:some-model", "credentials": {"secret": "some-key"}}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    found = repository(tmp_path / "repo", agent_files({"stages": {"first": {"target": "local"}}, "model": MODEL}))
    yield found
    bedplate(found, "destroy", "--yes")
    assert pids_of(tmp_path) == []


def test_a_key_that_is_deployed_counts_as_unchanged(project: Path) -> None:
    """Without the key `plan` is refused; with --without-secrets it tells what else changes, and never the key."""
    assert "BP751" in bedplate(project, "plan").err
    fresh = bedplate(project, "plan", "--without-secrets", "--markdown")
    assert fresh.code == 2
    assert "+ secret some-key" in fresh.out
    ok(project, "up", env={KEY: "one"})
    assert bedplate(project, "plan", env={KEY: "two"}).code == 2
    assert bedplate(project, "plan", "--without-secrets", env={KEY: "two"}).code == 0
    (project / "docs/more.md").write_text("More.\n")
    changed = bedplate(project, "plan", "--without-secrets", "--markdown")
    assert changed.code == 2
    assert "index docs" in changed.out
    assert "secret some-key" not in changed.out.partition("#### Infrastructure")[2]


@pytest.mark.parametrize("option", ["--markdown", "--without-secrets"])
def test_options_of_a_plan_do_not_promote(project: Path, option: str) -> None:
    """`promote` takes them with --dry-run only: an option that would be ignored is refused."""
    refused = bedplate(project, "promote", "first", option)
    assert refused.code == 64
    assert f"{option} is for a plan" in refused.err
    assert "is for a plan" not in bedplate(project, "promote", "first", "--dry-run", option).err


@pytest.mark.parametrize("command", [("plan",), ("promote", "first", "--dry-run")])
def test_two_forms_of_one_output_are_refused(project: Path, command: tuple[str, ...]) -> None:
    """`--markdown` beside `--json` would be ignored, so that it is a usage error."""
    refused = bedplate(project, *command, "--markdown", "--json")
    assert (refused.code, refused.json["problems"][0]["code"]) == (64, "BP701")
