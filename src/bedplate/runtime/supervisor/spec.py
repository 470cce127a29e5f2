"""`ProcessSpec`: one process as the supervisor runs it, and the descriptors that a process starts with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

LISTEN_FD: Final = 3  # BEDPLATE_LISTEN_FD
READY_FD: Final = 4  # BEDPLATE_READY_FD
AGENT_FD: Final = 5  # BEDPLATE_AGENT_FD
HANDOVER_FD: Final = 6  # the sandbox's helper sends the agent's listener here
SECCOMP_FD: Final = 10
ARGUMENTS_FD: Final = 11


@dataclass(frozen=True)
class SandboxBounds:
    """What the supervisor must know of a process's sandbox; the rest stands in `argv` and `files`.

    `memory` in bytes of private resident memory, `pids` a count of processes and threads. `listen_inside`: the
    helper in the sandbox binds the listener and sends it; without it the supervisor binds a free loopback port.
    """

    backend: str
    memory: int
    pids: int
    readable: tuple[str, ...] = ()
    listen_inside: bool = False


@dataclass(frozen=True)
class ProcessSpec:
    """One process.

    `config` is the path of its configuration and `content` what the supervisor writes there (0600) before each start.
    `listen` is a port on 127.0.0.1 that the supervisor binds and keeps across restarts. `serves_agent`: it gets the
    agents' listeners over BEDPLATE_AGENT_FD. `agent`: it is an agent, so a listener of its own is made for it and goes
    to those. `ready` is `http:/path`, `fd` or `none`. `files` are contents offered as descriptors (numbers from 10),
    base64.
    """

    name: str
    argv: tuple[str, ...]
    config: str | None = None
    content: str | None = None
    listen: int | None = None
    sandbox: SandboxBounds | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str = "none"
    digest: str = ""
    agent: bool = False
    serves_agent: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The spec as it goes over the control socket."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ProcessSpec:
        """Read what `to_json` wrote. Raises TypeError or KeyError where it is no spec."""
        values = dict(document)
        bounds = values.pop("sandbox", None)
        if bounds:
            bounds = SandboxBounds(**{**bounds, "readable": tuple(bounds.get("readable", ()))})
        return cls(**{**values, "argv": tuple(values["argv"]), "sandbox": bounds})

    @property
    def contents(self) -> dict[int, bytes]:
        """`files` decoded: descriptor number to bytes."""
        return {int(number): base64.b64decode(text) for number, text in self.files.items()}


def encode_files(files: Mapping[int, bytes]) -> dict[str, str]:
    """Contents by descriptor number as `ProcessSpec.files` holds them."""
    return {str(number): base64.b64encode(data).decode() for number, data in files.items()}
