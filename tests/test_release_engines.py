"""A stage and its engine: chosen, kept, moved, and left for a plain Pulumi project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli_support import OFFLINE, bedplate, ok, pids_of
from pulumi_support import needs_cli
from stage_support import STAGE, code_of, stage

AGENT = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: mover}
intent: script
model: bedplate:extractive
instructions: Answer.
stages:
  prototype: {target: local}
"""
needs_language = pytest.mark.skipif(
    shutil.which("pulumi-language-python") is None, reason="Pulumi's Python language host is not on PATH"
)


@needs_cli
@needs_language
def test_a_stage_moves_between_the_engines_and_out(tmp_path: Path) -> None:
    """A stage of one engine is refused by the other, moves with its state, and `pulumi` itself sees no change in it."""
    own = {"PULUMI_HOME": str(tmp_path / "home")}
    project = tmp_path / "project"
    project.mkdir()
    with stage(project, AGENT) as found:
        assert code_of(bedplate(project, "up", "--engine", "pulumi", "--json", env=own)) == "BP265"
        assert ok(project, "engine", "--use", "pulumi", "--json", env=own).json["moved"] == 8
        assert ok(project, "plan", "--json", env=own).json["infrastructure"]["changes"] == []
        assert found.answer("hello?")
        assert code_of(bedplate(project, "state", "repair", "--json", env=own)) == "BP265"
        ok(project, "eject", str(tmp_path / "out"), env=own)
        assert _pulumi_preview(tmp_path / "out", own) == 0
        assert ok(project, "engine", "--use", "embedded", "--json", env=own).json["engine"] == "embedded"
        assert ok(project, "plan", "--json", env=own).json["infrastructure"]["changes"] == []


@needs_cli
@needs_language
def test_a_stage_that_has_moved_can_be_destroyed_at_once(tmp_path: Path) -> None:
    """Its provider knows the stage's folder though no program has told it; nothing that it made is left."""
    own = {"PULUMI_HOME": str(tmp_path / "home")}
    project = tmp_path / "project"
    project.mkdir()
    with stage(project, AGENT):
        ok(project, "engine", "--use", "pulumi", env=own)
        assert "nothing left behind" in ok(project, "destroy", "--yes", env=own).out
    assert pids_of(project) == []


def _pulumi_preview(folder: Path, own: dict[str, str]) -> int:
    """Exit code of a preview by the CLI alone, of the ejected project, that expects no change."""
    backend = folder / "state"
    backend.mkdir()
    environment = {
        **os.environ,
        **OFFLINE,
        **own,
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for words in (
        ["stack", "init", STAGE],
        ["stack", "import", "--stack", STAGE, "--file", "state.json"],
        ["preview", "--stack", STAGE, "--non-interactive", "--expect-no-changes"],
    ):
        done = subprocess.run(["pulumi", *words], cwd=folder, env=environment, check=False, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.returncode


def test_an_ejected_project_has_the_program_its_configuration_and_no_state_where_nothing_is_up(tmp_path: Path) -> None:
    """Program, settings and passphrase are written, private what is secret, and never over files that are there."""
    (tmp_path / "agent.yaml").write_text(AGENT)
    made = ok(tmp_path, "eject", "out", "--json").json["files"]
    assert sorted(Path(path).name for path in made) == [
        ".gitignore",
        "Pulumi.prototype.yaml",
        "Pulumi.yaml",
        "README.md",
        "__main__.py",
        "passphrase",
        "program.py",
        "requirements.txt",
    ]
    assert (tmp_path / "out/passphrase").stat().st_mode & 0o777 == 0o600
    settings = yaml.safe_load((tmp_path / "out/Pulumi.prototype.yaml").read_text())
    assert settings["config"]["bedplate:stageFolder"] == str(tmp_path / ".bedplate/prototype")
    assert code_of(bedplate(tmp_path, "eject", "out", "--json")) == "BP266"


def test_an_unknown_engine_is_refused_by_option_and_by_variable(tmp_path: Path) -> None:
    """Neither `--engine` nor BEDPLATE_ENGINE takes a name that is no engine."""
    (tmp_path / "agent.yaml").write_text(AGENT)
    assert code_of(bedplate(tmp_path, "plan", "--engine", "terraform", "--json")) == "BP701"
    assert code_of(bedplate(tmp_path, "plan", "--json", env={"BEDPLATE_ENGINE": "terraform"})) == "BP701"


def test_the_manifest_names_the_engine_and_its_backend(tmp_path: Path) -> None:
    """`engine: pulumi` of a stage is what plans it, and a `backend` that no engine would read is refused."""
    without = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    manifest = tmp_path / "agent.yaml"
    manifest.write_text(AGENT.replace("{target: local}", "{target: local, engine: pulumi, backend: 's3://b/mover'}"))
    assert code_of(bedplate(tmp_path, "plan", "--json", env=without)) == "BP260"
    assert bedplate(tmp_path, "plan", "--engine", "embedded", "--json", env=without).code == 2
    manifest.write_text(AGENT.replace("{target: local}", "{target: local, backend: 's3://b/mover'}"))
    assert code_of(bedplate(tmp_path, "validate", "--json")) == "BP013"


@needs_cli
def test_a_backend_is_noted_and_no_other_is_taken_for_it(tmp_path: Path) -> None:
    """The state stands in the backend that the manifest names; later commands need no manifest to find it."""
    backend = tmp_path / "backend"
    backend.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    written = AGENT.replace("{target: local}", f"{{target: local, engine: pulumi, backend: 'file://{backend}'}}")
    with stage(project, written) as found:
        assert (backend / ".pulumi/stacks/bedplate-local/prototype.json").exists()
        assert found.status()["healthy"]
        found.write(written.replace("/backend'", "/other'"))
        assert code_of(bedplate(project, "plan", "--json")) == "BP262"
        found.destroy()
    assert not (backend / ".pulumi/stacks/bedplate-local/prototype.json").exists()
