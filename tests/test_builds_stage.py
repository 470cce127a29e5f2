"""Stages run from their build: what happens to the working tree after `up` does not touch them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.paths import StagePaths
from bedplate.release.builds.make import deployable, open_tree, previewed
from bedplate.release.builds.store import BuildStore
from bedplate.release.target import open_target
from builds_support import FILES, built, write_project
from cli_support import bedplate, ok
from stage_support import Model, Stage, code_of, wait_for

SERVER = """\
import sys
from mcp.server.mcpserver import MCPServer
server = MCPServer("words")
@server.tool()
def shout(word: str) -> str:
    return word.upper()
server.run()
"""
CALC = "def add(left: int, right: int) -> int:\n    return left + right\n"
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {{name: built}}
intent: script
model: {{id: "scripted:m", baseUrl: "{url}/v1"}}
instructions: {{file: prompts/system.md}}
data:
  - {{name: docs, type: files, path: docs}}
tools:
  - {{name: docs, type: search, use: docs, scopes: [{{read: "*"}}]}}
  - {{name: calc, type: python, entrypoint: "tools.calc:add", scopes: [{{call: add}}]}}
  - {{name: words, type: mcp, command: [python, tools/words.py], scopes: [{{call: "*"}}]}}
stages:
  prototype: {{target: local}}
  staging: {{target: local}}
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    served = Model()
    yield served
    served.close()


@pytest.fixture
def project(tmp_path: Path, model: Model) -> Iterator[Stage]:
    """A project with every kind of tool that has files, not brought up."""
    files = {**FILES, "tools/calc.py": CALC.encode(), "tools/words.py": SERVER.encode()}
    manifest = MANIFEST.format(url=model.url).encode()
    write_project(tmp_path, {**files, "agent.yaml": manifest})
    yield Stage(tmp_path)
    for name in ("staging", "prototype"):
        bedplate(tmp_path, "destroy", "--stage", name, "--yes")


def ask(url: str, headers: dict[str, str], question: str) -> str:
    """A caller's question, without the command line: there is no manifest any more."""
    answer = httpx2.post(
        f"{url}/invocations", json={"input": question}, headers=headers, trust_env=False, timeout=60
    ).json()
    return str(answer.get("output", answer))


CALLS = {
    'call docs___search {"query": "harbour"}': "opens at six",
    'call calc___add {"left": 20, "right": 22}': "42",
    'call words___shout {"word": "quiet"}': "QUIET",
}


def test_a_stage_outlives_its_working_tree(project: Stage) -> None:
    """With every file of the project deleted and every process killed, the stage comes back and all tools answer."""
    ok(project.folder, "up")
    url, headers = project.url, project.headers
    for path in project.folder.iterdir():
        if path.name != ".bedplate":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for process in project.status()["processes"]:
        os.kill(process["pid"], signal.SIGKILL)
    wait_for(lambda: all(p["restarts"] for p in project.status()["processes"]), "not restarted")
    wait_for(lambda: project.status()["healthy"], "not healthy")
    for call, answer in CALLS.items():
        assert answer in ask(url, headers, call)


def test_edits_wait_for_up(project: Stage) -> None:
    """An edited tool runs as it was built, also in a process that starts later; after `up` it runs as edited."""
    ok(project.folder, "up")
    (project.folder / "tools/calc.py").write_text(CALC.replace("left + right", "left - right"))
    os.kill(project.pid("gateway"), signal.SIGKILL)
    wait_for(lambda: project.status()["healthy"], "not healthy")
    assert project.answer('call calc___add {"left": 20, "right": 22}').endswith("42")
    ok(project.folder, "up")
    assert project.answer('call calc___add {"left": 20, "right": 22}').endswith("-2")


def test_plan_says_what_up_does(project: Stage) -> None:
    """A plan right before `up` lists what `up` then does, build or no build; a plan right after it is empty."""
    for change in ("", "Be brief.\n"):
        with (project.folder / "prompts/system.md").open("a") as prompt:
            prompt.write(change)
        planned = bedplate(project.folder, "plan", "--json")
        assert planned.code == 2
        done = ok(project.folder, "up", "--json").json["plan"]["infrastructure"]
        assert _by_name(done["changes"]) == _by_name(planned.json["infrastructure"]["changes"])
        assert bedplate(project.folder, "plan").code == 0


