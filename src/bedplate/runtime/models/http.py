"""HTTP to providers: one streamed POST, server-sent events, failures in words. Nothing without end is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bedplate.runtime.models.api import Body, UpstreamError

if TYPE_CHECKING:
    import httpx2

_AGAIN = frozenset({408, 409, 425, 429})
_MAX_ERROR = 65_536
MAX_EVENT = 1024 * 1024
MAX_BODY = 2 * 1024 * 1024
MAX_STREAM = 64 * 1024 * 1024
"""Bytes of one event of a stream, of an answer in one piece, and of a whole stream (a token takes 200 to 700)."""
# A compressed megabyte can hold a thousand, which no bound on what comes in would notice.
_HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/json"}


@asynccontextmanager
async def opened(
    http: httpx2.AsyncClient, url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout: float
) -> AsyncIterator[httpx2.Response]:
    """POSTs `body`; gives the response with its body unread. Raises UpstreamError for any failure, in the block too."""
    import httpx2

    # Halves of characters, which JSON can hold and UTF-8 cannot, come from users and tools; they end nothing.
    content = json.dumps(dict(body), ensure_ascii=False).encode("utf-8", "replace")
    sent = {**headers, **_HEADERS}
    limits = httpx2.Timeout(timeout, connect=min(timeout, 10.0))
    try:
        async with http.stream("POST", url, content=content, headers=sent, timeout=limits) as response:
            if response.status_code >= 300:
                raise await _refused(response)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise UpstreamError("its answer is compressed although that was not asked for")
            yield response
    except httpx2.TimeoutException as error:
        raise UpstreamError("no answer in time") from error
    except httpx2.ConnectError as error:
        raise UpstreamError("no connection") from error
    except (httpx2.RemoteProtocolError, httpx2.ReadError) as error:
        raise UpstreamError(f"it closed the connection ({type(error).__name__})") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UpstreamError(f"the connection failed ({type(error).__name__})") from error


async def _refused(response: httpx2.Response) -> UpstreamError:
    raw = b""
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > _MAX_ERROR:
            break
    try:
        data = parsed(raw)
    except ValueError:
        data = {}
    return refusal(response.status_code, data, response.headers.get("retry-after"))


def refusal(status: int, data: object, retry_after: str | None = None) -> UpstreamError:
    """A provider's error as ours. `data` is its JSON body."""
    message = _message(data)
    reason = f"HTTP {status}" + (f": {message}" if message else "")
    again = status in _AGAIN or status >= 500
    return UpstreamError(reason, status=status, again=again, retry_after=_seconds(retry_after))


def _message(data: object) -> str:
    match data:
        case {"error": {"message": str(text)}} | {"error": str(text)} | {"message": str(text)} | {"detail": str(text)}:
            return text
        case [dict(first), *_]:
            return _message(first)
        case _:
            return ""


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; the form with a date is left alone."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


async def events(response: httpx2.Response) -> AsyncIterator[Body]:
    """The JSON data of a response's server-sent events, up to `[DONE]`. Raises UpstreamError for rubbish."""
    async for line in _data(response):
        if line.strip() == b"[DONE]":
            return
        yield _object(line)


async def _data(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The `data` lines. Only CR and LF end a line: JSON may hold what else Unicode calls a line's end."""
    line, size = bytearray(), 0
    async for piece in _pieces(response, MAX_STREAM):
        for part in piece.splitlines(keepends=True):
            line += part
            size += len(part)
            if size > MAX_EVENT:
                raise UpstreamError("its stream has an event that does not end")
            if part.endswith((b"\n", b"\r")):
                if line.startswith(b"data:"):
                    yield bytes(line[5:])
                    size = 0
                line.clear()
    if line.startswith(b"data:"):
        yield bytes(line[5:])


async def whole(response: httpx2.Response) -> Body:
    """The JSON object that is a response's body. Raises UpstreamError for rubbish."""
    body = bytearray()
    async for piece in _pieces(response, MAX_BODY):
        body += piece
    return _object(bytes(body))


async def _pieces(response: httpx2.Response, most: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > most:
            raise UpstreamError("its answer does not end")
        yield piece


def parsed(text: bytes) -> Any:
    """JSON of a provider. Raises ValueError, also for what is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _object(text: bytes) -> Body:
    try:
        data = parsed(text)
    except ValueError as error:
        raise UpstreamError("its answer is no completion: it is not JSON") from error
    if not isinstance(data, dict):
        raise UpstreamError("its answer is no completion: it is no object")
    return data
