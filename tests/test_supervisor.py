"""The supervisor with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate.blueprint.paths import StagePaths
from bedplate.problems import BedplateError
from bedplate.runtime.sandbox import SandboxSpec, agent_launch, probe
from bedplate.runtime.supervisor import watch
from bedplate.runtime.supervisor.client import SupervisorClient
from bedplate.runtime.supervisor.logs import Log
from bedplate.runtime.supervisor.sockets import connect_unix
from bedplate.runtime.supervisor.spec import READY_FD, ProcessSpec, SandboxBounds, encode_files

PROGRAMS = Path(__file__).parent / "cases" / "supervisor"
CONFINED = [c.backend for c in probe() if c.works]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[SupervisorClient]:
    # a folder whose socket path is longer than the 108 bytes of sun_path
    found = SupervisorClient(StagePaths(tmp_path / ("long" * 20) / ("path" * 10)))
    found.start()
    yield found
    found.stop()


def program(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-I", str(PROGRAMS / f"{name}.py"), *arguments)


def python(name: str, code: str, **changes: Any) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-I", "-S", "-c", code), **changes)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def web(port: int, **changes: Any) -> ProcessSpec:
    return ProcessSpec("web", program("serve"), listen=port, ready="http:/ping", **changes)


def ask(port: int, path: str = "/") -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def wait(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def process(client: SupervisorClient, name: str) -> dict[str, Any]:
    found = client.process(name)
    assert found is not None
    return found


def confined(name: str, argv: tuple[str, ...], backend: str, memory: int = 256 << 20, pids: int = 40) -> ProcessSpec:
    """A spec of an agent in the sandbox, as the provider makes it."""
    environment = {"BEDPLATE_READY_FD": str(READY_FD)} if backend == "bubblewrap" else {}
    launch = agent_launch(argv, SandboxSpec((PROGRAMS,), environment, memory, pids), backend)
    bounds = SandboxBounds(backend, memory, pids, (), launch.listen_inside)
    return ProcessSpec(
        name,
        launch.argv,
        ready="fd",
        agent=True,
        sandbox=bounds,
        environment=dict(launch.env),
        files=encode_files(launch.files),
    )


# starting and keeping


def test_a_killed_process_comes_back_on_its_socket(client: SupervisorClient) -> None:
    """After kill -9 another process answers on the same port, and a request sent meanwhile waits for it."""
    port = free_port()
    pid = client.apply(web(port))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert ask(port)["pid"] != pid
    assert process(client, "web")["restarts"] == 1
    assert process(client, "web")["exit"] == "signal SIGKILL"


def test_a_process_that_keeps_dying_waits_longer_each_time(client: SupervisorClient) -> None:
    """Restarts slow down instead of burning the processor."""
    client.apply(python("flaky", "import time; time.sleep(0.01)"))
    time.sleep(2.0)
    found = process(client, "flaky")
    assert 2 <= found["restarts"] <= 5
    assert found["exit"] == "exit 0"


def test_the_environment_is_clean(tmp_path: Path) -> None:
    """A process sees PATH, LANG, TZ, what its spec gives, and nothing else of who ran the command."""
    os.environ["BEDPLATE_TEST_STOLEN"] = "1"
    try:
        other = SupervisorClient(StagePaths(tmp_path / "other"))
        other.start()
        port = free_port()
        other.apply(web(port, environment={"GIVEN": "1"}))
        names = set(ask(port)["environment"])
        other.stop()
    finally:
        del os.environ["BEDPLATE_TEST_STOLEN"]
    assert "GIVEN" in names
    assert names <= {"GIVEN", "PATH", "LANG", "TZ", "BEDPLATE_LISTEN_FD", "LC_CTYPE"}


def test_applying_the_same_again_changes_nothing(client: SupervisorClient) -> None:
    """The same spec leaves the process as it is."""
    spec = web(free_port())
    assert client.apply(spec)["pid"] == client.apply(spec)["pid"]


def test_a_configuration_is_written_before_the_start(client: SupervisorClient) -> None:
    """The process finds its configuration, private to the user; after a failed change it is the old one again."""
    config = client.paths.config("web")
    spec = web(free_port(), config=str(config), content='{"a": 1}')
    client.apply(spec)
    assert config.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BedplateError):
        client.apply(replace(spec, argv=("/bin/false",), content='{"a": 2}'))
    assert config.read_text() == '{"a": 1}'


# replacing


def test_a_change_keeps_the_port(client: SupervisorClient) -> None:
    """A changed spec is another process on the same socket."""
    port = free_port()
    before = client.apply(web(port))["pid"]
    after = client.apply(web(port, environment={"NEW": "1"}))["pid"]
    assert before != after
    assert ask(port)["pid"] == after


def test_a_change_that_fails_leaves_the_old_one(client: SupervisorClient) -> None:
    """A spec that ends at once is refused with its last words, and the old one answers again."""
    port = free_port()
    client.apply(web(port))
    with pytest.raises(BedplateError) as caught:
        client.apply(replace(web(port), argv=("/bin/sh", "-c", "echo the reason >&2; exit 3")))
    problem = caught.value.problems[0]
    assert problem.code == "BP302"
    assert "exit 3" in problem.summary
    assert "the reason" in problem.detail
    assert ask(port)["pid"] == process(client, "web")["pid"]


def test_a_first_start_that_fails_leaves_nothing(client: SupervisorClient) -> None:
    """A program that does not exist is reported by name, and no process, port or restart stays."""
    port = free_port()
    with pytest.raises(BedplateError) as caught:
        client.apply(replace(web(port), argv=("/nonexistent/program",)))
    assert "/nonexistent/program" in caught.value.problems[0].detail
    assert client.process("web") is None
    socket.create_server(("127.0.0.1", port)).close()


def test_a_port_in_use_is_named_and_the_old_one_serves(client: SupervisorClient) -> None:
    """Moving to a port that is taken fails with its number and holder; the process stays where it was."""
    port = free_port()
    client.apply(web(port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(BedplateError) as caught:
            client.apply(web(taken.getsockname()[1]))
        assert f"port {taken.getsockname()[1]}" in caught.value.problems[0].summary
    assert f"pid {os.getpid()}" in caught.value.problems[0].summary
    assert ask(port)["pid"]


def test_many_clients_at_once_get_their_own_answers(client: SupervisorClient) -> None:
    """Twenty processes applied from twenty threads all run, and each answer belongs to its question."""
    pids: dict[str, int] = {}

    def one(name: str) -> None:
        pids[name] = client.apply(ProcessSpec(name, ("/bin/sleep", "60")))["pid"]

    threads = [threading.Thread(target=one, args=(f"p{n}",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = client.status()
    assert status is not None
    assert {p["name"]: p["pid"] for p in status["processes"]} == pids


# ending


def test_stop_leaves_nothing(client: SupervisorClient) -> None:
    """After stop there is no process, no socket, no pid file and no port held."""
    port = free_port()
    pids = [client.apply(web(port))["pid"], client.apply(ProcessSpec("idle", ("/bin/sleep", "60")))["pid"]]
    status = client.status()
    assert status is not None
    client.stop()
    assert not any(running(pid) for pid in (*pids, status["pid"]))
    assert list(client.paths.run.iterdir()) == []
    socket.create_server(("127.0.0.1", port)).close()


def test_sigterm_ends_everything(client: SupervisorClient) -> None:
    """SIGTERM to the supervisor ends its processes and removes its files."""
    pid = client.apply(ProcessSpec("idle", ("/bin/sleep", "60")))["pid"]
    status = client.status()
    assert status is not None
    os.kill(status["pid"], signal.SIGTERM)
    wait(lambda: not running(status["pid"]))
    assert not running(pid)
    assert list(client.paths.run.iterdir()) == []


def test_children_left_behind_are_ended(client: SupervisorClient) -> None:
    """What a process started in its group ends with it."""
    pid = client.apply(ProcessSpec("parent", ("/bin/sh", "-c", "sleep 60 & echo $!; wait")))["pid"]
    child = int(wait(lambda: client.paths.log("parent").read_text().strip()))
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not running(child))


def test_a_deleted_folder_ends_everything(client: SupervisorClient) -> None:
    """Whoever deletes the stage's folder by hand leaves no process behind that holds its ports."""
    port = free_port()
    pid = client.apply(web(port))["pid"]
    shutil.rmtree(client.paths.folder)
    wait(lambda: not running(pid))
    wait(lambda: is_free(port))


