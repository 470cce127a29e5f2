"""The sandbox, tried from inside with real processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bedplate.problems import BedplateError
from bedplate.runtime.sandbox import (
    BACKENDS,
    CLAUSES,
    SandboxSpec,
    agent_launch,
    best_backend,
    enforced,
    probe,
    seccomp,
    tool_command,
)

WORKS = {capability.backend for capability in probe() if capability.works}
CONFINED = [
    pytest.param(name, marks=pytest.mark.skipif(name not in WORKS, reason=f"{name} does not work on this machine"))
    for name in ("bubblewrap", "sandlock")
]
needs_bubblewrap = pytest.mark.skipif("bubblewrap" not in WORKS, reason="bubblewrap does not work on this machine")

ATTEMPT = """
import ctypes, os, socket, sys, json
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    ctypes.set_errno(0)
    return [libc.syscall(*numbers), ctypes.get_errno()]
def attempt(action):
    try:
        return [True, repr(action())[:200]]
    except Exception as error:
        return [False, repr(error)]
print(json.dumps(eval(sys.argv[1], {**globals(), **{name: __import__(name) for name in ("glob", "pathlib", "ssl")}})))
"""


def inside(expression: str, backend: str = "bubblewrap", *readable: Path, **environment: str) -> object:
    """What `expression` gives inside a tool's sandbox, started with a secret in the launcher's environment."""
    launch = tool_command(
        [sys.executable, "-I", "-c", ATTEMPT, expression],
        readable=readable,
        environment=environment,
        backend=backend,
        memory=256 << 20,
        pids=32,
    )
    done = subprocess.run(
        launch.argv, env=dict(launch.env), pass_fds=launch.pass_fds, capture_output=True, timeout=20, check=False
    )
    for descriptor in launch.pass_fds:
        os.close(descriptor)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_every_clause_has_an_answer_for_every_backend() -> None:
    """What bubblewrap enforces is the list of clauses, and no backend claims one outside it."""
    assert {"network", "files", "environment", "memory", "pids"} <= set(CLAUSES)
    assert all(set(enforced(backend)) <= set(CLAUSES) for backend in BACKENDS)
    assert set(enforced("none")) == {"memory", "pids"}


def test_the_best_backend_is_one_that_works() -> None:
    """The best backend is the first that the probe found to work."""
    assert best_backend().backend == next(capability.backend for capability in probe() if capability.works)


def test_an_unknown_backend_is_refused() -> None:
    """A backend that does not exist starts nothing."""
    with pytest.raises(BedplateError) as caught:
        tool_command(["true"], readable=(), environment={}, backend="magic", memory=1, pids=1)
    assert caught.value.problems[0].code == "BP310"


@pytest.mark.parametrize("backend", CONFINED)
def test_no_connection_to_the_host(backend: str) -> None:
    """A server on the host's loopback interface cannot be reached from inside."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reached, why = inside(f"attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 2))", backend)  # type: ignore[misc]
    assert not reached, why


@pytest.mark.parametrize("backend", CONFINED)
def test_no_file_of_the_host(backend: str, tmp_path: Path) -> None:
    """The host's /etc/passwd and a file beside a declared one cannot be read; the declared one can, and not written."""
    (tmp_path / "open").mkdir()
    declared, hidden = tmp_path / "open" / "a.txt", tmp_path / "b.txt"
    declared.write_text("yes")
    hidden.write_text("no")
    for path in ("/etc/passwd", hidden, Path.home() / ".bashrc"):
        assert inside(f"attempt(lambda: open({str(path)!r}).read())", backend, declared)[0] is False  # type: ignore[index]
    assert inside(f"open({str(declared)!r}).read()", backend, declared) == "yes"
    assert inside(f"attempt(lambda: open({str(declared)!r}, 'w'))", backend, declared)[0] is False  # type: ignore[index]


@pytest.mark.parametrize("backend", CONFINED)
def test_code_is_read_only(backend: str) -> None:
    """Neither Bedplate's code nor Python's packages can be changed from inside."""
    import bedplate

    for folder in (Path(bedplate.__file__).parent, Path(sys.prefix)):
        path = folder / "made-inside.py"
        assert inside(f"attempt(lambda: open({str(path)!r}, 'w'))", backend)[0] is False  # type: ignore[index]
        assert not path.exists()


