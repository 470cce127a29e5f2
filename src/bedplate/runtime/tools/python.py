"""Tools of type python: one sandboxed process for the project's function, started when needed, killed on timeout."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bedplate.blueprint.model import PythonTool
from bedplate.problems import BedplateError, Problem, Where
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, ToolResult
from bedplate.runtime.tools.child import Child, Launcher
from bedplate.runtime.tools.common import as_text, failed, no_operation, remaining

START_TIMEOUT = 20.0  # seconds for importing the project's module


class PythonToolset:
    """One function. `readable` are the project's code and data roots; `data` names the roots for the function.

    `packages` is a folder of packages that the project's code may import, and that is readable too.

    The function finds the folder of data source `docs` in the environment variable `BEDPLATE_DATA_DOCS`.
    """

    def __init__(
        self,
        tool: PythonTool,
        *,
        project: Path,
        readable: Sequence[Path],
        data: Mapping[str, str],
        launcher: Launcher,
        packages: Path | None = None,
    ) -> None:
        self.name = tool.name
        self._tool = tool
        self._imported = (str(project), *([str(packages)] if packages else []))
        self._readable = tuple(readable)
        self._launcher = launcher
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{f"BEDPLATE_DATA_{name.upper().replace('-', '_')}": root for name, root in data.items()},
        }
        self._host: _Host | None = None
        self._starting = asyncio.Lock()
        self._operation: Operation | None = None

    async def start(self) -> None:
        """Load the function once, to know its schema. Raises BedplateError BP450."""
        await self._running()

    async def operations(self) -> tuple[Operation, ...]:
        """The one function."""
        if self._operation is None:
            await self._running()
        assert self._operation is not None
        return (self._operation,)

    def question(self, operation: str, arguments: Arguments) -> Question:  # noqa: ARG002 part of the protocol
        """`call` on the function's name. Raises BedplateError BP454 for another name."""
        if self._operation is not None and operation != self._operation.name:
            raise no_operation(self.name, operation)
        return Question("call", operation)

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        """Call the function. On timeout its process is killed, and other calls that run in it fail too."""
        try:
            host = await self._running()
        except BedplateError as error:
            return failed(f"{self.name} cannot be loaded: {error.problems[0].detail}")
        if self._operation is None or operation != self._operation.name:
            raise no_operation(self.name, operation)
        seconds = remaining(context)
        try:
            reply = await asyncio.wait_for(host.ask(dict(arguments)), seconds)
        except TimeoutError:
            await host.close()
            return failed(f"{self.name} did not answer within {seconds:.0f} seconds and was stopped")
        except ConnectionError as error:
            return failed(f"the process of {self.name} ended in the call: {error}")
        if problem := reply.get("error"):
            return failed(f"{problem['type']}: {problem['message']}")
        return ToolResult(as_text(reply["value"]), data=reply["value"])

    async def close(self) -> None:
        """Stop the process."""
        async with self._starting:
            host, self._host = self._host, None
            if host:
                await host.close()

    async def _running(self) -> _Host:
        async with self._starting:
            if self._host is None or not self._host.alive:
                self._host = await self._start_host()
            return self._host

    async def _start_host(self) -> _Host:
        module = "bedplate.runtime.tools.python_host"
        argv = (sys.executable, "-I", "-m", module, self._tool.entrypoint, *self._imported)
        try:
            child = await Child.start(self._launcher(argv, self._readable, self._environment), f"tool {self.name}")
        except OSError as error:
            raise self._broken(str(error)) from error
        try:
            line = await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT)
            first = json.loads(line or b"{}")
        except (TimeoutError, ValueError) as error:
            await child.stop()
            raise self._broken(f"it was not ready within {START_TIMEOUT:.0f} seconds") from error
        if "ready" not in first:
            words = await child.last_words()
            await child.stop()
            raise self._broken(first.get("failed") or words or "the process ended before it was ready")
        self._operation = self._described(first["ready"])
        return _Host(child)

    def _described(self, ready: Mapping[str, Any]) -> Operation:
        about = "\n".join(text for text in (self._tool.description, ready["description"]) if text)
        return Operation(ready["name"], about or ready["name"], ready["schema"], "call")

    def _broken(self, detail: str) -> BedplateError:
        file, _, line = self._tool.where.partition(":")
        return BedplateError(
            Problem(
                "BP450",
                f"python tool {self.name}: {self._tool.entrypoint} cannot be loaded",
                where=Where(file, int(line or 0)) if file else None,
                detail=detail,
                fix="mend the function or the entrypoint; the traceback is in `bedplate logs gateway`",
            )
        )


class _Host:
    """A running host: requests out, answers to whoever waits for their id."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read(), name="answers of a python tool")

    @property
    def alive(self) -> bool:
        return self._child.alive and not self._reader.done()

    async def ask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """One call. Raises ConnectionError where the process ends before it answers."""
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._child.stdin.write(json.dumps({"id": number, "arguments": arguments}).encode() + b"\n")
            await self._child.stdin.drain()
            return await future
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        await self._child.stop()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while line := await self._child.stdout.readline():
                reply = json.loads(line)
                future = self._waiting.get(reply["id"])
                if future and not future.done():
                    future.set_result(reply)
            reason = await self._child.last_words()
        except (ValueError, KeyError, TypeError):
            reason = "it wrote something that is no answer"
        await self._end(reason)

    async def _end(self, reason: str) -> None:
        last = reason.strip().splitlines()[-1:] or ["it said nothing"]
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError(last[0]))
        await self._child.stop()
