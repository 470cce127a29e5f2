"""Bad models, bad MCP servers, taken ports, full disks and damaged files, through the whole product."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_support import COMMAND, bedplate, ok, pids_of
from stage_support import MANIFEST, Model, Stage, code_of, stage, wait_for

MODEL = 'model: {{id: "scripted:m"{fallback}, baseUrl: "{url}/v1"}}\nlimits: {{timeout: 6s}}\n'
DEAD = 'raise SystemExit("the server says: no licence")\n'
HANGING = "import time\ntime.sleep(1000)\n"
# Answers the handshake in good form, and lies in everything after it.
LYING = """\
import json, sys
print("Welcome to the server!", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    match request["method"]:
        case "initialize":
            reply["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                               "serverInfo": {"name": "liar", "version": "1"}}
        case "tools/list":
            print("{not json", flush=True)
            names = ("rubbish", "huge", "silent", "works")
            reply["result"] = {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in names]
                               + [{"name": "bad name!", "inputSchema": {"type": "object"}}]}
        case "tools/call":
            match request["params"]["name"]:
                case "rubbish": reply["result"] = {"content": [{"type": "text"}], "isError": "perhaps"}
                case "huge": reply["result"] = {"content": [{"type": "text", "text": "x" * 5_000_000}]}
                case "silent": continue
                case "works": reply["result"] = {"content": [{"type": "text", "text": "true for once"}]}
        case _:
            reply["error"] = {"code": -32601, "message": "unknown method"}
    print(json.dumps(reply), flush=True)
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    served = Model()
    yield served
    served.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Stage]:
    """An agent whose scripted model has no fallback, and whose tools are MCP servers that are up to no good."""
    tools = "".join(
        f'  - {{name: {name}, type: mcp, command: [python, {name}.py], scopes: [{{call: "*"}}]}}\n'
        for name in ("dead", "hanging", "lying")
    )
    manifest = MANIFEST + MODEL.format(fallback="", url=model.url) + "tools:\n" + tools
    files = {"dead.py": DEAD, "hanging.py": HANGING, "lying.py": LYING}
    with stage(tmp_path_factory.mktemp("alone"), manifest, **files) as found:
        yield found


@pytest.fixture(scope="module")
def backed(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Stage]:
    """An agent whose scripted model has a second one behind it."""
    manifest = MANIFEST + MODEL.format(fallback=', fallback: ["scripted:good"]', url=model.url)
    with stage(tmp_path_factory.mktemp("backed"), manifest) as found:
        yield found


FAULTS = ["status 500", "status 429", "rubbish", "not-json", "hang 30", "close"]


@pytest.mark.parametrize("fault", [*FAULTS, "empty"])
def test_a_bad_model_is_an_error_that_names_it(alone: Stage, fault: str) -> None:
    """Without a fallback each fault of the model ends in time, with a code and the model's name."""
    began = time.monotonic()
    ran = alone.ask(fault)
    assert code_of(ran) == ("BP492" if fault == "empty" else "BP470")
    assert "scripted:m" in ran.out or fault == "empty"
    assert time.monotonic() - began < (15 if fault == "hang 30" else 4)
    assert alone.answer("say still here") == "still here"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_model_has_a_second(backed: Stage, fault: str) -> None:
    """With a fallback each fault of the model leads to the other model's answer, within the turn's time."""
    assert backed.answer(fault) == f"the other model: {fault}"


def test_an_answer_that_breaks_off_is_no_answer(backed: Stage) -> None:
    """Half an answer is an error with its code, also with a fallback: nobody continues someone else's sentence."""
    assert code_of(backed.ask("break")) == "BP476"


def test_a_model_that_nobody_serves(tmp_path: Path) -> None:
    """Where nothing listens at the model's address, the stage comes up and a question is an error that says so."""
    with stage(tmp_path, MANIFEST + MODEL.format(fallback="", url="http://127.0.0.1:9")) as found:
        ran = found.ask("say hello")
        assert code_of(ran) == "BP470"
        assert "no connection" in ran.out


