"""`bedplate:local:Process`: a process of the stage, run by its supervisor."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bedplate.providers.bedplate.inputs import required
from bedplate.providers.bedplate.owning import OWNED, OWNER, keep, release, take

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.provider import (
    UNKNOWN,
    Checked,
    CheckFailure,
    Created,
    Diff,
    Properties,
    Property,
    ReadResult,
    Resource,
)
from bedplate.problems import BedplateError
from bedplate.runtime.interpreter import interpreter
from bedplate.runtime.supervisor.client import SupervisorClient
from bedplate.runtime.supervisor.spec import READY_FD, ProcessSpec, SandboxBounds, encode_files

_ROLES = ("", "gateway", "agent")
CALLERS_PORT = 8080
"""The gateway's port where it is free and none is asked for: that of AgentCore's runtime contract."""
_LAST = threading.Lock()  # deletes of several processes at once: one of them is the last


class ProcessResource(Resource):
    """A process `python -I -m MODULE run/NAME.json`."""

    type: ClassVar[str] = "bedplate:local:Process"
    inputs: ClassVar[Mapping[str, Property]] = {
        "name": Property("string", "The process's name in its supervisor."),
        "module": Property("string", "The Python module that it runs."),
        "config": Property("any", "What its configuration file holds."),
        "listens": Property("boolean", "Whether it listens on 127.0.0.1.", required=False),
        "port": Property("integer", "Where it listens; a free port is chosen once and kept.", required=False),
        "ready": Property("string", "When it is ready: `http:/ping`, `fd` or `none`.", required=False),
        "role": Property("string", "`gateway` gets the agent's listener, `agent` makes one.", required=False),
        "sandbox": Property("any", "`backend`, `memory` in bytes, `pids`.", required=False),
        "triggers": Property("any", "Values whose change restarts it.", required=False),
    }
    outputs: ClassVar[Mapping[str, Property]] = {
        "url": Property("string", "Its address, where it listens.", required=False),
        **OWNED,
    }
    replace_keys: ClassVar[frozenset[str]] = frozenset({"name"})

    def __init__(self, paths: StagePaths) -> None:
        self._paths = paths
        self._client = SupervisorClient(paths)

    def check(self, news: Properties, olds: Properties | None) -> Checked:  # noqa: ARG002
        """Refuse inputs that nobody reads, and fill in defaults."""
        failures = [CheckFailure(name, "there is no such input") for name in news if name not in self.inputs]
        needed = (name for name, each in self.inputs.items() if each.required)
        failures += [CheckFailure(name, "is missing") for name in needed if name not in news]
        if news.get("role", "") not in _ROLES:
            failures.append(CheckFailure("role", f"is none of {', '.join(filter(None, _ROLES))}"))
        return Checked({"listens": False, "ready": "none", "role": "", **news}, tuple(failures))

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:
        """Inputs, and whether it runs with the configuration that the state tells.

        Line numbers of the manifest (`where`) move with every comment: alone they are no change. Traces then name the
        lines of the manifest as it was brought up.
        """
        compared = super().diff(id, old_inputs, old_outputs, news)
        found = replace(compared, properties={p: k for p, k in compared.properties.items() if not _is_place(p)})
        return replace(found, note=self._trouble(id, old_inputs, old_outputs))

    def _trouble(self, name: str, inputs: Properties, outputs: Properties) -> str:
        process = self._client.process(name)
        if process is None or process["state"] == "stopped":
            return "not running"
        if process["state"] == "backoff":
            return f"not running ({process['exit']})"
        if process["digest"] != self._spec(inputs, outputs.get("port")).digest:
            return "runs with another configuration"
        return ""

    def create(self, news: Properties) -> Created:
        """Start it, and the supervisor where it does not run; returns once the process is ready."""
        name = required(self.type, news, "name", str)
        # a run that was killed after its create left the process behind: its port is kept
        left = self._client.process(name) or {}
        return Created(name, {**self._run(news, left.get("listen")), OWNER: take(self._paths, "process", name)})

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """As deployed; None where there is neither the process nor its configuration."""
        there = self._paths.config(id).exists() or self._client.process(id) is not None
        return ReadResult(id, inputs, outputs) if there else None

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:
        """Restart it with the new inputs; where that fails the old one goes on."""
        kept = old_outputs.get("port") if not old_inputs.get("port") else None
        return {**self._run(news, kept), OWNER: keep(self._paths, "process", id, old_outputs)}

    def delete(self, id: str, outputs: Properties) -> None:
        """Stop it and remove its configuration and log. The last one takes the supervisor and `run/` with it.

        Nothing happens where another resource owns it by now.
        """
        if not release(self._paths, "process", id, outputs):
            return
        self._client.remove(id)
        with _LAST:
            self._paths.config(id).unlink(missing_ok=True)
            for log in self._paths.logs.glob(f"{id}.log*"):
                log.unlink()
            status = self._client.status()
            if status is None or not status["processes"]:
                self._end()

    def _end(self) -> None:
        self._client.stop()
        self._paths.tools.unlink(missing_ok=True)  # a gateway that was killed has left it
        for log in self._paths.logs.glob("supervisor.log*"):
            log.unlink()
        for folder in (self._paths.run, self._paths.logs):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def preview_outputs(self, news: Properties, old_outputs: Properties | None) -> Properties:
        """Inputs, and the address as far as it is known: given, or kept from before."""
        known = dict(news)
        if news.get("listens"):
            port = news.get("port") or (old_outputs or {}).get("port")
            known["port"] = port or UNKNOWN
            known["url"] = _url(port) if port else UNKNOWN
        return known

    # running

    def _run(self, news: Properties, kept: int | None) -> dict[str, Any]:
        self._client.start()
        port = self._port(news, kept)
        try:
            self._client.apply(self._spec(news, port))
        except BedplateError as error:
            if error.problems[0].code != "BP301" or news.get("port"):
                raise
            # a port that nobody asked for was taken by someone else in the meantime: take another
            port = _free_port()
            self._client.apply(self._spec(news, port))
        return {**news, "port": port, "url": _url(port)} if port else dict(news)

    def _port(self, news: Properties, kept: int | None) -> int | None:
        if not news.get("listens"):
            return None
        wished = CALLERS_PORT if news.get("role") == "gateway" else 0
        return int(news.get("port") or kept or _free_port(wished))

    def _spec(self, inputs: Properties, port: Any) -> ProcessSpec:
        name = required(self.type, inputs, "name", str)
        config = self._paths.config(name)
        spec = ProcessSpec(
            name=name,
            argv=(interpreter(), "-I", "-m", required(self.type, inputs, "module", str), str(config)),
            config=str(config),
            content=json.dumps(inputs["config"], indent=1, sort_keys=True),
            listen=int(port) if port and inputs.get("listens") else None,
            ready=str(inputs.get("ready", "none")),
            agent=inputs.get("role") == "agent",
            serves_agent=inputs.get("role") == "gateway",
        )
        if inputs.get("sandbox"):
            spec = _sandboxed(spec, inputs["sandbox"], config)
        # like `diff`, without places: the state moves on with them, the running process does not
        compared = replace(spec, content=json.dumps(_without_places(inputs["config"]), sort_keys=True))
        wanted = json.dumps([compared.to_json(), inputs.get("triggers")], sort_keys=True, default=str)
        return replace(spec, digest=hashlib.sha256(wanted.encode()).hexdigest())


def _sandboxed(spec: ProcessSpec, wanted: Properties, config: Path) -> ProcessSpec:
    from bedplate.runtime.sandbox import SandboxSpec, agent_launch

    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
    if spec.ready == "fd" and wanted["backend"] == "bubblewrap":
        environment["BEDPLATE_READY_FD"] = str(READY_FD)  # the launcher starts with an empty environment
    memory, pids = int(wanted["memory"]), int(wanted["pids"])
    launch = agent_launch(spec.argv, SandboxSpec((config,), environment, memory, pids), wanted["backend"])
    bounds = SandboxBounds(wanted["backend"], memory, pids, (str(config),), launch.listen_inside)
    return replace(
        spec, argv=launch.argv, environment=dict(launch.env), files=encode_files(launch.files), sandbox=bounds
    )


def _free_port(wished: int = 0) -> int:
    """`wished` if it is free, else any."""
    try:
        with socket.create_server(("127.0.0.1", wished)) as probe:
            return int(probe.getsockname()[1])
    except OSError:
        if not wished:
            raise
        return _free_port()


def _url(port: Any) -> str:
    return f"http://127.0.0.1:{port}"


def _is_place(path: str) -> bool:
    return path.rpartition(".")[2] == "where"


def _without_places(value: Any) -> Any:
    match value:
        case Mapping():
            return {k: _without_places(v) for k, v in value.items() if k != "where" or not isinstance(v, str)}
        case list() | tuple():
            return [_without_places(each) for each in value]
        case _:
            return value
