"""Our resource types, on real files and real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bedplate.providers.bedplate import registry
from bedplate.providers.bedplate.credentials import dotenv
from bedplate.providers.bedplate.data import remembered

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.provider import UNKNOWN, Created, Resource
from bedplate.problems import BedplateError
from bedplate.runtime.supervisor.client import SupervisorClient
from bedplate.store import Store, remember


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[StagePaths]:
    folder = tmp_path / ".bedplate" / "dev"
    folder.mkdir(parents=True)
    yield StagePaths(folder)
    SupervisorClient(StagePaths(folder)).stop()


def resource(paths: StagePaths, name: str, **environment: str) -> Resource:
    return registry(paths, paths.folder.parent.parent, environment)[f"bedplate:local:{name}"]


def server(**changes: Any) -> dict[str, Any]:
    """Inputs of a process that answers HTTP: Python's own server."""
    return {"name": "web", "module": "http.server", "config": {"a": 1}, "listens": True, "ready": "none", **changes}


def test_the_store_is_made_and_removed(paths: StagePaths) -> None:
    """Creating makes the file, deleting leaves nothing, and both can be done twice."""
    store = resource(paths, "Store")
    store.create({"retention": {"sessions": 60}})
    made = store.create({"retention": {"sessions": 60}})
    assert made.outputs["path"] == str(paths.memory)
    assert remembered(paths) == {"sessions": 0, "messages": 0, "facts": 0, "turns": 0}
    assert not store.diff(made.id, made.outputs, made.outputs, made.outputs).changes
    store.delete(made.id, made.outputs)
    store.delete(made.id, made.outputs)
    assert list(paths.folder.iterdir()) == []
    assert remembered(paths) == {}


def test_a_lost_store_is_a_change(paths: StagePaths) -> None:
    """A file that vanished shows as a change with a note, and reading says it is gone."""
    store = resource(paths, "Store")
    inputs = {"retention": {"sessions": 60}}
    made = store.create(inputs)
    paths.memory.unlink()
    assert store.diff(made.id, inputs, made.outputs, inputs).note == "the file is gone"
    assert store.read(made.id, inputs, made.outputs) is None


def told(paths: StagePaths, words: str) -> None:
    """A conversation and a fact in the stage's store."""
    store = Store.open(paths.memory)
    session = store.session("support", "ada", None, 600)
    store.append_messages(session.id, "t", [{"text": words}])
    remember(store, "support", "ada", words, "t", 600)
    store.close()


def test_a_shorter_retention_says_what_goes_and_deletes_it(paths: StagePaths) -> None:
    """The diff counts what is older than the new retention; the update deletes it; a longer one loses nothing."""
    store, old = resource(paths, "Store"), {"agent": "support", "retention": {"sessions": 600, "longTerm": 600}}
    made = store.create(old)
    told(paths, "I live in Bern.")
    longer, shorter = ({"agent": "support", "retention": {"sessions": n, "longTerm": 900}} for n in (900, 0))
    assert store.diff(made.id, old, made.outputs, longer).note == ""
    assert store.diff(made.id, old, made.outputs, shorter).note == "deletes 1 conversation"
    assert not store.diff(made.id, old, made.outputs, old).changes
    outputs = store.update(made.id, old, made.outputs, shorter)
    assert outputs["retention"] == shorter["retention"]
    assert remembered(paths) == {"sessions": 0, "messages": 0, "facts": 1, "turns": 0}


def test_a_removed_memory_section_deletes_what_it_kept(paths: StagePaths) -> None:
    """What the manifest no longer remembers goes, and the diff says how much that is."""
    store, old = resource(paths, "Store"), {"agent": "support", "retention": {"sessions": 600, "longTerm": 600}}
    made = store.create(old)
    told(paths, "I live in Bern.")
    told(paths, "My name is Ada.")
    news: dict[str, Any] = {"agent": "support", "retention": {}}
    note = store.diff(made.id, old, made.outputs, news).note
    assert note == "deletes 2 conversations and 2 remembered facts"
    store.update(made.id, old, made.outputs, news)
    assert remembered(paths) == {"sessions": 0, "messages": 0, "facts": 0, "turns": 0}


def index_inputs(root: Path, digest: str) -> dict[str, Any]:
    return {"name": "docs", "root": str(root), "digest": digest, "files": 1, "paths": ["a.md"]}