@pytest.mark.parametrize("name", ["dead", "hanging"])
def test_an_mcp_server_that_never_speaks(alone: Stage, name: str) -> None:
    """The stage is up without it, its tools are not there, and the log has its last words."""
    assert "Unknown tool name" in alone.answer(f"call {name}___anything")
    log = alone.home / "logs/gateway.log"
    wait_for(lambda: f"tool {name}: MCP server" in log.read_text(), "the log does not name it", seconds=40)
    assert "no licence" in log.read_text()


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("rubbish", "breaks the protocol"),
        ("huge", "whether the call was carried out is unknown"),
        ("silent", "did not answer"),
    ],
)
def test_a_lying_mcp_server(alone: Stage, operation: str, said: str) -> None:
    """Each lie is an error that the model reads, and the server's honest operation works before and after."""
    assert "true for once" in alone.answer("call lying___works")
    ran = alone.ask(f"call lying___{operation}")
    if operation == "silent":  # it takes the whole time of the turn
        assert code_of(ran) in {"BP414", "BP494", "BP479"} or said in ran.json["output"]
    else:
        assert said in ran.json["output"]
    wait_for(lambda: "true for once" in alone.answer("call lying___works"), "the server did not come back")


def test_lies_in_the_list_are_left_out(alone: Stage) -> None:
    """Of a list with impossible tools the possible ones are offered."""
    assert "Unknown tool name" in alone.answer("call lying___bad_name")


def test_a_refused_operation_is_told(alone: Stage) -> None:
    """`up` warns of what of a server cannot be used, and `status` says so, though the tool is ready."""
    said = "tool lying: refused of what the server lists: 'bad name!' (its name has other characters"
    assert said in "".join(ok(alone.folder, "up", "--json").json["troubles"])
    found = alone.status()
    assert said in "".join(found["troubles"])
    assert found["tools"]["lying"]["state"] == "ready"
    assert found["tools"]["lying"]["operations"] == 4
    assert "'bad name!'" in found["tools"]["lying"]["reason"]


TWICE = LYING.replace('("rubbish", "huge", "silent", "works")', '("same", "same")')


def test_a_server_that_lists_a_tool_twice(tmp_path: Path) -> None:
    """With no operation left the tool has failed, and both commands say why."""
    servers = 'tools:\n  - {name: m, type: mcp, command: [python, twice.py], scopes: [{call: "*"}]}\n'
    tools = "model: bedplate:extractive\n" + servers
    with stage(tmp_path, MANIFEST + tools, **{"twice.py": TWICE}) as found:
        state = found.status()["tools"]["m"]
        assert (state["state"], state["operations"]) == ("failed", 0)
        assert "'same' (the server lists it twice)" in state["reason"]
        up = ok(tmp_path, "up")
        assert "'same' (the server lists it twice)" in up.out + up.err


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that is taken is an error with its number; freed, the same command ends in a stage that answers."""
    found = Stage(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found.write(_answering(tmp_path) + f"expose: {{port: {port}}}\n")
        failed = bedplate(tmp_path, "up", "--json")
        assert code_of(failed) == "BP301"
        assert str(port) in failed.out
        assert bedplate(tmp_path, "status", "--json").json["healthy"] is False
        assert code_of(bedplate(tmp_path, "ask", "anything", "--json")) == "BP706"
    try:
        ok(tmp_path, "up")
        assert found.url.endswith(str(port))
        assert "15 days" in found.answer("How long is the trial?")
    finally:
        found.destroy()


def test_destroy_after_a_failed_up(tmp_path: Path) -> None:
    """A failed `up` says what runs and what to do next; all that it made is in the state and is taken away whole."""
    found = Stage(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found.write(_answering(tmp_path) + f"expose: {{port: {taken.getsockname()[1]}}}\n")
        bedplate(tmp_path, "up")
        failed = bedplate(tmp_path, "up")  # which makes nothing: it says it all the same
        running = sorted(process["name"] for process in found.status()["processes"])
        assert running
        assert f"only in part; running: {', '.join(running)}" in failed.err
        assert "bedplate destroy --stage prototype" in failed.err
        deployed = json.loads((found.home / "state.json").read_text())["deployment"]["resources"]
        assert set(running) <= {each["urn"].rpartition("::")[2].replace("traces", "sink") for each in deployed}
        found.destroy()


def test_a_missing_secret_stops_before_anything_starts(tmp_path: Path) -> None:
    """`up` names the variable to set, and no process was started; set, the stage comes up."""
    found = Stage(tmp_path)
    found.write(
        MANIFEST + 'model: {id: "scripted:m", baseUrl: "http://127.0.0.1:9/v1", credentials: {secret: a-key}}\n'
    )
    for command in ("plan", "up"):
        ran = bedplate(tmp_path, command, "--json", env={"A_KEY": ""})
        assert code_of(ran) == "BP751"
        assert "A_KEY" in ran.out
    assert not pids_of(tmp_path)
    (tmp_path / ".env").write_text("A_KEY=never-to-be-seen\n")
    ok(tmp_path, "up")
    try:
        for file in (tmp_path / ".bedplate").rglob("*"):
            if file.is_file() and file.parent.name != "secrets":
                assert b"never-to-be-seen" not in file.read_bytes(), file
    finally:
        found.destroy()


def test_damaged_state_is_named_and_destroyed(tmp_path: Path) -> None:
    """Rubbish in `state.json` is an error that names the file and a way on; nothing is overwritten."""
    found = Stage(tmp_path)
    found.write(_answering(tmp_path))
    ok(tmp_path, "up")
    state = found.home / "state.json"
    good = state.read_bytes()
    try:
        for rubbish in (b"", b"{", good[: len(good) // 2], b'{"version": "x"}', b"\xff\xfe\x00"):
            state.write_bytes(rubbish)
            for command in (["up"], ["plan"], ["status"], ["destroy", "--yes"]):
                ran = bedplate(tmp_path, *command, "--json")
                assert code_of(ran) in {"BP211", "BP212"}, command
                assert "state.json" in ran.out
            assert state.read_bytes() == rubbish
        state.write_bytes(good)
        assert bedplate(tmp_path, "plan").code == 0
    finally:
        state.write_bytes(good)
        found.destroy()


def test_without_the_manifest(tmp_path: Path) -> None:
    """A stage whose manifest is broken or gone answers callers, shows its status and is taken away whole."""
    found = Stage(tmp_path)
    found.write(_answering(tmp_path))
    ok(tmp_path, "up")
    client = found.client()
    (tmp_path / "agent.yaml").write_text("metadata: [\n")
    assert found.status()["healthy"]
    (tmp_path / "agent.yaml").unlink()
    assert found.status()["healthy"]
    assert code_of(bedplate(tmp_path, "plan")) == "BP001"
    with client:
        assert "15 days" in client.post("/invocations", json={"input": "How long is the trial?"}).json()["output"]
    found.destroy()


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small tmpfs needs root")
def test_a_full_disk(tmp_path: Path) -> None:
    """On a disk without room `up` fails with a code; with room again it goes on where it stopped."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        _on_a_full_disk(small)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def _on_a_full_disk(small: Path) -> None:
    found, filler = Stage(small), small / "filler"
    found.write(_answering(small))
    for left in (8_192, 65_536, 262_144):
        _fill(filler, small, left)
        ran = bedplate(small, "up", "--json")
        if ran.code:
            code_of(ran)
            assert "No space left" in ran.out or "full" in ran.out, ran.out
        filler.unlink()
    ok(small, "up")
    assert "15 days" in found.answer("How long is the trial?", "--user", "ada")
    _fill(filler, small, 0)
    ran = found.ask("How long is the trial?")
    if ran.code:
        code_of(ran)
    filler.unlink()
    assert "15 days" in found.answer("How long is the trial?", "--user", "ada")
    found.destroy()