def is_free(port: int) -> bool:
    """Whether nobody holds a port: the supervisor ends shortly after its processes."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_moved_folder_ends_everything(client: SupervisorClient) -> None:
    """A folder that was moved, with another one made in its place, ends the supervisor; what is new there stays."""
    port = free_port()
    pid = client.apply(web(port))["pid"]
    client.paths.folder.rename(client.paths.folder.with_name("moved"))
    client.paths.run.mkdir(parents=True)
    for file in (client.paths.control, client.paths.run / "supervisor.pid"):
        file.write_text("not its own")
    wait(lambda: not running(pid), 3)
    time.sleep(0.2)
    assert client.paths.control.read_text() == (client.paths.run / "supervisor.pid").read_text() == "not its own"


def test_a_moved_stage_gets_a_supervisor_of_its_own(client: SupervisorClient) -> None:
    """Started at once in the moved folder, the stage is not served by the supervisor of the old place."""
    port = free_port()
    client.apply(web(port))
    first = client.status()
    moved = SupervisorClient(StagePaths(client.paths.folder.with_name("moved")))
    client.paths.folder.rename(moved.paths.folder)
    try:
        assert not moved.alive()
        moved.start()
        assert moved.apply(web(port))["pid"]
        time.sleep(1.0)
        second = moved.status()
        assert first is not None
        assert second is not None
        assert not running(first["pid"])
        assert [p["state"] for p in second["processes"]] == ["running"]
    finally:
        moved.stop()


@pytest.mark.parametrize("backend", CONFINED)
def test_no_process_outlives_a_killed_supervisor(client: SupervisorClient, backend: str) -> None:
    """kill -9 of the supervisor ends every process, in a sandbox or not; a new one starts in its place."""
    pids = [client.apply(web(free_port()))["pid"], client.apply(confined("agent", program("agent"), backend))["pid"]]
    inner = wait(lambda: descendants(pids[1])) if backend != "none" else []
    status = client.status()
    assert status is not None
    os.kill(status["pid"], signal.SIGKILL)
    wait(lambda: not any(running(pid) for pid in (*pids, *inner)))
    assert not client.alive()
    client.start()
    assert client.status() is not None


def descendants(pid: int) -> list[int]:
    try:
        found = [int(n) for t in Path(f"/proc/{pid}/task").iterdir() for n in (t / "children").read_text().split()]
    except OSError:
        return []
    return found + [below for each in found for below in descendants(each)]


def test_two_starts_at_once_give_one_supervisor(tmp_path: Path) -> None:
    """Eight starts at the same time end with one supervisor that all of them talk to."""
    paths = StagePaths(tmp_path / "stage")
    errors: list[BaseException] = []

    def start() -> None:
        try:
            SupervisorClient(paths).start()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = [
        int(p.name)
        for p in Path("/proc").glob("[0-9]*")
        if str(paths.folder).encode() in _command(p) and running(int(p.name))
    ]
    SupervisorClient(paths).stop()
    assert len(found) == 1


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


# the agent's listener


@pytest.mark.parametrize("backend", CONFINED)
def test_the_agents_listener_reaches_the_gateway(client: SupervisorClient, backend: str) -> None:
    """The gateway answers on the agent's one address, again after either of them was killed."""
    gateway = ProcessSpec("gateway", program("gateway"), ready="fd", serves_agent=True)
    first = client.apply(gateway)["pid"]
    client.apply(confined("agent", program("agent"), backend))
    log = client.paths.log("agent")
    wait(lambda: f"gateway {first} for agent 2" in log.read_text())
    os.kill(first, signal.SIGKILL)
    second = wait(lambda: (p := process(client, "gateway"))["state"] == "running" and p["pid"] != first and p["pid"])
    wait(lambda: f"gateway {second} for agent 2" in log.read_text())
    os.kill(process(client, "agent")["pid"], signal.SIGKILL)
    wait(lambda: f"gateway {second} for agent 4" in log.read_text())
    told = client.paths.log("gateway").read_text().splitlines()
    assert told == ['{"agent": 2}', '{"agent": 2}', '{"agent_gone": 2}', '{"agent": 4}']


