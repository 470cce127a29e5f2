"""The main job, end to end: from a scaffolded project to an answering, remembering, traced agent, and away again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli_support import Ran, bedplate, ok, pids_of

QUESTION = "How long do I have to return an order?"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A scaffolded support agent, brought up; destroyed at the end."""
    folder = tmp_path_factory.mktemp("agent")
    ok(folder, "init", ".", "--template", "support", "--intent", "product", "--name", "support")
    ok(folder, "up")
    yield folder
    bedplate(folder, "destroy", "--yes")


def ask(folder: Path, question: str, *options: str) -> dict[str, object]:
    answer: dict[str, object] = ok(folder, "ask", question, "--json", *options).json
    return answer


def status(folder: Path) -> dict[str, object]:
    found: dict[str, object] = bedplate(folder, "status", "--json").json
    return found


def pid(folder: Path, name: str) -> int:
    processes = status(folder)["processes"]
    assert isinstance(processes, list)
    return next(int(p["pid"]) for p in processes if p["name"] == name)


def wait_for(condition: object, seconds: float = 15) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_answer_has_a_source(project: Path) -> None:
    """The agent answers from the documents and names the page."""
    answer = ask(project, QUESTION)
    assert "60 days" in str(answer["output"])
    assert answer["sources"]


def test_unanswerable_is_said(project: Path) -> None:
    """A question that no document answers gets no invented answer."""
    assert "found nothing" in str(ask(project, "How many moons does Jupiter have?")["output"])


def test_second_up_changes_nothing(project: Path) -> None:
    """`up` without a change does nothing: state and processes stay as they are."""
    state = project / ".bedplate/prototype/state.json"
    before, processes = state.read_bytes(), pids_of(project)
    assert ok(project, "up", "--json").json["plan"]["infrastructure"]["changes"] == []
    assert (state.read_bytes(), pids_of(project)) == (before, processes)


def test_a_changed_field_is_the_only_change(project: Path) -> None:
    """The plan of a changed limit names that limit, its values and its line, and restarts the gateway alone."""
    manifest = project / "agent.yaml"
    text = manifest.read_text()
    assert "toolCalls: 20" in text
    agent = pid(project, "agent")
    manifest.write_text(text.replace("toolCalls: 20", "toolCalls: 7"))
    planned = bedplate(project, "plan", "--json")
    assert planned.code == 2
    (change,) = planned.json["infrastructure"]["changes"]
    assert (change["action"], change["name"]) == ("update", "gateway")
    (detail,) = change["details"]
    assert (detail["path"], detail["old"], detail["new"]) == ("limits.toolCalls", "20", "7")
    assert detail["where"] == f"agent.yaml:{_line(manifest, 'toolCalls')}"
    ok(project, "up")
    assert pid(project, "agent") == agent
    assert bedplate(project, "plan").code == 0


def test_comments_change_nothing(project: Path) -> None:
    """A comment and a blank line in the manifest are no change."""
    manifest = project / "agent.yaml"
    manifest.write_text("# a note\n\n" + manifest.read_text())
    assert bedplate(project, "plan").code == 0


def test_session_goes_on_after_restart(project: Path) -> None:
    """A conversation is remembered although every process was restarted in between."""
    first = ask(project, QUESTION)
    for name in ("gateway", "agent"):
        os.kill(pid(project, name), signal.SIGTERM)
    wait_for(lambda: status(project)["healthy"])
    again = ask(project, "And for gifts?", "--session", str(first["session"]))
    assert again["session"] == first["session"]


def test_long_term_memory_is_per_user(project: Path) -> None:
    """A fact told in one session is known in the next, to that user alone, until the user is forgotten."""
    ask(project, "My name is Ada.", "--user", "ada")
    assert "Ada" in str(ask(project, "What is my name?", "--user", "ada")["output"])
    assert "Ada" not in str(ask(project, "What is my name?", "--user", "bob")["output"])
    ok(project, "memory", "forget", "--user", "ada", "--yes")
    assert "Ada" not in str(ask(project, "What is my name?", "--user", "ada")["output"])


def test_a_secret_is_never_remembered(project: Path) -> None:
    """The stage's own key, told to the agent as a fact, is masked before it is kept."""
    key = (project / ".bedplate/prototype/secrets/api-key").read_text().strip()
    ask(project, f"My name is {key}.", "--user", "mallory")
    shown = ok(project, "memory", "show", "--user", "mallory", "--json").json
    assert shown["facts"]
    assert key not in str(shown["facts"])


def test_killed_processes_come_back(project: Path) -> None:
    """After kill -9 of gateway and agent the next question is answered."""
    for name in ("gateway", "agent"):
        victim = pid(project, name)
        os.kill(victim, signal.SIGKILL)
        assert "60 days" in str(ask(project, QUESTION)["output"])