def _fill(filler: Path, disk: Path, left: int) -> None:
    with filler.open("wb") as file:
        free = shutil.disk_usage(disk).free - left
        while free > 0:
            file.write(b"\0" * min(free, 4096))
            free -= 4096


@pytest.mark.parametrize("after", [0.4, 0.8, 1.2, 1.8])
def test_up_killed_at_some_moment(tmp_path: Path, after: float) -> None:
    """kill -9 of `up` in its work: the next `up` ends in a healthy stage that answers, and `destroy` leaves nothing."""
    found = Stage(tmp_path)
    found.write(_answering(tmp_path))
    process = subprocess.Popen(
        [*COMMAND, "up"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ok(tmp_path, "up")
    assert found.status()["healthy"]
    assert "15 days" in found.answer("How long is the trial?")
    assert bedplate(tmp_path, "plan").code == 0
    found.destroy()


def test_destroy_after_a_killed_up(tmp_path: Path) -> None:
    """`destroy` straight after kill -9 of `up` leaves no process and no file."""
    found = Stage(tmp_path)
    found.write(_answering(tmp_path))
    process = subprocess.Popen([*COMMAND, "up"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(pids_of(tmp_path)) > 1, "no process was started", seconds=30)
    process.kill()
    process.wait()
    found.destroy()


def _answering(folder: Path) -> str:
    """A manifest whose agent answers from one document, which is written into `folder`."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs/trial.md").write_text("# Trial\n\nThe trial lasts 15 days. It needs no credit card.\n")
    data = "data: [{name: docs, type: files, path: docs}]\n"
    tools = 'tools: [{name: docs, type: search, use: docs, scopes: [{read: "*"}]}]\n'
    return MANIFEST + "model: bedplate:extractive\n" + data + tools