@pytest.mark.skipif("bubblewrap" not in CONFINED, reason="bubblewrap does not work on this machine")
def test_the_agents_address_is_not_the_hosts(client: SupervisorClient) -> None:
    """Nothing on the host can connect to the address that the agent uses."""
    client.apply(confined("agent", program("agent"), "bubblewrap"))
    try:
        with socket.create_connection(("127.0.0.1", 4000), 1) as connection:
            connection.settimeout(1)
            reached = connection.makefile().readline()
    except OSError:
        reached = ""
    assert "for agent" not in reached


# bounds


@pytest.mark.parametrize("backend", CONFINED)
def test_memory_over_the_bound_is_ended(client: SupervisorClient, backend: str) -> None:
    """An agent that takes more memory than its bound is killed, and the status says why."""
    code = "import os, time; os.write(int(os.environ['BEDPLATE_READY_FD']), b'r'); time.sleep(0.2)"
    code += "; x = b'x' * (90 << 20); time.sleep(60)"
    client.apply(confined("agent", (sys.executable, "-I", "-S", "-c", code), backend, memory=64 << 20))
    wait(lambda: process(client, "agent")["exit"])
    if backend != "sandlock":  # it enforces its own bound first
        assert "MiB of memory, allowed are 64 MiB" in process(client, "agent")["exit"]


