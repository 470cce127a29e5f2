"""The command line under odd conditions: no arguments, odd streams, shells that ask for completions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bedplate.blueprint.paths import StagePaths
from bedplate.cli.output import camel_keys
from bedplate.release.destroy import find_stage
from cli_support import COMMAND, bedplate

MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: small}
intent: script
model: bedplate:extractive
instructions: Answer.
data: [{name: notes, type: files, path: notes}]
tools: [{name: notes, type: search, use: notes, scopes: [{read: "*"}]}]
stages: {first: {target: local}, second: {target: local}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("# A\n\nText.\n")
    (tmp_path / "agent.yaml").write_text(MANIFEST)
    return tmp_path


def test_without_arguments_help_is_printed(tmp_path: Path) -> None:
    """The bare command prints the help on standard output and succeeds."""
    ran = bedplate(tmp_path)
    assert ran.code == 0
    assert "Usage: bedplate" in ran.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [("bedplate tr", "traces"), ("bedplate traces sh", "show"), ("bedplate up --stage se", "second")],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_completions(project: Path, shell: str, words: str, expected: str) -> None:
    """Each shell that asks as its completion script does gets commands, subcommands and the manifest's stages."""
    asked = {
        "_BEDPLATE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert expected in bedplate(project, env=asked).out


def test_a_manifest_with_problems_has_stages(project: Path) -> None:
    """Stages are completed, and `destroy` finds its default stage, from what can be read of a manifest."""
    (project / "agent.yaml").write_text(MANIFEST.replace("intent: script", "intent: produkt\nfoo: 1"))
    asked = {"_BEDPLATE_COMPLETE": "complete_bash", "COMP_WORDS": "bedplate up --stage se", "COMP_CWORD": "3"}
    assert "second" in bedplate(project, env=asked).out
    for name in ("first", "second"):
        StagePaths.of(project, name).folder.mkdir(parents=True)
    found = find_stage(project / "agent.yaml", None)
    assert found
    assert found.name == "first"


def test_bash_completes_for_real(project: Path) -> None:
    """In a real bash the printed script completes a word."""
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    script = bedplate(project, "completion", "bash").out
    (project / "bedplate").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (project / "bedplate").chmod(0o755)
    asked = 'COMP_WORDS=(bedplate vali); COMP_CWORD=1; _bedplate_completion bedplate; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{asked}"],
        cwd=project,
        env={**os.environ, "PATH": f"{project}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["validate"]


def test_a_terminal_without_unicode(project: Path) -> None:
    """Where the output's encoding lacks a character, an escape is printed and the command goes on."""
    ran = bedplate(project, "plan", env={"PYTHONIOENCODING": "ascii"})
    assert ran.code == 2
    assert "small \\u2192 first" in ran.out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_behind_standard_output(project: Path, options: list[str]) -> None:
    """When standard output cannot be written, the command says so on standard error and fails."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "explain", "BP010", *options], cwd=project, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"BP713" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away(project: Path) -> None:
    """`bedplate … | head -1` ends quietly."""
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(COMMAND)} explain all | head -1"], cwd=project, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"BP")
    assert done.stderr == b""


def test_eval_checks_where_it_will_write(project: Path) -> None:
    """A folder for results that does not exist is refused before anything is asked."""
    ran = bedplate(project, "eval", "--out", "nowhere/x.json", "--json")
    assert ran.code == 1
    assert ran.json["problems"][0]["code"] == "BP713"


def test_usage_errors_as_json(project: Path) -> None:
    """A wrong option exits 64, and with --json says why as a document."""
    ran = bedplate(project, "up", "--nonsense", "--json")
    assert ran.code == 64
    assert json.loads(ran.out)["problems"][0]["code"] == "BP700"


def test_json_keys_are_camel_case(project: Path) -> None:
    """Field names of JSON output are in camelCase, as in the manifest; names from the manifest stay."""
    planned = bedplate(project, "plan", "--json").json
    assert {"deployedBuild", "baseline"} <= {*planned, *planned["access"]}
    assert not [key for key in planned if "_" in key]
    assert camel_keys({"a_field": {"tools": {"a_tool": {}}}}) == {"aField": {"tools": {"a_tool": {}}}}
