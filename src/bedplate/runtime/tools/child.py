"""A tool's own process: started through the sandbox, standard error to the log, ended with all its children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.runtime.masking import Mask

if TYPE_CHECKING:
    from bedplate.runtime.sandbox import Launch

LINE_LIMIT = 1024 * 1024 + 64 * 1024
"""Bytes of one line of a child's standard output: a result of 1 MiB and what stands around it."""
_LAST_WORDS = 0.2  # seconds for what a process said at its end to arrive
_KILLED = 2.0  # seconds for the kernel to end a killed process
Launcher = Callable[[Sequence[str], Sequence[Path], Mapping[str, str]], "Launch"]
"""From a command, the paths it may read and its environment to what is started."""


def sandboxed(backend: str, memory: int, pids: int) -> Launcher:
    """A launcher for the sandbox `backend`; `memory` in bytes, `pids` a count. Raises BedplateError BP310 in use."""

    def launch(argv: Sequence[str], readable: Sequence[Path], environment: Mapping[str, str]) -> Launch:
        from bedplate.runtime.sandbox import tool_command

        return tool_command(argv, readable=readable, environment=environment, backend=backend, memory=memory, pids=pids)

    return launch


class Child:
    """One running process. `said` holds the last lines of its standard error, passed through `mask` as the log is.

    `quiet`: they go nowhere else.
    """

    def __init__(self, process: asyncio.subprocess.Process, label: str, mask: Mask, *, quiet: bool = False) -> None:
        self._process = process
        self._quiet = quiet
        self._mask = mask
        self.said: deque[str] = deque(maxlen=20)
        self._pump = asyncio.create_task(self._follow(label), name=f"stderr of {label}")

    @classmethod
    async def start(cls, launch: Launch, label: str, mask: Mask | None = None, *, quiet: bool = False) -> Child:
        """Start it, in a session of its own; `mask` hides what it was given. Raises OSError where it cannot be."""
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(launch.env),
                pass_fds=launch.pass_fds,
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        finally:
            for descriptor in launch.pass_fds:
                os.close(descriptor)
        return cls(process, label, mask or Mask(), quiet=quiet)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as the event loop knows."""
        return self._process.returncode is None

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Where requests go."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Where answers come from; a line over `LINE_LIMIT` raises ValueError in `readline`."""
        assert self._process.stdout is not None
        return self._process.stdout

    async def stop(self, grace: float = 0.0) -> None:
        """Close its input, wait `grace` seconds, then kill it with all its children. Safe to call twice."""
        with contextlib.suppress(OSError, RuntimeError):
            self.stdin.close()
        drain = asyncio.create_task(self._drain())  # a child that is stuck writing cannot see that its input ended
        await self._exited(grace)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if not await self._exited(_KILLED):
            sys.stderr.write(f"process {self.pid} of a tool is still there after SIGKILL\n")
        await asyncio.wait({self._pump}, timeout=_LAST_WORDS)
        for task in (drain, self._pump):
            task.cancel()
        await asyncio.gather(drain, self._pump, return_exceptions=True)
        # Pipes that grandchildren hold would keep it open beyond the end of the loop, whose collection then complains.
        self._process._transport.close()  # type: ignore[attr-defined]

    async def last_words(self) -> str:
        """The last lines of its standard error, once it has ended or said nothing more for a moment."""
        await asyncio.wait({self._pump}, timeout=_LAST_WORDS)
        return "\n".join(self.said)

    async def _exited(self, seconds: float) -> bool:
        """Whether it ended within `seconds`. Not `Process.wait`: that also waits for whoever holds its pipes."""
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not self.alive

    async def _drain(self) -> None:
        with contextlib.suppress(RuntimeError):  # somebody else reads it already, which is as good
            while await self.stdout.read(65536):
                pass

    async def _follow(self, label: str) -> None:
        assert self._process.stderr is not None
        while chunk := await _line(self._process.stderr):
            line = self._mask.text(chunk.decode("utf-8", "replace").rstrip())
            self.said.append(line)
            if not self._quiet:  # standard error of the gateway is the log that `bedplate logs gateway` shows
                sys.stderr.write(f"{label}: {line}\n")
        sys.stderr.flush()


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; of one that is too long for the buffer, a piece."""
    try:
        return await stream.readuntil()
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as overrun:
        return await stream.read(overrun.consumed or 65536)
