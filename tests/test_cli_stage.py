"""What commands print and leave on disk, on one stage that is up: the support template's."""

from __future__ import annotations

import json
import os
import pty
import secrets
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from bedplate.cli.main import app
from bedplate.store import AskRow, Store
from cli_support import COMMAND, bedplate, ok
from stage_support import MANIFEST, Stage, wait_for
from stage_support import stage as another

SCHEMAS = Path(__file__).parents[1] / "docs/schema"
CASES = yaml.safe_load((Path(__file__).parent / "cases/cli/documents.yaml").read_text())
ELSEWHERE = {"agent", "ceiling", "lock", "eval-results", "trace-summary", "approval", "review"}
"""Schemas of no command's whole output, and of commands that have tests of their own for it."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage that was made by a person whose umask hides nothing, and that has answered and was evaluated."""
    found = Stage(tmp_path_factory.mktemp("support"))
    before = os.umask(0)
    try:
        ok(found.folder, "init", "--template", "support", "--intent", "product", "--name", "support")
        subprocess.run(["git", "init", "--quiet"], cwd=found.folder, check=True)
        with (found.folder / "agent.yaml").open("a") as manifest:
            manifest.write("  second: {target: local, from: prototype}\n")
        ok(found.folder, "up")
        ok(found.folder, "ask", "My name is Ada. How long do refunds take?")
        ok(found.folder, "eval")
        (found.home / "logs/agent.log").write_text("said by a process\n")
        yield found
    finally:
        os.umask(before)
        bedplate(found.folder, "destroy", "--yes")


def test_a_stage_is_private(stage: Stage) -> None:
    """Whatever the umask, only its owner may read a stage's files or list its folders."""
    found = [stage.home.parent, *stage.home.rglob("*")]
    modes = {str(path.relative_to(stage.folder)): stat.S_IMODE(path.lstat().st_mode) for path in found}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    parts = {path.relative_to(stage.home).parts[0] for path in found[1:]}
    assert {"memory.db", "index", "traces", "logs", "secrets", "run", "owners", "evals", "state.json"} <= parts


def test_status_says_how_users_are_kept_apart(stage: Stage, tmp_path: Path) -> None:
    """Where an agent remembers its users, `status` says that they share one process; else it says nothing of it."""
    said = "one agent process serves all users; each turn is bound to its caller by a capability"
    assert stage.status()["isolation"] == said
    assert f"isolation: {said}\n" in ok(stage.folder, "status").out
    with another(tmp_path, MANIFEST + "model: bedplate:extractive\n") as forgetful:
        assert forgetful.status()["healthy"]
        assert forgetful.status()["isolation"] == ""
        assert "isolation" not in ok(tmp_path, "status").out


def test_memory_shows_dates_that_people_read(stage: Stage) -> None:
    """Each remembered fact stands beside the moment in RFC 3339; in JSON it stays a number."""
    ok(stage.folder, "ask", "My name is Ada.", "--user", "ada")
    facts = ok(stage.folder, "memory", "show", "--user", "ada", "--json").json["facts"]
    shown = ok(stage.folder, "memory", "show", "--user", "ada").out
    assert facts
    for fact in facts:
        moment = datetime.fromtimestamp(int(fact["created"]), UTC).isoformat().replace("+00:00", "Z")
        assert f"{moment}  {fact['text']}" in shown


def test_chat_without_a_question_prints_nothing(stage: Stage) -> None:
    """Empty input is a conversation of no answers: no document, and no error."""
    assert ok(stage.folder, "chat", "--json").out == ""


def test_tools_of_a_dead_gateway_are_not_ready(tmp_path: Path) -> None:
    """After kill -9 of the supervisor, `status` says of no tool that it works."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# A\n\nText.\n")
    data = "data: [{name: docs, type: files, path: docs}]\n"
    tools = 'tools: [{name: docs, type: search, use: docs, scopes: [{read: "*"}]}]\n'
    with another(tmp_path, MANIFEST + "model: bedplate:extractive\n" + data + tools) as found:
        assert found.status()["tools"]["docs"]["state"] == "ready"
        os.kill(int((found.home / "run/supervisor.pid").read_text().split()[0]), signal.SIGKILL)
        wait_for(lambda: not found.status()["processes"], "the processes are still told")
        assert found.status()["tools"]["docs"] == {"state": "failed", "reason": "no gateway runs", "operations": 0}
        assert not found.status()["healthy"]
        assert "ready" not in bedplate(tmp_path, "status").out


@pytest.mark.parametrize("command", ["traces list", "logs", "memory show --user me"])
def test_what_others_wrote_cannot_steer_the_terminal(stage: Stage, command: str) -> None:
    """Escape sequences in questions, facts and logs are shown as what they are, not sent to the terminal."""
    with (stage.home / "logs/agent.log").open("a") as log:
        log.write("steering \x1b[2J\n")
    ok(stage.folder, "ask", "My name is steering \x1b]0;owned\x07.")
    ok(stage.folder, "ask", "\x1b[2Jsteer")
    shown = ok(stage.folder, *command.split()).out
    assert "steer" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_an_answer_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """What a document smuggles into an answer is shown on a terminal, not sent to it; a pipe gets it as it is."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text(f"# Lamps\n\nLamps are \x1b[2J returned within thirty days. {'Really. ' * 40}")
    data = "model: bedplate:extractive\ndata: [{name: notes, type: files, path: notes}]\n"
    tools = 'tools: [{name: notes, type: search, use: notes, scopes: [{read: "*"}]}]\n'
    with another(tmp_path, MANIFEST + data + tools) as found:
        question = [*COMMAND, "ask", "When are lamps returned?"]
        piped = subprocess.run(question, cwd=found.folder, capture_output=True, check=True).stdout
        assert b"\x1b[2J returned" in piped
        ours, theirs = pty.openpty()
        subprocess.run(question, cwd=found.folder, stdout=theirs, stderr=subprocess.DEVNULL, check=True)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        os.close(theirs)
    assert "\ufffd[2J returned" in shown
    assert "\x1b[2J" not in shown


