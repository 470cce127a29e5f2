"""What both faces share: bounded bodies, bearer tokens, JSON errors, server-sent events, the Starlette application.

Goes in: requests. Comes out: responses. It knows no turn.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults

Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("bedplate.gateway")


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body. Raises BedplateError BP402 for more than `limit` bytes, without reading them all."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise faults.too_large(limit)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise faults.too_large(limit)
        parts.append(part)
    return b"".join(parts)


async def json_of(request: Request, limit: int) -> Any:
    """The body as JSON. Raises ValueError where it is none, BedplateError BP402 where it is too large."""
    return strict_json(await body_of(request, limit))


Reader = Callable[[Request, int], Awaitable[Any]]
"""How a face reads a body as JSON: `json_of`, or what is more careful."""


async def object_of(request: Request, limit: int, read: Reader = json_of) -> dict[str, Any]:
    """The body as a JSON object. Raises BedplateError BP400 where it is none, and what `read` raises."""
    try:
        document = await read(request, limit)
    except ValueError as error:
        raise faults.bad_request("its body is no JSON") from error
    if not isinstance(document, dict):
        raise faults.bad_request("its body is no JSON object")
    return document


def strict_json(raw: bytes) -> Any:
    """JSON without what other readers refuse: NaN, infinities, half a surrogate pair. Raises ValueError."""
    try:
        document = json.loads(raw, parse_constant=_no_constant)
        if b"\\ud" in raw.lower():
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def bearer(request: Request) -> str:
    """The token of the Authorization header, or ""."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def error_json(error: BedplateError) -> dict[str, Any]:
    """An error as callers get it."""
    problem = error.problems[0]
    return {"code": problem.code, "message": problem.summary, "fix": problem.fix}


def error_response(error: BedplateError) -> Response:
    """An error as an HTTP answer."""
    status = faults.status_of(error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        headers["Retry-After"] = "1"
    return JSONResponse({"error": error_json(error)}, status, headers)


def event(name: str, data: Any) -> bytes:
    """One server-sent event; without a name only its data."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


KEEP_ALIVE = b": still here\n\n"
SSE_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class RequestIds:
    """Gives every answer an `X-Request-Id`: the caller's, where it is short and plain, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"x-request-id", b"").decode("latin-1")
        plain = 0 < len(given) <= 128 and given.isascii() and given.isprintable()
        request_id = given if plain else secrets.token_hex(8)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, with_id)


def application(routes: Sequence[BaseRoute]) -> ASGIApp:
    """An application whose every error is `{"error": {"code", "message", "fix"}}`."""
    handlers: dict[Any, Any] = {
        BedplateError: _refuse,
        HTTPException: _no_route,
        ClientDisconnect: _gone,
        Exception: _failed,
    }
    return RequestIds(Starlette(routes=list(routes), exception_handlers=handlers))


async def _refuse(_: Request, error: BedplateError) -> Response:
    return error_response(error)


async def _no_route(request: Request, error: HTTPException) -> Response:
    body = {"error": error_json(faults.no_route(request.method, request.url.path))}
    return JSONResponse(body, error.status_code, error.headers)


async def _gone(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _failed(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(faults.internal())
