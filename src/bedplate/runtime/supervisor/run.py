"""One run of a process: from its start to its exit. What happens next is decided in `managed`."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping

from bedplate.runtime.supervisor import spec as fds
from bedplate.runtime.supervisor.agents import AgentListeners
from bedplate.runtime.supervisor.child import spawn
from bedplate.runtime.supervisor.logs import Log
from bedplate.runtime.supervisor.loop import Callback, Loop, Timer
from bedplate.runtime.supervisor.ready import HttpReady
from bedplate.runtime.supervisor.sockets import listen_loopback, receive_descriptor
from bedplate.runtime.supervisor.spec import ProcessSpec
from bedplate.runtime.supervisor.watch import usage

GRACE = 10.0  # seconds between SIGTERM and SIGKILL
LOOK = 0.5  # seconds between two looks at memory and processes


class Run:
    """A process that was started. `on_ready` is called at most once; the supervisor calls `finish` when it exited."""

    def __init__(
        self,
        loop: Loop,
        agents: AgentListeners,
        log: Log,
        process: ProcessSpec,
        listener: socket.socket | None,
        environment: Mapping[str, str],
        instance: int,
        on_ready: Callback,
    ) -> None:
        self.spec, self.instance, self.since = process, instance, time.time()
        self.ready = False
        self.killed_for = ""
        self._loop, self._agents, self._log, self._on_ready = loop, agents, log, on_ready
        self._open: list[int] = []  # ours: watched and closed at the end
        self._theirs: list[int] = []  # the child's: closed once it has started
        self._timers: list[Timer] = []
        self._looking: Timer | None = None
        self._gateway: socket.socket | None = None
        self._asking: HttpReady | None = None
        self._output_descriptor = -1
        try:
            self.pid = self._start(listener, {**environment, **process.environment})
        except OSError:
            self._clear_up()
            raise

    def _start(self, listener: socket.socket | None, environment: dict[str, str]) -> int:
        given: dict[int, int] = {number: self._memory_file(data) for number, data in self.spec.contents.items()}
        if listener is not None:
            given[fds.LISTEN_FD] = listener.fileno()
            environment["BEDPLATE_LISTEN_FD"] = str(fds.LISTEN_FD)
        if self.spec.ready == "fd":
            given[fds.READY_FD] = self._pipe(self._ready_written)
            environment["BEDPLATE_READY_FD"] = str(fds.READY_FD)
        if self.spec.serves_agent:
            given[fds.AGENT_FD] = self._gateway_socket()
            environment["BEDPLATE_AGENT_FD"] = str(fds.AGENT_FD)
        if self.spec.agent:
            self._prepare_agent(given, environment)
        output = self._pipe(self._output)
        self._output_descriptor = self._open[-1]
        bounds = self.spec.sandbox
        # inside bubblewrap the launcher's environment would show in /proc/1: everything goes through its arguments
        launcher = {} if bounds and bounds.backend == "bubblewrap" else environment
        pid = spawn(self.spec.argv, launcher, given, output)
        for descriptor in self._theirs:
            os.close(descriptor)
        self._theirs.clear()
        self._await_ready()
        if bounds:
            self._looking = self._loop.later(LOOK, self._look)
        return pid

    def _await_ready(self) -> None:
        kind, _, path = self.spec.ready.partition(":")
        if kind == "http" and self.spec.listen is not None:
            self._asking = HttpReady(self._loop, self.spec.listen, path, self._became_ready)
        elif kind != "fd":
            self._timers.append(self._loop.later(0, self._became_ready))

    def _became_ready(self) -> None:
        if not self.ready:
            self.ready = True
            self._on_ready()

    def _prepare_agent(self, given: dict[int, int], environment: dict[str, str]) -> None:
        if self.spec.sandbox and self.spec.sandbox.listen_inside:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            given[fds.HANDOVER_FD] = theirs.detach()
            self._theirs.append(given[fds.HANDOVER_FD])
            self._watch(ours.detach(), self._handed_over)
        else:
            # no network of its own: a free port that only this run's gateway serves
            listener = listen_loopback(0)
            environment["BEDPLATE_PORT"] = str(listener.getsockname()[1])
            self._agents.add(self.instance, listener)

    def _handed_over(self, descriptor: int) -> None:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            listener = receive_descriptor(connection)
        self._forget(descriptor)
        if listener is not None:
            self._agents.add(self.instance, socket.socket(fileno=listener))

    def _gateway_socket(self) -> int:
        self._gateway, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._gateway.setblocking(False)
        self._agents.attach(self._gateway)
        self._theirs.append(theirs.detach())
        return self._theirs[-1]

    def _memory_file(self, data: bytes) -> int:
        descriptor = os.memfd_create("bedplate")
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._theirs.append(descriptor)
        return descriptor

    def _pipe(self, callback: Callable[[int], None]) -> int:
        reader, writer = os.pipe()
        self._theirs.append(writer)
        self._watch(reader, callback)
        return writer

    def _watch(self, descriptor: int, callback: Callable[[int], None]) -> None:
        os.set_blocking(descriptor, False)
        self._open.append(descriptor)
        self._loop.watch(descriptor, lambda: callback(descriptor))

    def _forget(self, descriptor: int) -> None:
        self._loop.forget(descriptor)
        self._open.remove(descriptor)
        os.close(descriptor)

    def _ready_written(self, descriptor: int) -> None:
        if os.read(descriptor, 256):
            self._became_ready()
        self._forget(descriptor)

    def _output(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if data:
            self._log.write(data)
        elif descriptor in self._open:
            self._forget(descriptor)

    def _look(self) -> None:
        bounds = self.spec.sandbox
        assert bounds is not None
        used = usage(self.pid)
        if used.memory > bounds.memory:
            self._kill_for(f"used {used.memory >> 20} MiB of memory, allowed are {bounds.memory >> 20} MiB")
        elif used.pids > bounds.pids:
            self._kill_for(f"had {used.pids} processes and threads, allowed are {bounds.pids}")
        else:
            self._looking = self._loop.later(LOOK, self._look)

    def _kill_for(self, reason: str) -> None:
        self.killed_for = reason
        self._log.write(f"bedplate: killed, it {reason}\n".encode())
        self.signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM now, SIGKILL after the grace. The exit comes to `finish`."""
        self.signal(signal.SIGTERM)
        self._timers.append(self._loop.later(GRACE, lambda: self.signal(signal.SIGKILL)))

    def signal(self, number: int) -> None:
        """Signal the process and all of its session that did not leave its group."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # it was just forked and has no group yet, or it is gone
            os.kill(self.pid, number)

    def exited(self) -> bool:
        """Whether it has ended; the pid is not given back before `finish`."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def finish(self) -> str:
        """Clear up after its exit; returns how it ended (`exit 1`, `signal SIGKILL`)."""
        self.signal(signal.SIGKILL)  # whatever it left running in its group
        _, status = os.waitpid(self.pid, 0)
        if self._asking:
            self._asking.cancel()
        for timer in (*self._timers, *([self._looking] if self._looking else [])):
            timer.cancel()
        if self._output_descriptor in self._open:
            self._output(self._output_descriptor)  # its last words
        self._clear_up()
        code = os.waitstatus_to_exitcode(status)
        return self.killed_for or (f"exit {code}" if code >= 0 else f"signal {signal.Signals(-code).name}")

    def _clear_up(self) -> None:
        for descriptor in list(self._open):
            self._forget(descriptor)
        for descriptor in self._theirs:
            os.close(descriptor)
        self._theirs.clear()
        self._agents.gone(self.instance)
        if self._gateway:
            self._agents.detach(self._gateway)