@pytest.mark.parametrize("backend", CONFINED)
def test_the_environment_is_what_was_given(backend: str, tmp_path: Path) -> None:
    """Nothing of the launcher's environment is seen inside, and what was given is."""
    script = tmp_path / "launch.py"
    script.write_text(
        "import sys, json, subprocess; sys.path.insert(0, sys.argv[1]); import test_sandbox\n"
        f"print(json.dumps(test_sandbox.inside(sys.argv[2], {backend!r}, GIVEN='1')))"
    )
    expression = "[dict(os.environ), attempt(lambda: open('/proc/1/environ', 'rb').read())]"
    done = subprocess.run(
        [sys.executable, str(script), str(Path(__file__).parent), expression],
        env={**os.environ, "STOLEN_KEY": "sk-123"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GIVEN" in done.stdout
    assert "STOLEN_KEY" not in done.stdout
    assert "sk-123" not in done.stdout


@needs_bubblewrap
def test_a_secret_does_not_show_in_the_process_list() -> None:
    """The value of an environment variable of a tool does not stand in the launcher's arguments."""
    launch = tool_command(
        ["true"], readable=(), environment={"KEY": "sk-hidden"}, backend="bubblewrap", memory=1 << 28, pids=8
    )
    for descriptor in launch.pass_fds:
        os.close(descriptor)
    assert "sk-hidden" not in " ".join(launch.argv)
    assert not launch.env


@needs_bubblewrap
def test_other_processes_are_not_there() -> None:
    """Inside, only the sandbox's own processes exist."""
    assert len(inside("glob.glob('/proc/[0-9]*')")) <= 3  # type: ignore[arg-type]


@needs_bubblewrap
@pytest.mark.parametrize(
    ("name", "expression", "number"),
    [
        ("io_uring_setup", "call(425, 1, 0)", 38),
        ("bpf", "call(321, 0, 0, 0)", 1),
        ("ptrace", "call(101, 16, os.getppid(), 0, 0)", 1),
        ("keyctl", "call(250, 0, -3, 0)", 1),
        ("userfaultfd", "call(323, 0)", 1),
        ("unshare", "call(272, 0x10000000)", 1),
        ("clone with a namespace", "call(56, 0x10000000, 0, 0, 0, 0)", 1),
        ("clone3", "call(435, 0, 0)", 38),
        ("perf_event_open", "call(298, 0, 0, 0, 0, 0)", 1),
        ("mount", "call(165, 0, 0, 0, 0, 0)", 1),
        ("vsock", "call(41, 40, 1, 0)", 97),
        ("packet", "call(41, 17, 3, 0)", 97),
    ],
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_system_call_is_denied(name: str, expression: str, number: int) -> None:
    """A system call that widens the attack surface fails with the filter's error."""
    assert inside(expression) == [-1, number], name


@needs_bubblewrap
def test_threads_sockets_and_subprocesses_still_work() -> None:
    """The filter leaves what an agent needs: threads, children, loopback and unix sockets, a private /tmp."""
    for expression in (
        "__import__('threading').Thread(target=print).start()",
        "__import__('subprocess').run(['/bin/true']).returncode",
        "socket.create_server(('127.0.0.1', 0)).getsockname()[0]",
        "[s.close() for s in socket.socketpair()]",
        "open('/tmp/x', 'w').write('1')",
        "__import__('asyncio').run(__import__('asyncio').sleep(0))",
    ):
        assert inside(f"attempt(lambda: {expression})")[0], expression  # type: ignore[index]


def test_the_filter_exists_for_both_architectures_only() -> None:
    """Programs of 8-byte instructions for x86_64 and aarch64, and none for a machine it does not know."""
    for machine in ("x86_64", "aarch64"):
        program = seccomp.filter_program(machine)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 256  # jumps are 8 bits wide
    with pytest.raises(KeyError):
        seccomp.filter_program("mips")


@needs_bubblewrap
def test_a_bound_on_memory_stops_a_runaway_at_once() -> None:
    """An allocation far over the bound fails inside, without waiting for the supervisor's look."""
    assert inside("attempt(lambda: len(bytearray(2 << 30)))")[0] is False  # type: ignore[index]


@needs_bubblewrap
def test_the_agent_launch_asks_for_the_helper() -> None:
    """The agent's launch under bubblewrap opens its listener inside; without namespaces the supervisor does."""
    assert agent_launch(["true"], SandboxSpec(), "bubblewrap").listen_inside
    assert not agent_launch(["true"], SandboxSpec(), "none").listen_inside


@pytest.mark.parametrize("backend", [*CONFINED, "none"])
def test_a_tools_process_ends_with_who_started_it(backend: str, tmp_path: Path) -> None:
    """When the starter is killed, the tool's process ends too, whatever the backend."""
    script, mark = tmp_path / "start.py", f"3600.{os.getpid()}"
    script.write_text(
        "import subprocess, sys, time; from bedplate.runtime.sandbox import tool_command\n"
        f"t = tool_command(['/bin/sleep', {mark!r}], readable=(), environment={{}}, backend={backend!r}, "
        "memory=1 << 28, pids=8)\n"
        "subprocess.Popen(t.argv, env=dict(t.env), pass_fds=t.pass_fds); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        eventually(lambda: sleepers(mark))
        starter.kill()
    eventually(lambda: not sleepers(mark))


def sleepers(mark: str) -> list[str]:
    """The processes that run `/bin/sleep mark`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes() == f"/bin/sleep\0{mark}\0".encode():
                found.append(process.name)
        except OSError:
            continue
    return found


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
