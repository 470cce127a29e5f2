"""The two ways to an MCP server, bounded: a sandboxed child over stdio, and HTTP with a limit on answers.

The SDK's own stdio transport hands on variables of the gateway's environment and reads lines of any length; this one
hands on what was declared and ends the connection at a line over 1 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from bedplate.runtime.masking import Mask
from bedplate.runtime.tools.child import Child
from bedplate.runtime.tools.common import MAX_RESULT, log

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.shared.message import SessionMessage

GRACE = 1.0  # seconds that a server has to end after its input was closed


@asynccontextmanager
async def stdio(
    start: Callable[[], Awaitable[Child]], ended: asyncio.Event, mask: Mask
) -> AsyncIterator[TransportStreams]:
    """Streams to a child that `start` starts. `ended` is set when it closes its output. Raises what `start` raises."""
    import anyio
    from mcp.shared.message import SessionMessage

    child = await start()
    inbound, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outbound = anyio.create_memory_object_stream[SessionMessage](0)
    reader = asyncio.create_task(_read(child, inbound, ended, mask))
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


async def _read(child: Child, inbound: Any, ended: asyncio.Event, mask: Mask) -> None:
    import anyio

    try:
        while line := await child.stdout.readline():
            if line.strip():
                await inbound.send(_parsed(line, mask))
    except ValueError:  # what StreamReader.readline raises for a line over its limit
        log.warning("an MCP server sent a message of more than %d bytes: the connection is closed", MAX_RESULT)
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        pass  # the session is gone, or the pipe: `ended` says so either way
    finally:
        ended.set()
        inbound.close()


def _parsed(line: bytes, mask: Mask) -> Any:
    """The message, or the error as a value: one bad line does not end a connection."""
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        said = mask.text(line.decode("utf-8", "replace"))
        log.warning("an MCP server sent a line that is no JSON-RPC message: %r", said[:120])
        return error


async def _write(child: Child, outbound: Any) -> None:
    with contextlib.suppress(OSError):  # a server that is gone is seen by the reader
        async for message in outbound:
            text: str = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            child.stdin.write(text.encode() + b"\n")
            await child.stdin.drain()


@asynccontextmanager
async def masked(
    transport: AbstractAsyncContextManager[TransportStreams], mask: Mask
) -> AsyncIterator[TransportStreams]:
    """`transport`, whose server's messages of every kind come without what `mask` masks."""
    async with transport as (read, write):
        yield _Masked(read, mask), write


class _Masked:
    """A stream of messages, masked."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], mask: Mask) -> None:
        self._stream, self._mask = stream, mask

    async def receive(self) -> SessionMessage | Exception:
        return self._clean(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._clean(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._stream.__aexit__(*error)

    @property
    def last_context(self) -> Any:
        """Of the sender, which the SDK asks of a stream that has it."""
        return getattr(self._stream, "last_context", None)

    def _clean(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

        if isinstance(item, Exception):  # goes into no answer, and into the log by its formatter
            return item
        match item.message:
            case JSONRPCResponse(result=result) as message:
                message.result = self._mask.value(result)
            case JSONRPCError(error=error):
                error.message, error.data = self._mask.text(error.message), self._mask.value(error.data)
            case JSONRPCNotification(params=params) | JSONRPCRequest(params=params) as message:
                message.params = self._mask.value(params)
        return item


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