def _by_name(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(changes, key=lambda change: str(change["name"]))


def test_a_new_prompt_leaves_the_index_alone(project: Stage) -> None:
    """With only the instructions changed no index is built, and no path of a build shows in the plan."""
    ok(project.folder, "up")
    index = project.home / "index/docs.db"
    before = index.stat().st_mtime_ns
    (project.folder / "prompts/system.md").write_text("Answer briefly.\n")
    plan = bedplate(project.folder, "plan", "--json").json["infrastructure"]
    assert {change["name"] for change in plan["changes"]} == {"agent", "gateway"}
    details = [detail["path"] for change in plan["changes"] for detail in change["details"]]
    assert details == ["instructions"]
    ok(project.folder, "up")
    assert index.stat().st_mtime_ns == before


def test_plan_writes_nothing(tmp_path: Path) -> None:
    """`plan` makes no build and no folder."""
    write_project(tmp_path, FILES)
    assert bedplate(tmp_path, "plan").code == 2
    assert not (tmp_path / ".bedplate").exists()


def test_the_last_stage_takes_the_builds_along(project: Stage) -> None:
    """Builds stay while a stage is there; with the last one everything goes, and a folder of builds is no stage."""
    ok(project.folder, "build")
    assert ok(project.folder, "destroy", "--yes", "--json").json["deleted"] == []
    ok(project.folder, "up")
    ok(project.folder, "up", "--stage", "staging")
    ok(project.folder, "destroy", "--stage", "staging", "--yes")
    assert (project.folder / ".bedplate/_builds").is_dir()
    project.destroy()


def test_a_damaged_build_is_not_brought_up(project: Stage) -> None:
    """A file that was edited in the build stops `up` and `build` with BP760, and what runs goes on."""
    ok(project.folder, "up")
    (tree,) = (project.folder / ".bedplate/_builds/trees").iterdir()
    (tree / "tools/calc.py").chmod(0o600)
    (tree / "tools/calc.py").write_text("def add(left: int, right: int) -> int:\n    return 0\n")
    for command in ("up", "build"):
        ran = bedplate(project.folder, command, "--json")
        assert code_of(ran) == "BP760"
        assert "tools/calc.py" in ran.out
    assert project.status()["healthy"]


def test_up_removes_builds_that_nothing_needs(project: Stage) -> None:
    """What runs is kept whatever else was built; a build that was never released goes with the next `up`."""
    ok(project.folder, "up")
    store = BuildStore(project.folder)
    (running,) = store.digests()
    (project.folder / "prompts/system.md").write_text("Other.\n")
    spare = ok(project.folder, "build", "--json").json["buildDigest"]
    assert set(store.digests()) == {running, spare}
    (project.folder / "prompts/system.md").write_bytes(FILES["prompts/system.md"])
    assert running in ok(project.folder, "up", "--json").out
    assert store.digests() == (running,)
    listed = ok(project.folder, "build", "list", "--json").json["builds"]
    assert [(build["buildDigest"], build["uses"]) for build in listed] == [(running, ["prototype"])]


def test_a_build_is_opened_for_any_stage(project: Stage) -> None:
    """From a build the other stage is resolved as it was then, with its folder and secrets in the project's."""
    target = open_target(project.folder / "agent.yaml", "prototype")
    build = built(project.folder)
    opened = open_tree(project.folder, build, "prototype")
    assert _without_lines(opened.blueprint) == _without_lines(deployable(target).blueprint)
    assert previewed(target) == deployable(target)
    (project.folder / "agent.yaml").write_text("broken: [")
    other = open_tree(project.folder, BuildStore(project.folder).open(build.digest), "staging")
    assert other.blueprint.stage == "staging"
    assert other.blueprint.project == str(build.tree)
    assert (other.home, other.paths) == (project.folder, StagePaths.of(project.folder, "staging"))
    assert deployable(other) == other


def _without_lines(blueprint: Blueprint) -> Any:
    from bedplate.blueprint.model import to_json

    return {**to_json(blueprint), "lines": {}}


def test_a_program_of_a_virtual_environment_is_the_machines(tmp_path: Path) -> None:
    """A command of the project's virtual environment is in no build and moves no digest: it is run where it is."""
    manifest = FILES["agent.yaml"].replace(
        b"stages:", b"  - {name: t, type: mcp, command: [.venv/bin/server, x.py], scopes: [{call: '*'}]}\nstages:"
    )
    write_project(tmp_path, {**FILES, "agent.yaml": manifest, "x.py": b"", ".venv/pyvenv.cfg": b""})
    write_project(tmp_path, {".venv/bin/server": b"#!/one/machine/python\n"})
    first = built(tmp_path)
    (tool,) = (t for t in open_tree(tmp_path, first, None).blueprint.tools if t.name == "t")
    assert getattr(tool, "command", ()) == (str(tmp_path / ".venv/bin/server"), "x.py")
    assert ".venv/bin/server" not in first.files
    write_project(tmp_path, {".venv/bin/server": b"#!/another/machine/python\n"})
    assert built(tmp_path).digest == first.digest
