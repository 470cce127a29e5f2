"""One process over time: started, kept alive, replaced in place, stopped.

Requests for one process are served one after the other. A spec that does not become ready never takes the place of
one that was running: the old one is started again.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bedplate.runtime.supervisor.agents import AgentListeners
from bedplate.runtime.supervisor.logs import Log
from bedplate.runtime.supervisor.loop import Callback, Loop, Timer
from bedplate.runtime.supervisor.run import Run
from bedplate.runtime.supervisor.sockets import PortInUse, listen_loopback
from bedplate.runtime.supervisor.spec import ProcessSpec
from bedplate.runtime.supervisor.watch import usage

READY_WITHIN = 15.0
BACKOFF_FIRST, BACKOFF_LAST, BACKOFF_RESET = 0.1, 5.0, 10.0

Reply = Callable[[dict[str, Any]], None]


class Host(Protocol):
    """What a process needs of the supervisor."""

    loop: Loop
    agents: AgentListeners
    environment: Mapping[str, str]

    def log_path(self, name: str) -> Path:
        """Where the process's output goes."""

    def next_instance(self) -> int:
        """A number for a run, never used before."""

    def discard(self, process: Managed) -> None:
        """The process is stopped for good."""


class Managed:
    """A named process and what is wanted of it."""

    def __init__(self, host: Host, name: str) -> None:
        self.name = name
        self.run: Run | None = None
        self.spec: ProcessSpec | None = None
        self.state = "stopped"
        self._host = host
        self._log = Log(host.log_path(name))
        self._listener: socket.socket | None = None
        self._requests: deque[tuple[Callback, Reply]] = deque()
        self._busy = False
        self._on_ready: Callback = self._nothing
        self._on_exit: Callable[[str], None] = self._restart_later
        self._timer: Timer | None = None
        self._pause, self._restarts, self._last_exit = BACKOFF_FIRST, 0, ""

    # requests

    def apply(self, spec: ProcessSpec, reply: Reply) -> None:
        """Start `spec`, or put it in the place of what runs. Answers once it is ready, or why it is not."""
        self._request(lambda: self._apply(spec, reply), reply)

    def restart(self, reply: Reply) -> None:
        """Stop and start again with the same spec."""
        self._request(lambda: self._replace(self.spec, self._listener, reply), reply)

    def remove(self, reply: Reply) -> None:
        """Stop for good."""

        def removed() -> None:
            self._discard()
            reply({"ok": True})

        self._request(lambda: self._stop_run(removed), reply)

    def shut_down(self) -> None:
        """Stop for good at once, whatever was going on; `Host.discard` is called when it is done."""
        self._on_ready = self._nothing
        self._stop_run(self._discard)

    def status(self) -> dict[str, Any]:
        """As `status` of the control socket shows it."""
        run, spec = self.run, self.spec
        return {
            "name": self.name,
            "pid": run.pid if run else None,
            "state": self.state,
            "since": run.since if run else None,
            "restarts": self._restarts,
            "exit": self._last_exit,
            "rss": usage(run.pid).rss if run else 0,
            "sandbox": spec.sandbox.backend if spec and spec.sandbox else None,
            "listen": spec.listen if spec else None,
            "digest": spec.digest if spec else "",
        }

    def check_exit(self) -> None:
        """Called after SIGCHLD: sees whether the run has ended."""
        if self.run is None or not self.run.exited():
            return
        run, self.run = self.run, None
        self._last_exit = run.finish()
        self._cancel_timer()
        if run.ready and time.time() - run.since >= BACKOFF_RESET:
            self._pause = BACKOFF_FIRST
        self._on_exit(self._last_exit)

    # applying

    def _apply(self, spec: ProcessSpec, reply: Reply) -> None:
        if spec == self.spec and self.run and self.run.ready:
            reply({"ok": True, "pid": self.run.pid})
            return self._done()
        try:
            listener = self._listener_for(spec)
        except PortInUse as error:
            reply({"ok": False, "code": "BP301", "error": str(error), "port": error.port, "holder": error.holder})
            return self._discard() if self.spec is None else self._done()
        return self._replace(spec, listener, reply)

    def _listener_for(self, spec: ProcessSpec) -> socket.socket | None:
        if spec.listen is None:
            return None
        if self.spec and self._listener and self.spec.listen == spec.listen:
            return self._listener
        return listen_loopback(spec.listen)

    def _replace(self, spec: ProcessSpec | None, listener: socket.socket | None, reply: Reply) -> None:
        assert spec is not None
        old_spec, old_listener = self.spec, self._listener

        def stopped() -> None:
            self.spec, self._listener = spec, listener
            self._start(succeeded, failed)

        def succeeded() -> None:
            if old_listener is not None and old_listener is not listener:
                old_listener.close()
            reply({"ok": True, "pid": self.run.pid if self.run else None})
            self._watch_over()

        def failed(why: str) -> None:
            what = why if why.startswith("was ") else f"ended before it was ready ({why})"
            answer = {"ok": False, "code": "BP302", "error": f"{self.name} {what}", "log": self._log.tail()}
            if listener is not None and listener is not old_listener:
                listener.close()
            self.spec, self._listener = old_spec, old_listener
            self._back(lambda kept: reply({**answer, "kept": kept}))

        self._pause = BACKOFF_FIRST
        self._stop_run(stopped)

    def _back(self, tell: Callable[[bool], None]) -> None:
        """After a change that failed: start what ran before, then tell whether it runs again."""
        if self.spec is None:
            tell(False)
            return self._discard()

        def again() -> None:
            tell(True)
            self._watch_over()

        def neither(why: str) -> None:
            tell(False)
            self._restart_later(why)
            self._watch_over()

        return self._start(again, neither)

    def _watch_over(self) -> None:
        self._on_exit = self._restart_later
        self._done()

    # running

    def _start(self, on_ready: Callback, on_exit: Callable[[str], None]) -> None:
        assert self.spec is not None
        self._log.begin()
        self.state, self._on_ready, self._on_exit = "starting", on_ready, on_exit
        try:
            self._write_config(self.spec)
            self.run = self._run(self.spec)
        except OSError as error:
            self._log.write(f"bedplate: not started: {error}\n".encode())
            return on_exit(f"was not started: {error}")
        self._timer = self._host.loop.later(READY_WITHIN, self._too_late)
        return None

    def _run(self, spec: ProcessSpec) -> Run:
        host, listener, instance = self._host, self._listener, self._host.next_instance()
        return Run(host.loop, host.agents, self._log, spec, listener, host.environment, instance, self._is_ready)

    def _write_config(self, spec: ProcessSpec) -> None:
        if spec.config is None or spec.content is None:
            return
        target = Path(spec.config)
        draft = target.with_name(target.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(spec.content, "utf-8")
        draft.replace(target)

    def _is_ready(self) -> None:
        if self.state != "starting":
            return
        self._cancel_timer()
        self.state = "running"
        self._on_ready()

    def _too_late(self) -> None:
        assert self.run is not None
        self.run.killed_for = f"was not ready within {READY_WITHIN:.0f} s"
        self._log.write(f"bedplate: {self.run.killed_for}, killed\n".encode())
        self.run.signal(9)

    def _restart_later(self, _: str) -> None:
        self.state = "backoff"
        self._timer = self._host.loop.later(self._pause, self._restart_now)
        self._pause = min(2 * self._pause, BACKOFF_LAST)

    def _restart_now(self) -> None:
        self._restarts += 1
        self._start(self._nothing, self._restart_later)

    def _stop_run(self, then: Callback) -> None:
        self._cancel_timer()
        self._on_ready = self._nothing
        if self.run is None:
            return then()
        self.state, self._on_exit = "stopping", lambda _: then()
        return self.run.stop()

    # bookkeeping

    def _request(self, work: Callback, reply: Reply) -> None:
        self._requests.append((work, reply))
        if not self._busy:
            self._done()

    def _done(self) -> None:
        """The request at hand is over: serve the next."""
        self._busy = bool(self._requests)
        if self._requests:
            self._requests.popleft()[0]()

    def _discard(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.state, self.spec = "stopped", None
        self._log.close()
        self._host.discard(self)
        for _, reply in self._requests:
            reply({"ok": False, "code": "BP305", "error": f"{self.name} was removed meanwhile"})
        self._requests.clear()

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _nothing(self) -> None:
        return None
