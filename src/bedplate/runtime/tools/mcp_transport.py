"""The two ways to an MCP server, bounded: a sandboxed child over stdio, and HTTP with a limit on answers.

The SDK's own stdio transport hands on variables of the gateway's environment and reads lines of any length; this one
hands on what was declared and ends the connection at a line over 1 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bedplate.runtime.tools.child import Child
from bedplate.runtime.tools.common import MAX_RESULT, log

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

GRACE = 1.0  # seconds that a server has to end after its input was closed


@asynccontextmanager
async def stdio(start: Callable[[], Awaitable[Child]], ended: asyncio.Event) -> AsyncIterator[TransportStreams]:
    """Streams to a child that `start` starts. `ended` is set when it closes its output. Raises what `start` raises."""
    import anyio
    from mcp.shared.message import SessionMessage

    child = await start()
    inbound, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outbound = anyio.create_memory_object_stream[SessionMessage](0)
    reader = asyncio.create_task(_read(child, inbound, ended))
    writer = asyncio.create_task(_write(child, outbound))
    try:
        yield read, write
    finally:
        for task in (reader, writer):
            task.cancel()
        await asyncio.shield(_end(child, reader, writer))
        for stream in (read, write, inbound, outbound):
            stream.close()


async def _end(child: Child, *tasks: asyncio.Task[None]) -> None:
    await child.stop(GRACE)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _read(child: Child, inbound: Any, ended: asyncio.Event) -> None:
    import anyio

    try:
        while line := await child.stdout.readline():
            if line.strip():
                await inbound.send(_parsed(line))
    except ValueError:  # what StreamReader.readline raises for a line over its limit
        log.warning("an MCP server sent a message of more than %d bytes: the connection is closed", MAX_RESULT)
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        pass  # the session is gone, or the pipe: `ended` says so either way
    finally:
        ended.set()
        inbound.close()


def _parsed(line: bytes) -> Any:
    """The message, or the error as a value: one bad line does not end a connection."""
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        log.warning("an MCP server sent a line that is no JSON-RPC message: %r", line[:120])
        return error


async def _write(child: Child, outbound: Any) -> None:
    with contextlib.suppress(OSError):  # a server that is gone is seen by the reader
        async for message in outbound:
            text: str = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            child.stdin.write(text.encode() + b"\n")
            await child.stdin.drain()


def http_client(credential: str | None) -> httpx2.AsyncClient:
    """A client that sends `credential` as a bearer token and refuses answers of more than 1 MiB.

    Event streams are not counted here: the SDK limits each event.
    """
    import httpx2

    class Limited(httpx2.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self._inner:
                size += len(piece)
                if size > MAX_RESULT:
                    # Cut JSON fails to parse: that ends this one request, an error here would end the connection.
                    log.warning("an MCP server sent an answer of more than %d bytes: it is refused", MAX_RESULT)
                    return
                yield piece

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def limit(response: httpx2.Response) -> None:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            response.stream = Limited(response.stream)

    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    timeout = httpx2.Timeout(60.0, connect=10.0, read=300.0)
    # Compressed answers could be small on the wire and huge when read.
    return httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},
        timeout=timeout,
        trust_env=False,
        event_hooks={"response": [limit]},
    )
