"""Which backends work on this machine: found by running a program in each."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

from bedplate.problems import BedplateError
from bedplate.runtime.sandbox import seccomp
from bedplate.runtime.sandbox.model import BACKENDS, Backend, Capability, Launch
from bedplate.runtime.sandbox.prepare import tool_command

_PROGRAM = "print('inside')"


def best_backend() -> Capability:
    """The strongest backend that works here. It is `none` where no other does; using it needs a person's word."""
    for backend in BACKENDS[:-1]:
        found = _try(backend)
        if found.works:
            return found
    return Capability("none", True, "; ".join(c.detail for c in probe() if not c.works))


def probe() -> tuple[Capability, ...]:
    """Every backend, the strongest first, and whether it works here. Takes a tenth of a second each, once."""
    return (_try("bubblewrap"), _try("sandlock"), Capability("none", True))


@cache
def _try(backend: Backend) -> Capability:
    if not sys.platform.startswith("linux"):
        return Capability(backend, False, f"{backend} needs Linux")
    if not seccomp.supported():
        return Capability(backend, False, f"no system call filter for {os.uname().machine}")
    try:
        launch = tool_command(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            readable=(),
            environment={},
            backend=backend,
            memory=256 * 1024 * 1024,
            pids=16,
        )
    except BedplateError as error:
        return Capability(backend, False, error.problems[0].summary)
    return _run(backend, launch)


def _run(backend: Backend, launch: Launch) -> Capability:
    try:
        done = subprocess.run(
            launch.argv, env=dict(launch.env), pass_fds=launch.pass_fds, capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Capability(backend, False, f"{backend}: {error}")
    finally:
        for descriptor in launch.pass_fds:
            os.close(descriptor)
    if done.stdout == b"inside\n":
        return Capability(backend, True)
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return Capability(backend, False, f"{backend}: {lines[-1] if lines else f'exit {done.returncode}'}")
