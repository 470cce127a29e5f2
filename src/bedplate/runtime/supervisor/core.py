"""The supervisor itself: the processes by name, and what each request does to them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bedplate.runtime.supervisor.agents import AgentListeners
from bedplate.runtime.supervisor.control import Control
from bedplate.runtime.supervisor.loop import Loop
from bedplate.runtime.supervisor.managed import Managed, Reply
from bedplate.runtime.supervisor.sockets import listen_unix
from bedplate.runtime.supervisor.spec import ProcessSpec

LOOK = 0.5  # seconds between two looks whether the stage's folder is still there


class Supervisor:
    """Runs until it is told to stop, gets SIGTERM or SIGINT, or its folder is deleted or moved: then all has ended."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.loop, self.agents, self.environment = Loop(), AgentListeners(), environment
        self._logs = folder / "logs"
        self._socket = folder / "run" / "supervisor.sock"
        self._processes: dict[str, Managed] = {}
        self._instance = 0
        self._stopping: list[Reply] | None = None
        self._folder = str(folder)
        self._control = Control(self.loop, listen_unix(self._socket), self.handle)
        self._there = self._socket.stat()
        self.loop.on_signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD), self._signalled)

    def run(self) -> None:
        """Serve; returns when everything has ended."""
        self._look()
        self.loop.run()
        if self.at_home():
            self._socket.unlink()
        self._control.close()

    def at_home(self) -> bool:
        """Whether its socket is where it was made: the folder was neither deleted nor moved nor made anew."""
        try:
            return os.path.samestat(self._socket.stat(), self._there)
        except OSError:
            return False

    def _look(self) -> None:
        """What its processes read lies in this folder, so they and their ports must not outlive it."""
        if not self.at_home():
            return self._stop(None)
        self.loop.later(LOOK, self._look)
        return None

    # for the processes (`managed.Host`)

    def log_path(self, name: str) -> Path:
        """`logs/<name>.log`."""
        return self._logs / f"{name}.log"

    def next_instance(self) -> int:
        """1, 2, 3…"""
        self._instance += 1
        return self._instance

    def discard(self, process: Managed) -> None:
        """Forget a process that is stopped for good; the last one ends a supervisor that is stopping."""
        if self._processes.get(process.name) is process:
            del self._processes[process.name]
        self._perhaps_end()

    # requests

    def handle(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Do what `request` says and answer through `reply`, now or later."""
        if self._stopping is not None and request.get("do") not in {"stop", "status"}:
            return reply({"ok": False, "code": "BP305", "error": "the supervisor is stopping"})
        match request:
            case {"do": "apply", "process": dict(document)}:
                return self._apply(document, reply)
            case {"do": "remove", "name": str(name)}:
                return self._processes[name].remove(reply) if name in self._processes else reply({"ok": True})
            case {"do": "restart", "name": str(name)}:
                return self._with(name, reply, lambda process: process.restart(reply))
            case {"do": "status"}:
                processes = [process.status() for process in self._processes.values()]
                about = {"pid": os.getpid(), "folder": self._folder, "stopping": self._stopping is not None}
                return reply({"ok": True, **about, "processes": processes})
            case {"do": "stop"}:
                return self._stop(reply)
            case _:
                return reply({"ok": False, "code": "BP304", "error": f"unknown request {request.get('do')!r}"})

    def _apply(self, document: Mapping[str, Any], reply: Reply) -> None:
        try:
            spec = ProcessSpec.from_json(document)
        except (KeyError, TypeError, ValueError) as error:
            return reply({"ok": False, "code": "BP304", "error": f"not a process: {error}"})
        if "/" in spec.name or not spec.name or spec.name.startswith("."):
            return reply({"ok": False, "code": "BP304", "error": f"not a name for a process: {spec.name!r}"})
        process = self._processes.get(spec.name)
        if process is None:
            try:
                process = self._processes[spec.name] = Managed(self, spec.name)
            except OSError as error:
                return reply({"ok": False, "code": "BP302", "error": f"{spec.name} has no log: {error}"})
        return process.apply(spec, reply)

    def _with(self, name: str, reply: Reply, work: Callable[[Managed], None]) -> None:
        process = self._processes.get(name)
        if process is None:
            return reply({"ok": False, "code": "BP303", "error": f"there is no process {name!r}"})
        return work(process)

    def _stop(self, reply: Reply | None) -> None:
        first = self._stopping is None
        self._stopping = [*(self._stopping or []), *([reply] if reply else [])]
        if first:
            for process in list(self._processes.values()):
                process.shut_down()
            self._perhaps_end()

    def _perhaps_end(self) -> None:
        if self._stopping is not None and not self._processes:
            for reply in self._stopping:
                reply({"ok": True})
            self._stopping = []
            self.loop.stop()

    def _signalled(self, number: int) -> None:
        match number:
            case signal.SIGCHLD:
                for process in list(self._processes.values()):
                    process.check_exit()
            case signal.SIGHUP:
                return  # the terminal of the command that started it has closed
            case _:
                self._stop(None)
