"""Values of the sandbox: what is asked for, what comes out, and what each backend enforces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Backend = Literal["bubblewrap", "sandlock", "none"]
BACKENDS: Final[tuple[Backend, ...]] = ("bubblewrap", "sandlock", "none")
"""Every backend, the strongest first."""

AGENT_PORT: Final = 4000
"""The agent's one address inside its own network namespace: 127.0.0.1:4000."""
TMP_BYTES: Final = 64 * 1024 * 1024
"""Size of the private /tmp (and of /dev/shm)."""


@dataclass(frozen=True)
class SandboxSpec:
    """A sandbox for one command.

    `readable` are files and folders it may read besides the system's libraries, Python and Bedplate. `memory` is in
    bytes, `pids` counts processes and threads. `environment` is all it sees.
    """

    readable: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: int = 512 * 1024 * 1024
    pids: int = 64


@dataclass(frozen=True)
class Launch:
    """What to start: `argv` with exactly the environment `env`, inheriting the descriptors `pass_fds`.

    The descriptors are open in this process; close them once the child has started.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True)
class AgentLaunch:
    """How the supervisor starts a sandboxed process: `files` are contents it must offer at fixed descriptors.

    `listen_inside`: the helper inside sends the agent's listening socket out; else the supervisor binds one.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: Mapping[int, bytes]
    listen_inside: bool


@dataclass(frozen=True)
class Capability:
    """Whether a backend works on this machine, found by running a program in it; `detail` says why not."""

    backend: Backend
    works: bool
    detail: str = ""


_WATCHED = "supervisor kills above it (looks twice a second), RLIMIT_DATA at twice the bound"
_COUNTED = "supervisor kills above it (looks twice a second), RLIMIT_NPROC unless root"

_ENFORCED: Final[dict[Backend, dict[str, str]]] = {
    "bubblewrap": {
        "network": "own network namespace, empty but for 127.0.0.1",
        "files": "mount namespace: declared paths only, read-only",
        "environment": "cleared, also in /proc/1/environ",
        "processes": "own process namespace",
        "privileges": "no capabilities, no_new_privs, no user namespaces",
        "system calls": "seccomp filter",
        "memory": _WATCHED,
        "pids": _COUNTED,
    },
    "sandlock": {
        "network": "Landlock and seccomp: the gateway's port only",
        "files": "Landlock: declared paths only, read-only, no temporary folder",
        "environment": "cleared",
        "privileges": "no_new_privs",
        "system calls": "sandlock's filter",
        "memory": f"{_WATCHED}, sandlock's own bound",
        "pids": "supervisor kills above it (looks twice a second), sandlock's own bound on processes",
    },
    "none": {"memory": _WATCHED, "pids": "supervisor kills above it (looks twice a second)"},
}


def enforced(backend: Backend) -> Mapping[str, str]:
    """What `backend` enforces: clause to the means. A clause that is missing is not enforced."""
    return _ENFORCED[backend]


CLAUSES: Final = tuple(_ENFORCED["bubblewrap"])
"""Every clause that a sandbox is asked for."""