@cache
def _registry() -> Registry[Any]:
    published = [json.loads(path.read_text("utf-8")) for path in SCHEMAS.iterdir()]
    return Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in published])


def _problems(document: Any, name: str) -> list[str]:
    """Where a document differs from the published schema of that name."""
    schema = json.loads((SCHEMAS / f"{name}.v1.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    found = Draft202012Validator(schema, registry=_registry()).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["run"])
def test_json_output_fits_its_schema(stage: Stage, tmp_path: Path, case: dict[str, Any]) -> None:
    """What a command prints with `--json` is the document that docs/schema publishes: every field, and no other."""
    asked = case["run"].replace("{ask}", _ask(stage)) if "{ask}" in case["run"] else case["run"]
    words = shlex.split(asked.replace("{tmp}", str(tmp_path)))
    ran = bedplate(stage.folder, *words, "--json", stdin=case.get("stdin", ""))
    assert ran.code == case.get("code", 0), ran.out + ran.err
    texts = ran.out.splitlines() if case.get("lines") else [ran.out]
    assert texts
    for document in map(json.loads, texts):
        assert document["schema"] == f"bedplate.dev/{case['schema']}/v1"
        assert _problems(document, case["schema"]) == []


def _ask(stage: Stage) -> str:
    """A call that waits for a person now, unlike any before it."""
    arguments = {"n": secrets.randbits(32)}
    named = ("", "support", "me", "s", "t", "till", "pay", "call", "pay", "g", "")
    with closing(Store.open(stage.home / "memory.db")) as store:
        return store.ask(AskRow(*named, 0, time.time() + 60, arguments)).id


def test_a_person_sees_and_decides_what_waits(stage: Stage) -> None:
    """The list has the exact arguments, for whom and by which scope; what is decided waits no more."""
    ask = _ask(stage)
    shown = ok(stage.folder, "asks").out
    assert ask in shown
    assert '{"n": ' in shown
    assert "me, session s" in shown
    assert ok(stage.folder, "asks", "deny", ask, "--comment", "no receipt").err.startswith(f"{ask} is denied")
    assert ask not in ok(stage.folder, "asks").out
    assert "no receipt" in ok(stage.folder, "asks", "--all").out
    again = bedplate(stage.folder, "asks", "approve", ask, "--json")
    assert (again.code, again.json["problems"][0]["code"]) == (1, "BP483")


def test_turns_are_told_as_they_end(stage: Stage) -> None:
    """`traces tail --json` prints a summary of each turn on a line, as its schema says."""
    with subprocess.Popen(
        [*COMMAND, "traces", "tail", "--json"], cwd=stage.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout
        assert watching.stderr
        watching.stderr.readline()  # it waits
        ok(stage.folder, "ask", "How do I return a lamp?")
        document = json.loads(watching.stdout.readline())
        watching.terminate()
    assert _problems(document, "trace-summary") == []


def test_every_json_document_is_held_to_its_schema() -> None:
    """No command with `--json` and no published schema is left out of the cases above.

    A new command needs its type in cli/documents, `make docs`, and a case in tests/cases/cli/documents.yaml.
    """
    cases = [shlex.split(case["run"]) for case in CASES]
    for path in _commands_with_json():
        assert path == ["traces", "tail"] or any(words[: len(path)] == path for words in cases), path
    published = {path.name.removesuffix(".v1.json") for path in SCHEMAS.iterdir()}
    assert published == {case["schema"] for case in CASES} | ELSEWHERE


def _commands_with_json() -> Iterator[list[str]]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        inner = getattr(command, "commands", {})
        for path, each in [([name], command), *(([name, n], c) for n, c in inner.items())]:
            if any("--json" in parameter.opts for parameter in each.params):
                yield path