def test_the_index_follows_its_digest(paths: StagePaths, tmp_path: Path) -> None:
    """The index is built, is unchanged for the same digest, changes in place with another, and goes."""
    (tmp_path / "a.md").write_text("# Title\n\nSome words about bolts.\n")
    index = resource(paths, "SearchIndex")
    first, second = index_inputs(tmp_path, "1"), index_inputs(tmp_path, "2")
    made = index.create(first)
    assert made.outputs["documents"] == 1
    assert "paths" not in made.outputs
    assert not index.diff(made.id, first, made.outputs, {**first, "paths": ["b.md"]}).changes
    changed = index.diff(made.id, first, made.outputs, second)
    assert set(changed.properties) == {"digest"}
    assert not changed.replaces
    assert index.update(made.id, first, made.outputs, second)["digest"] == "2"
    paths.index("docs").unlink()
    assert index.diff(made.id, second, made.outputs, second).note == "the index is gone"
    index.delete(made.id, made.outputs)


def test_unread_documents_are_named(paths: StagePaths, tmp_path: Path) -> None:
    """A document that cannot be read is counted and named in the outputs."""
    (tmp_path / "a.md").write_text("# Title\n\nSome words about bolts.\n")
    (tmp_path / "b.md").write_bytes(b"\x7fELF\x00\x01\x02" * 50)
    made = resource(paths, "SearchIndex").create({**index_inputs(tmp_path, "1"), "paths": ["a.md", "b.md"]})
    assert (made.outputs["documents"], made.outputs["unread"]["count"]) == (1, 1)
    assert made.outputs["unread"]["first"][0].startswith("b.md: ")


SECRET = {"name": "api.key-1", "variable": "API_KEY_1"}


def test_a_secret_goes_to_a_private_file_only(paths: StagePaths) -> None:
    """The value stands in a file of mode 0600 and in nothing that goes to the state."""
    secret = resource(paths, "Secret", API_KEY_1="sk-very-secret")
    inputs = secret.check(SECRET, None).inputs
    made = secret.create(inputs)
    assert paths.secret("api.key-1").read_text() == "sk-very-secret"
    assert stat.S_IMODE(paths.secret("api.key-1").stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.secrets.stat().st_mode) == 0o700
    assert "sk-very-secret" not in json.dumps([inputs, made.outputs])


def test_a_secrets_fingerprint_changes_with_its_value_only(paths: StagePaths) -> None:
    """The same value gives no change; another gives one; another stage has another salt."""
    first = resource(paths, "Secret", API_KEY_1="one").check(SECRET, None).inputs
    same = resource(paths, "Secret", API_KEY_1="one").check(SECRET, first).inputs
    other = resource(paths, "Secret", API_KEY_1="two").check(SECRET, first).inputs
    assert first == same
    assert other["fingerprint"] != first["fingerprint"]
    assert resource(paths, "Secret", API_KEY_1="one").check(SECRET, None).inputs != first


def test_a_missing_secret_says_how_to_set_it(paths: StagePaths) -> None:
    """The problem names the secret and the variable."""
    with pytest.raises(BedplateError) as caught:
        resource(paths, "Secret").check(SECRET, None)
    problem = caught.value.problems[0]
    assert (problem.code, problem.summary) == ("BP751", "secret api.key-1 is not set")
    assert "export API_KEY_1=" in problem.fix


def test_the_environment_wins_over_the_file(paths: StagePaths) -> None:
    """A secret is found in `.env`, and the environment's value is taken before it."""
    (paths.folder.parent.parent / ".env").write_text("# keys\nexport API_KEY_1='from file' \n")
    for environment, expected in ({}, "from file"), ({"API_KEY_1": "from shell"}, "from shell"):
        secret = resource(paths, "Secret", **environment)
        secret.create(secret.check(SECRET, None).inputs)
        assert paths.secret("api.key-1").read_text() == expected


def test_dotenv_is_read_as_people_write_it(tmp_path: Path) -> None:
    """Comments, quotes, `export`, spaces and equals signs in values."""
    (tmp_path / ".env").write_text("A=1\n#B=2\nexport C=\"x # y\"\nD=a=b # note\n\nE = 'q'\nF\n", "utf-8")
    assert dotenv(tmp_path / ".env") == {"A": "1", "C": "x # y", "D": "a=b", "E": "q"}


