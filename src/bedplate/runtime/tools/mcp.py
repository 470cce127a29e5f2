"""Tools of type mcp: one long-lived connection to a server, made again when it breaks.

A server that is down costs nothing but its operations: the gateway starts without it, and it is tried again, each time
a little later. Everything that a server says is checked before it is believed (`mcp_values`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.model import McpTool
from bedplate.problems import BedplateError, Problem
from bedplate.runtime.masking import Mask
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, ToolResult
from bedplate.runtime.tools.child import Child, Launcher
from bedplate.runtime.tools.common import failed, log, no_operation, remaining
from bedplate.runtime.tools.mcp_values import MAX_TOOLS, Offer, broken_protocol, offer_of, result_of

if TYPE_CHECKING:
    from mcp.client.client import Client

MAX_PAGES = 50  # of a server's list of tools
_LISTEN_AGAIN = 5.0  # seconds after which a subscription that ended is opened again
# Becomes the command in the project's folder; the sandbox starts everything in /tmp.
_IN_FOLDER = "import os,sys;os.chdir(sys.argv[1]);os.execvp(sys.argv[2],sys.argv[2:])"


@dataclass(frozen=True)
class Patience:
    """Seconds: that a start waits for the first connection, for one to be made, before the first and the last retry,
    and that a call waits for one."""

    start: float = 5.0
    connect: float = 20.0
    first: float = 0.2
    last: float = 30.0
    call: float = 5.0


@dataclass
class _State:
    """What the connection's task and the calls share."""

    client: Client | None = None
    offer: Offer = field(default_factory=Offer)
    problem: str = "not connected yet"
    up: asyncio.Event = field(default_factory=asyncio.Event)
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class McpToolset:
    """One MCP server. `env` holds the declared variables with their values, `credential` the bearer token.

    `packages` is a folder of packages that a server which `python` runs may import; it is among `readable`. `quiet`:
    what a command says on standard error is kept for `trouble` and shown to nobody.
    """

    def __init__(
        self,
        tool: McpTool,
        *,
        project: Path,
        readable: Sequence[Path],
        launcher: Launcher,
        packages: Path | None = None,
        env: Mapping[str, str] | None = None,
        credential: str | None = None,
        patience: Patience | None = None,
        quiet: bool = False,
    ) -> None:
        self.name = tool.name
        self._quiet = quiet
        self._tool = tool
        self._project = project
        self._packages = packages
        self._readable = tuple(readable)
        self._launcher = launcher
        self._env = dict(env or {})
        self._credential = credential
        self._mask = Mask(credential, *self._env.values())
        self._patience = patience or Patience()
        self._state = _State()
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect, and wait a little for the first try to end: a server that hangs does not hold up the rest.

        Raises BedplateError BP451 where no try can succeed.
        """
        if self._tool.command and _program(self._tool.command[0], self._project) is None:
            raise self._unreachable(f"there is no program {self._tool.command[0]}")
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"MCP server {self.name}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._state.tried.wait(), self._patience.start)

    async def operations(self) -> tuple[Operation, ...]:
        """What the server listed last; nothing before it answered for the first time."""
        return self._state.offer.operations

    async def first_offer(self) -> Offer:
        """What the server lists, once the first try has ended; empty where it failed, and `trouble` says why."""
        await self._state.tried.wait()
        return self._state.offer

    @property
    def trouble(self) -> str:
        """Why the server cannot be used now; "" while it is connected and has something to offer."""
        if not self._state.up.is_set():
            return self._state.problem
        return "" if self._state.offer.operations else self.left_out

    @property
    def left_out(self) -> str:
        """What of the server's list is not offered, and why; "" where all is."""
        return self._state.offer.without()

    def question(self, operation: str, arguments: Arguments) -> Question:  # noqa: ARG002 part of the protocol
        """`call` on the operation's name. Raises BedplateError BP454 for a name that the server did not list."""
        if operation not in {known.name for known in self._state.offer.operations}:
            raise no_operation(self.name, operation)
        return Question("call", operation)

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        """Call the server's tool, once: what becomes of a call that breaks is unknown, so it is not sent again."""
        import anyio
        import httpx2
        from mcp.shared.exceptions import MCPError
        from pydantic import ValidationError

        seconds = remaining(context)
        client = await self._connected(min(seconds, self._patience.call))
        if client is None:
            return failed(f"the MCP server of {self.name} cannot be reached: {self._state.problem}")
        try:
            async with asyncio.timeout(seconds + 1):
                result = await client.call_tool(operation, dict(arguments), read_timeout_seconds=seconds)
        except MCPError as error:
            return failed(await self._mcp_failure(error.error.message, seconds))
        except TimeoutError:
            return failed(f"the MCP server of {self.name} did not answer within {seconds:.0f} seconds")
        except (ValidationError, RuntimeError) as error:
            log.warning("tool %s: the answer to %s breaks the protocol: %s", self.name, operation, error)
            return failed(f"the MCP server of {self.name} gave an answer that breaks the protocol")
        except (OSError, anyio.ClosedResourceError, anyio.BrokenResourceError, httpx2.HTTPError) as error:
            self._state.broken.set()
            return failed(self._lost(self._mask.text(str(error)) or type(error).__name__))
        return result_of(result)

    async def close(self) -> None:
        """End the connection and the server's process."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _connected(self, seconds: float) -> Client | None:
        if self._state.broken.is_set():  # seen by a call or the reader before the connection's task could act on it
            self._state.up.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._state.up.wait(), seconds)
        return self._state.client if self._state.up.is_set() else None

    async def _mcp_failure(self, message: str, seconds: float) -> str:
        """A server's own error, a request that took too long, or a connection that broke under the call."""
        await asyncio.sleep(0)  # lets the reader of a dead server's pipe say so first
        if self._state.broken.is_set() or "Connection closed" in message:
            self._state.broken.set()
            return self._lost(message)
        if "imed out" in message:
            return f"the MCP server of {self.name} did not answer within {seconds:.0f} seconds"
        return f"the MCP server of {self.name} answered with an error: {message[:2000]}"

    def _lost(self, reason: str) -> str:
        return (
            f"the connection to the MCP server of {self.name} broke in the call ({reason[:200]}); "
            "whether the call was carried out is unknown"
        )

    async def _keep(self) -> None:
        """Connect, serve until it breaks, wait, again. Ends only by cancellation."""
        state, wait = self._state, self._patience.first
        while True:
            try:
                async with self._connection() as client:
                    await self._list(client)
                    state.client, wait = client, self._patience.first
                    state.up.set()
                    state.tried.set()
                    await self._until_broken(client)
                state.problem = "the connection broke"
            except Exception as error:  # noqa: BLE001 whatever a server or its transport raises ends this connection only
                state.problem = await self._reason(error)
            finally:
                state.client = None
                state.up.clear()
                state.tried.set()
            log.warning("tool %s: MCP server: %s; next try in %.1f s", self.name, state.problem, wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._patience.last)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Client]:
        from mcp.client.client import Client
        from mcp.client.streamable_http import streamable_http_client

        from bedplate.runtime.tools.mcp_transport import http_client, masked, stdio

        self._state.broken = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            transport: Any
            if self._tool.url:
                http = await stack.enter_async_context(http_client(self._credential))
                transport = streamable_http_client(self._tool.url, http_client=http)
            else:
                transport = stdio(self._spawn, self._state.broken, self._mask)
            client = Client(masked(transport, self._mask), cache=None, message_handler=self._notified)
            # Not anyio.fail_after: its scope would have to end before those that the client opens and keeps.
            async with asyncio.timeout(self._patience.connect):
                await client.__aenter__()
            stack.push_async_exit(client.__aexit__)
            yield client

    async def _spawn(self) -> Child:
        command = self._tool.command
        program = _program(command[0], self._project)
        if program is None:
            raise FileNotFoundError(f"there is no program {command[0]}")
        argv = (sys.executable, "-I", "-S", "-c", _IN_FOLDER, str(self._project), program, *command[1:])
        environment = {"PATH": _path(), "LANG": os.environ.get("LANG", "C.UTF-8"), "HOME": "/tmp"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1"}  # where no sandbox forbids it: what it runs from stays as built
        if self._packages and program == sys.executable:
            environment["PYTHONPATH"] = str(self._packages)
        environment |= self._env
        readable = (*self._readable, *_needed(program, command, self._project))
        launch = self._launcher(argv, readable, environment)
        self._child = await Child.start(launch, f"tool {self.name}", self._mask, quiet=self._quiet)
        return self._child

    async def _until_broken(self, client: Client) -> None:
        """Refresh the list when the server says that it changed; return when the connection is broken."""
        state = self._state
        listening = asyncio.create_task(self._listen(client), name=f"changes of {self.name}")
        try:
            await self._refresh(client, state)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, client: Client) -> None:
        """Since the protocol of 2026-07-28 changes are told only to who asks; before, they come as notifications."""
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
        from mcp.shared.exceptions import MCPError

        with contextlib.suppress(ListenNotSupportedError, MCPError):
            while True:
                with contextlib.suppress(SubscriptionLost):
                    async with client.listen(tools_list_changed=True) as changes:
                        async for _ in changes:
                            self._state.changed.set()
                await asyncio.sleep(_LISTEN_AGAIN)
                self._state.changed.set()  # what changed in between was told to nobody

    async def _refresh(self, client: Client, state: _State) -> None:
        while True:
            waits = [asyncio.create_task(event.wait()) for event in (state.broken, state.changed)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if state.broken.is_set():
                return
            state.changed.clear()
            await self._list(client)

    async def _list(self, client: Client) -> None:
        listed: list[Any] = []
        cursor = None
        async with asyncio.timeout(self._patience.connect):
            for _ in range(MAX_PAGES):
                page = await client.list_tools(cursor=cursor)
                listed += page.tools
                cursor = page.next_cursor
                if cursor is None or len(listed) > MAX_TOOLS:
                    break
        offer = offer_of(self.name, listed)
        if offer.refused and offer.refused != self._state.offer.refused:
            log.warning("tool %s: %s", self.name, offer.without())
        self._state.offer = offer

    async def _notified(self, message: Any) -> None:
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self._state.changed.set()

    async def _reason(self, error: BaseException) -> str:
        from pydantic import ValidationError

        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ValidationError):
            return self._mask.text(broken_protocol(error))
        said = self._mask.text(str(error)) or type(error).__name__
        words = (await self._child.last_words()).splitlines()[-1:] if self._child else []
        return f"{said}: {words[0]}" if words else said

    def _unreachable(self, detail: str) -> BedplateError:
        return BedplateError(
            Problem(
                "BP451",
                f"mcp tool {self.name}: the server cannot be started",
                detail=detail,
                fix="install the program, or mend `command`",
            )
        )


def _path() -> str:
    return f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


def _program(word: str, project: Path) -> str | None:
    """The program that a command's first word names: `python` is the one that runs Bedplate, else by PATH."""
    if word in ("python", "python3"):
        return sys.executable
    if "/" in word:
        file = project / word
        return str(file) if os.access(file, os.X_OK) and file.is_file() else None
    return shutil.which(word, path=_path()) or shutil.which(word)


def _needed(program: str, command: Sequence[str], project: Path) -> list[Path]:
    """What the command must be able to read besides the project's code: itself and the files that it names."""
    file = Path(program)
    found = [project / "agent.yaml", file, file.resolve()]
    prefix = file.parent.parent
    if (prefix / "pyvenv.cfg").exists():
        found += [prefix, *(link.resolve().parent.parent for link in (file.parent / "python",) if link.exists())]
    found += [project / word for word in command[1:] if not word.startswith("-") and (project / word).is_file()]
    return [path for path in dict.fromkeys(found) if path.exists()]
