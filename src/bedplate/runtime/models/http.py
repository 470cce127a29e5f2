"""HTTP to providers: one streamed POST, server-sent events, and failures in words that hold no secret."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bedplate.runtime.models.api import Body, UpstreamError

if TYPE_CHECKING:
    import httpx2

_AGAIN = frozenset({408, 409, 425, 429})
_MESSAGE = 240
_MAX_ERROR = 65_536
# Providers repeat (parts of) keys in messages: "Incorrect API key provided: sk-proj-…".
_SECRETS = re.compile(r"\b(?:sk|pk|gsk|key|xai|Bearer)[-_ ][\w*.-]{6,}|\b[A-Za-z0-9_*-]{32,}\b")


@asynccontextmanager
async def opened(
    http: httpx2.AsyncClient, url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout: float
) -> AsyncIterator[httpx2.Response]:
    """POSTs `body`; gives the response with its body unread. Raises UpstreamError for any failure, in the block too."""
    import httpx2

    limits = httpx2.Timeout(timeout, connect=min(timeout, 10.0))
    try:
        async with http.stream("POST", url, json=dict(body), headers=dict(headers), timeout=limits) as response:
            if response.status_code >= 300:
                raise await _refused(response)
            yield response
    except httpx2.TimeoutException as error:
        raise UpstreamError("no answer in time") from error
    except httpx2.ConnectError as error:
        raise UpstreamError("no connection") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UpstreamError(f"the connection failed ({type(error).__name__})") from error


async def _refused(response: httpx2.Response) -> UpstreamError:
    raw = b""
    async for piece in response.aiter_bytes():
        raw += piece
        if len(raw) > _MAX_ERROR:
            break
    try:
        data = json.loads(raw)
    except ValueError:
        data = {}
    return refusal(response.status_code, data, response.headers.get("retry-after"))


def refusal(status: int, data: object, retry_after: str | None = None) -> UpstreamError:
    """A provider's error as ours. `data` is its JSON body; its message is cut and cleaned of anything like a key."""
    message = _SECRETS.sub("…", " ".join(_message(data).split()))[:_MESSAGE]
    reason = f"HTTP {status}" + (f": {message}" if message else "")
    again = status in _AGAIN or status >= 500
    return UpstreamError(reason, status=status, again=again, retry_after=_seconds(retry_after))


def _message(data: object) -> str:
    match data:
        case {"error": {"message": str(text)}} | {"error": str(text)} | {"message": str(text)} | {"detail": str(text)}:
            return text
        case [first, *_]:
            return _message(first)
        case _:
            return ""


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; the form with a date is left alone."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


async def events(response: httpx2.Response) -> AsyncIterator[tuple[str, Body]]:
    """The server-sent events of a response: name and JSON data. Ends at `[DONE]`. Raises UpstreamError for rubbish."""
    name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(":")
        match field:
            case "event":
                name = value.strip()
            case "data" if value.strip() == "[DONE]":
                return
            case "data":
                yield name, _object(value)


def _object(text: str) -> Body:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UpstreamError("its stream is not JSON") from error
    if not isinstance(data, dict):
        raise UpstreamError("its stream holds no objects")
    return data