@pytest.mark.skipif("bubblewrap" not in CONFINED, reason="bubblewrap does not work on this machine")
def test_too_many_processes_are_ended(client: SupervisorClient) -> None:
    """An agent that starts more processes than its bound is killed or cannot start them."""
    code = "import os, time\nos.write(4, b'r')\nfor _ in range(60):\n  os.fork() or time.sleep(60)\ntime.sleep(60)"
    client.apply(confined("agent", (sys.executable, "-I", "-S", "-c", code), "bubblewrap", pids=20))
    wait(lambda: process(client, "agent")["exit"])
    ended = process(client, "agent")["exit"]
    assert "allowed are 20" in ended or ended == "exit 1"


def test_the_tree_of_processes_is_found_both_ways() -> None:
    """A child and its child are found by the kernel's list of children and by looking at every parent."""
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        by_parent = watch._children_by_parent()
        assert by_parent(shell.pid) == watch._children(shell.pid) != []
        assert watch.usage(shell.pid).pids == 2
        for pid in (*by_parent(shell.pid), shell.pid):
            os.kill(pid, signal.SIGKILL)


# the control socket


def test_a_request_may_come_in_pieces_and_several_at_once(client: SupervisorClient) -> None:
    """Bytes one by one make one request; two requests in one packet get two answers in order."""
    with connect_unix(client.paths.control, 5) as connection, connection.makefile("rb") as answers:
        for byte in b'{"do":"status"}\n':
            connection.send(bytes([byte]))
        assert json.loads(answers.readline())["ok"]
        connection.sendall(b'{"do":"what"}\nnot json\n[1]\n{"do":"status"}\n')
        found = [json.loads(answers.readline()) for _ in range(4)]
    assert [answer["ok"] for answer in found] == [False, False, False, True]
    assert found[0]["code"] == "BP304"