def test_a_token_is_made_once(paths: StagePaths) -> None:
    """A token survives another create, is new after it was lost, and is no part of the outputs."""
    token = resource(paths, "Token")
    made = token.create({"name": "api-key"})
    value = paths.secret("api-key").read_text()
    token.create({"name": "api-key"})
    assert paths.secret("api-key").read_text() == value
    assert len(value) >= 43
    assert value not in json.dumps(made.outputs)
    paths.secret("api-key").unlink()
    assert token.diff(made.id, made.outputs, made.outputs, {"name": "api-key"}).note == "the file is gone"
    token.update(made.id, made.outputs, made.outputs, {"name": "api-key"})
    assert paths.secret("api-key").read_text() != value


def test_inputs_that_nobody_reads_are_refused(paths: StagePaths) -> None:
    """A process with an unknown input or role is refused with the input's name."""
    found = resource(paths, "Process").check(server(colour="red", role="king"), None)
    assert {failure.property for failure in found.failures} == {"colour", "role"}


def test_a_port_is_known_before_when_it_was_asked_for(paths: StagePaths) -> None:
    """In a preview the address is known where the port is given or kept, and unknown else."""
    process = resource(paths, "Process")
    assert process.preview_outputs(server(), None)["url"] is UNKNOWN
    assert process.preview_outputs(server(port=8111), None)["url"] == "http://127.0.0.1:8111"
    assert process.preview_outputs(server(), {"port": 8112})["url"] == "http://127.0.0.1:8112"


def sink(paths: StagePaths, **changes: Any) -> dict[str, Any]:
    """Inputs of a real process of a stage: the trace sink."""
    config = {"folder": str(paths.traces), "retention": 60, "content": "none", "secretsFolder": str(paths.secrets)}
    checked = resource(paths, "Process").check(
        {
            "name": "sink",
            "module": "bedplate.traces.sink",
            "config": config,
            "listens": True,
            "ready": "http:/ping",
            **changes,
        },
        None,
    )
    return dict(checked.inputs)


def ping(url: str) -> int:
    with urllib.request.urlopen(f"{url}/ping", timeout=5) as answer:
        return int(answer.status)


def owned(paths: StagePaths, root: Path) -> list[tuple[Resource, dict[str, Any], Path]]:
    """One of each type: the resource, its inputs, its file."""
    secret = resource(paths, "Secret", API_KEY_1="one")
    return [
        (resource(paths, "Token"), {"name": "sink-token"}, paths.secret("sink-token")),
        (secret, dict(secret.check(SECRET, None).inputs), paths.secret("api.key-1")),
        (resource(paths, "Store"), {"agent": "a", "retention": {"sessions": 60}}, paths.memory),
        (resource(paths, "SearchIndex"), index_inputs(root, "1"), paths.index("docs")),
        (resource(paths, "Process"), sink(paths), paths.config("sink")),
    ]


def test_a_delete_leaves_what_another_owns_by_now(paths: StagePaths, tmp_path: Path) -> None:
    """A resource that was made anew under another address keeps its file and process when the old one is deleted."""
    (tmp_path / "a.md").write_text("# Title\n\nSome words about bolts.\n")
    for each, inputs, file in owned(paths, tmp_path):
        old = each.create(inputs)
        new = each.create(inputs)
        new = Created(new.id, each.update(new.id, inputs, new.outputs, inputs))
        each.delete(old.id, old.outputs)
        assert file.exists(), each.type
        assert not each.diff(new.id, inputs, new.outputs, inputs).changes
    for each, inputs, file in reversed(owned(paths, tmp_path)):
        made = each.create(inputs)
        each.delete(made.id, made.outputs)
        assert not file.exists(), each.type
    assert not (paths.folder / "owners").exists()


def test_a_moved_project_is_a_change(paths: StagePaths, tmp_path: Path) -> None:
    """A file that was made at another place is brought up to date, and then nothing is to do."""
    (tmp_path / "a.md").write_text("# Title\n\nSome words about bolts.\n")
    for each, inputs, _ in owned(paths, tmp_path)[:-1]:
        made = each.create(inputs)
        elsewhere = {**made.outputs, "path": "/elsewhere/file"}
        assert each.diff(made.id, inputs, elsewhere, inputs).note == "the project was moved"
        outputs = each.update(made.id, inputs, elsewhere, inputs)
        assert not each.diff(made.id, inputs, outputs, inputs).changes


