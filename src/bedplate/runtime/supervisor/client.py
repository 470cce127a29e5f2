"""Talks to a stage's supervisor. Goes in: specs and names. Comes out: answers, or BedplateError with the reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bedplate.blueprint.paths import StagePaths
from bedplate.problems import BedplateError, Problem
from bedplate.runtime.supervisor import __main__ as program
from bedplate.runtime.supervisor.sockets import connect_unix
from bedplate.runtime.supervisor.spec import ProcessSpec

START_WITHIN = 10.0
ANSWER_WITHIN = 60.0  # old process's grace 10 s, new one's 15 s, and the old one's again


class SupervisorClient:
    """The supervisor of one stage, running or not."""

    def __init__(self, paths: StagePaths) -> None:
        self.paths = paths

    def alive(self) -> bool:
        """Whether it answers, serves this very folder and is not about to end."""
        return _usable(self.status(), self.paths.folder)

    def start(self) -> None:
        """Start it in the background unless it runs; returns when it answers. Raises BedplateError (BP307).

        One that was started before the folder was moved here serves paths that are no more: it is ended first.
        """
        status = self.status()
        if status is not None and not _usable(status, self.paths.folder):
            self.stop()
        log = self.paths.log("supervisor")
        logged = log.stat().st_size if log.exists() else 0
        deadline = time.monotonic() + START_WITHIN
        while not self.alive():
            if time.monotonic() > deadline:
                raise BedplateError(self._not_started(logged))
            self._spawn()
            self._wait(self.alive, 2.0)

    def apply(self, spec: ProcessSpec) -> dict[str, Any]:
        """Start or replace a process; returns once it is ready. Raises BedplateError (BP301, BP302)."""
        return self._do({"do": "apply", "process": spec.to_json()})

    def remove(self, name: str) -> None:
        """Stop a process; nothing happens where there is none, or no supervisor."""
        try:
            answer = self._ask({"do": "remove", "name": name}, ANSWER_WITHIN)
        except TimeoutError as error:
            raise BedplateError(_silent(error)) from error
        except OSError:
            return  # no supervisor, or one that ends: no process either
        if not answer["ok"]:
            raise BedplateError(_problem(answer))

    def restart(self, name: str) -> None:
        """Stop and start a process. Raises BedplateError (BP303) where there is none."""
        self._do({"do": "restart", "name": name})

    def status(self) -> dict[str, Any] | None:
        """Its pid and processes, or None where it does not run."""
        try:
            return self._ask({"do": "status"}, 5.0)
        except OSError:
            return None

    def process(self, name: str) -> dict[str, Any] | None:
        """One process of `status`, or None."""
        status = self.status() or {"processes": []}
        return next((process for process in status["processes"] if process["name"] == name), None)

    def stop(self) -> None:
        """End it with all its processes; afterwards none of its processes, sockets and files is there."""
        status = self.status()
        if status is not None:
            try:
                self._ask({"do": "stop"}, ANSWER_WITHIN)
            except TimeoutError as error:
                raise BedplateError(_silent(error)) from error
            except OSError:
                pass  # it was ending already, and ended before it answered
            self._wait(lambda: _ended(status["pid"]), 10.0)
        for left in (self.paths.control, self.paths.run / "supervisor.pid"):
            left.unlink(missing_ok=True)

    def _spawn(self) -> None:
        self.paths.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", str(program.__file__), str(self.paths.folder), "--detach"]
        environment = {name: os.environ[name] for name in program.KEPT_VARIABLES if name in os.environ}
        self.paths.log("supervisor").touch(mode=0o600)
        with self.paths.log("supervisor").open("ab") as log:
            subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, cwd="/"
            )

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._ask(request, ANSWER_WITHIN)
        except OSError as error:
            raise BedplateError(_silent(error)) from error
        if not answer["ok"]:
            raise BedplateError(_problem(answer))
        return answer

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        with connect_unix(self.paths.control, timeout) as connection, connection.makefile("rb") as answers:
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = answers.readline()
        if not line:
            raise ConnectionResetError("the supervisor hung up")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _not_started(self, logged: int) -> Problem:
        """`logged`: bytes that stood in its log before this try."""
        log = self.paths.log("supervisor")
        said = log.read_bytes()[logged:].decode(errors="replace") if log.exists() else ""
        last = said.strip().splitlines()[-10:]
        fix = f"read {log}, then run the command again"
        return Problem("BP307", "the stage's supervisor did not start", detail="\n".join(last), fix=fix)

    @staticmethod
    def _wait(done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            time.sleep(0.005)


def _usable(status: dict[str, Any] | None, folder: Path) -> bool:
    """Whether a supervisor serves `folder`, under whatever symbolic links, and goes on to."""
    if status is None or status.get("stopping") or "folder" not in status:
        return False
    return os.path.realpath(str(status["folder"])) == os.path.realpath(str(folder))


def _ended(pid: int) -> bool:
    """Whether a process has ended; one that waits to be collected by its parent has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _silent(error: OSError) -> Problem:
    fix = "run `bedplate up` to start the stage"
    return Problem("BP306", "the stage's supervisor does not answer", detail=str(error), fix=fix)


def _problem(answer: dict[str, Any]) -> Problem:
    fix, detail = "", "\n".join(answer.get("log", ()))
    match answer["code"]:
        case "BP301":
            fix = "end that program, or set another port under `expose: {port: …}`"
        case "BP302":
            fix = "read the log above" + ("; the version before is still running" if answer.get("kept") else "")
        case "BP303":
            fix = "`bedplate status` lists the processes"
    return Problem(answer["code"], answer["error"], detail=detail, fix=fix)