def test_a_client_that_goes_away_harms_nobody(client: SupervisorClient) -> None:
    """A client that hangs up in the middle of its request or before its answer leaves the supervisor working."""
    for data in (b'{"do":"sta', b'{"do":"status"}\n', b"\n" * 100):
        with connect_unix(client.paths.control, 5) as connection:
            connection.sendall(data)
    assert client.alive()


def test_unknown_names_are_told(client: SupervisorClient) -> None:
    """Restarting what is not there is an error; removing it is not."""
    with pytest.raises(BedplateError) as caught:
        client.restart("ghost")
    assert caught.value.problems[0].code == "BP303"
    client.remove("ghost")


def test_the_folder_and_socket_are_private(client: SupervisorClient) -> None:
    """Only the user can reach the control socket."""
    assert client.paths.run.stat().st_mode & 0o777 == 0o700
    assert client.paths.control.stat().st_mode & 0o777 == 0o600


def test_without_a_supervisor_requests_say_so(tmp_path: Path) -> None:
    """Asking a stage that is down is one clear error; stopping it is none."""
    client = SupervisorClient(StagePaths(tmp_path))
    assert client.status() is None
    with pytest.raises(BedplateError) as caught:
        client.restart("x")
    assert caught.value.problems[0].code == "BP306"
    client.stop()


def test_restarts_leak_no_descriptors(client: SupervisorClient) -> None:
    """Gateway and agent restarted three times, and three failed changes, leave as many descriptors open as before."""
    backend = CONFINED[0]
    gateway = ProcessSpec("gateway", program("gateway"), ready="fd", serves_agent=True)
    client.apply(gateway)
    client.apply(confined("agent", program("agent"), backend))
    status = client.status()
    assert status is not None
    descriptors = Path(f"/proc/{status['pid']}/fd")
    wait(lambda: "for agent" in client.paths.log("agent").read_text())
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        client.restart("agent")
        client.restart("gateway")
        with pytest.raises(BedplateError):
            client.apply(replace(gateway, argv=("/bin/false",)))
    wait(lambda: len(list(descriptors.iterdir())) <= before)


def test_the_supervisor_is_small(client: SupervisorClient) -> None:
    """It imports so little that it stays under 16 MB."""
    status = client.status()
    assert status is not None
    line = next(x for x in Path(f"/proc/{status['pid']}/status").read_text().splitlines() if x.startswith("VmRSS"))
    assert int(line.split()[1]) < 16 * 1024


# logs


def test_logs_rotate(tmp_path: Path) -> None:
    """A full log is moved aside, two old ones are kept, and the tail comes from the newest."""
    log = Log(tmp_path / "x.log", limit=100)
    for number in range(50):
        log.write(f"line {number}\n".encode())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert all(p.stat().st_size <= 100 for p in tmp_path.iterdir())
    assert log.tail(1) == ["line 49"]
    log.close()


def test_a_full_disk_loses_log_lines_only(tmp_path: Path) -> None:
    """Writing where there is no room counts what was lost and raises nothing."""
    (tmp_path / "x.log").symlink_to("/dev/full")
    log = Log(tmp_path / "x.log")
    log.write(b"words")
    assert log.lost == 5
    log.close()


def test_the_tail_knows_no_earlier_run(tmp_path: Path) -> None:
    """What an earlier run wrote is not given as the words of this one, also after the log was opened anew."""
    log = Log(tmp_path / "x.log")
    log.write(b"old\n")
    log.begin()
    assert log.tail() == []
    log.write(b"new\n")
    assert log.tail() == ["new"]
    log.close()
    again = Log(tmp_path / "x.log")
    assert again.tail() == []
    again.close()