def test_a_process_is_started_changed_in_place_and_ended(paths: StagePaths) -> None:
    """Create starts it, a second look finds nothing to do, an update keeps its address, delete leaves nothing."""
    resource(paths, "Token").create({"name": "sink-token"})
    process = resource(paths, "Process")
    first, second = sink(paths), sink(paths, triggers={"bedplate": "next"})
    made = process.create(first)
    assert ping(made.outputs["url"]) == 200
    assert stat.S_IMODE(paths.config("sink").stat().st_mode) == 0o600
    assert not process.diff("sink", first, made.outputs, first).changes
    before = SupervisorClient(paths).process("sink")
    assert before is not None
    outputs = process.update("sink", first, made.outputs, second)
    after = SupervisorClient(paths).process("sink")
    assert after is not None
    assert after["pid"] != before["pid"]
    assert outputs["url"] == made.outputs["url"]
    assert ping(outputs["url"]) == 200
    process.delete("sink", outputs)
    assert not paths.run.exists()
    assert not paths.logs.exists()
    with pytest.raises(OSError):
        ping(outputs["url"])


def test_a_process_that_does_not_run_is_a_change(paths: StagePaths) -> None:
    """After the supervisor was killed the diff says `not running`, and the update brings it back at its address."""
    resource(paths, "Token").create({"name": "sink-token"})
    process, inputs = resource(paths, "Process"), sink(paths)
    made = process.create(inputs)
    status = SupervisorClient(paths).status()
    assert status is not None
    os.kill(status["pid"], signal.SIGKILL)
    time.sleep(0.2)
    assert process.diff("sink", inputs, made.outputs, inputs).note == "not running"
    assert process.update("sink", inputs, made.outputs, inputs)["url"] == made.outputs["url"]
    assert ping(made.outputs["url"]) == 200


def test_an_update_that_fails_keeps_what_ran(paths: StagePaths) -> None:
    """A configuration that the process refuses is reported with its log, and the old process answers again."""
    resource(paths, "Token").create({"name": "sink-token"})
    process, inputs = resource(paths, "Process"), sink(paths)
    made = process.create(inputs)
    with pytest.raises(BedplateError) as caught:
        process.update("sink", inputs, made.outputs, {**inputs, "config": {"content": "everything"}})
    assert caught.value.problems[0].code == "BP302"
    assert caught.value.problems[0].detail
    assert ping(made.outputs["url"]) == 200
    assert not process.diff("sink", inputs, made.outputs, inputs).changes


def test_a_port_in_use_is_named(paths: StagePaths) -> None:
    """A port that was asked for and is taken is an error that names the port and who has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BedplateError) as caught:
            resource(paths, "Process").create(sink(paths, port=port))
    problem = caught.value.problems[0]
    assert problem.code == "BP301"
    assert str(port) in problem.summary
    assert f"pid {os.getpid()}" in problem.summary


def test_a_chosen_port_that_was_taken_meanwhile_is_given_up(paths: StagePaths) -> None:
    """A port that nobody asked for does not stop an update: another is taken, and the outputs say so."""
    resource(paths, "Token").create({"name": "sink-token"})
    process, inputs = resource(paths, "Process"), sink(paths)
    made = process.create(inputs)
    SupervisorClient(paths).stop()
    with socket.create_server(("127.0.0.1", made.outputs["port"])):
        outputs = process.update("sink", inputs, made.outputs, inputs)
        assert outputs["port"] != made.outputs["port"]
        assert ping(outputs["url"]) == 200


def test_a_second_create_finds_the_first(paths: StagePaths) -> None:
    """A create that is done again, as after a killed run, keeps the process and its address."""
    resource(paths, "Token").create({"name": "sink-token"})
    process, inputs = resource(paths, "Process"), sink(paths)
    first, second = process.create(inputs).outputs, process.create(inputs).outputs
    assert {**first, "owner": ""} == {**second, "owner": ""}


def test_a_line_that_moved_is_no_change(paths: StagePaths) -> None:
    """Another line number alone changes nothing, now and when the state has taken it over."""
    resource(paths, "Token").create({"name": "sink-token"})
    process, inputs = resource(paths, "Process"), sink(paths)
    inputs["config"]["scopes"] = [{"where": "agent.yaml:3", "id": "a"}]
    moved = {**inputs, "config": {**inputs["config"], "scopes": [{"where": "agent.yaml:4", "id": "a"}]}}
    other = {**inputs, "config": {**inputs["config"], "scopes": [{"where": "agent.yaml:3", "id": "b"}]}}
    made = process.create(inputs)
    assert not process.diff("sink", inputs, made.outputs, moved).changes
    assert not process.diff("sink", moved, made.outputs, moved).changes
    assert process.diff("sink", other, made.outputs, other).note == "runs with another configuration"