def test_killed_supervisor_is_noticed_and_mended(project: Path) -> None:
    """After kill -9 of the supervisor nothing of the stage survives, and `up` brings it back with its memory."""
    ask(project, "My name is Grace.", "--user", "grace")
    supervisor = int((project / ".bedplate/prototype/run/supervisor.pid").read_text().split()[0])
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not pids_of(project))
    assert bedplate(project, "plan").code == 2
    ok(project, "up")
    assert "Grace" in str(ask(project, "What is my name?", "--user", "grace")["output"])


def test_a_renamed_agent_keeps_its_memory(project: Path) -> None:
    """Another name is a change in place: nothing is made anew, and what was remembered is still known."""
    ask(project, "My name is Linus.", "--user", "linus")
    manifest = project / "agent.yaml"
    manifest.write_text(manifest.read_text().replace("name: support\n", "name: helpdesk\n", 1))
    planned = bedplate(project, "plan", "--json").json
    assert {change["action"] for change in planned["infrastructure"]["changes"]} == {"update"}
    ok(project, "up")
    assert "Linus" in str(ask(project, "What is my name?", "--user", "linus")["output"])


def test_another_manifest_cannot_take_the_stage(project: Path) -> None:
    """A second manifest in the folder whose stage has the same name is refused, and the first goes on."""
    other = project / "other.yaml"
    other.write_text((project / "agent.yaml").read_text().replace("name: helpdesk", "name: other"))
    refused = bedplate(project, "up", "-f", "other.yaml")
    other.unlink()
    assert refused.code == 1
    assert "BP711" in refused.err
    assert status(project)["healthy"]


def test_plan_and_up_refuse_what_validate_refuses(project: Path) -> None:
    """A model that cannot be used stops plan and up as it stops validate."""
    manifest = project / "agent.yaml"
    text = manifest.read_text()
    manifest.write_text(text.replace("bedplate:extractive\n", "bedplate:extractiv\n", 1))
    refused = [bedplate(project, command) for command in ("validate", "plan", "up", "eval")]
    manifest.write_text(text)
    assert [r.code for r in refused] == [1, 1, 1, 1]
    assert all("BP471" in r.err for r in refused)


def test_trace_shows_decision_and_line(project: Path) -> None:
    """The newest trace shows the tool call with its decision and the manifest's line."""
    ask(project, QUESTION)
    wait_for(lambda: "docs.search" in bedplate(project, "traces", "show", "last").out)
    shown = ok(project, "traces", "show", "last").out
    assert "allow" in shown
    assert "agent.yaml:" in shown
    listed = ok(project, "traces", "list", "--json").json["traces"]
    assert listed[0]["toolCalls"] >= 1


def test_evals_pass_and_leave_nothing_in_memory(project: Path) -> None:
    """The scaffolded evals pass their gates, and the users they asked as are forgotten."""
    conversations = status(project)["counts"]
    ran = ok(project, "eval", "--junit", "junit.xml", "--json")
    assert all(suite["outcome"] == "PASS" for suite in ran.json["suites"])
    assert "<testcase" in (project / "junit.xml").read_text()
    assert status(project)["counts"] == conversations


def test_a_failing_gate_exits_4(project: Path) -> None:
    """A dataset that expects what the documents do not say fails its gate."""
    dataset = project / "evals/faq.yaml"
    text = dataset.read_text()
    dataset.write_text(re.sub(r"expected_output: .*", "expected_output: said nowhere", text))
    ok(project, "up")
    failed = bedplate(project, "eval")
    dataset.write_text(text)
    ok(project, "up")
    assert failed.code == 4, failed.out + failed.err


def test_two_ups_at_once(project: Path) -> None:
    """Of two `up` at once, one does the work and the other says who holds the lock, or finds nothing to do."""
    import threading

    manifest = project / "agent.yaml"
    manifest.write_text(manifest.read_text().replace("toolCalls: 7", "toolCalls: 8"))
    results: list[Ran] = []
    threads = [threading.Thread(target=lambda: results.append(bedplate(project, "up"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = sorted(r.code for r in results)
    assert codes in ([0, 0], [0, 6]), [r.err for r in results]
    assert bedplate(project, "plan").code == 0


def test_destroy_leaves_nothing(project: Path) -> None:
    """`destroy` leaves no process, no file and no open port, and says before what is lost."""
    address = urlsplit(str(status(project)["url"]))
    refused = bedplate(project, "destroy")
    assert refused.code == 3
    assert "conversations" in refused.err
    ok(project, "destroy", "--yes")
    assert not pids_of(project)
    assert not (project / ".bedplate").exists()
    if address.port != 8080:  # where it is free every stage takes it, so that another test's may have it by now
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address.hostname or "", address.port or 0), timeout=2)
    assert json.loads(bedplate(project, "destroy", "--yes", "--json").out)["deleted"] == []


def _line(path: Path, word: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if word in line)
