"""A small stateless MCP server over streamable HTTP with JSON answers.

Goes in: one POST, one JSON-RPC 2.0 message. Comes out: one JSON answer. It keeps no session, sends no notifications and
offers tools only. Both eras of the protocol are spoken: `initialize` up to 2025-11-25, and the self-contained requests
of 2026-07-28 (https://modelcontextprotocol.io/specification). The SDK's server does the same at 35 MiB and 0.4 s more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bedplate.problems import BedplateError
from bedplate.runtime.gateway.web import Reader, json_of

HANDSHAKE: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN: Final = ("2026-07-28",)
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
_MODERN_STATUS: Final = {NO_METHOD: 404, INTERNAL: 200}
_VERSION_META: Final = "io.modelcontextprotocol/protocolVersion"
_FRESH: Final = {"ttlMs": 0, "cacheScope": "private"}

Caller_contra = TypeVar("Caller_contra", contravariant=True)
Caller = TypeVar("Caller")

log = logging.getLogger("bedplate.gateway")


class McpFault(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class ToolServer(Protocol[Caller_contra]):
    """What stands behind the endpoint."""

    async def tools(self, caller: Caller_contra) -> list[dict[str, Any]]:
        """The tools this caller may use, as MCP `Tool` objects."""

    async def call(
        self, caller: Caller_contra, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A `CallToolResult`. Raises McpFault for a tool that does not exist."""


class McpEndpoint(Generic[Caller]):
    """Answers MCP requests for one `ToolServer`."""

    def __init__(
        self, name: str, version: str, server: ToolServer[Caller], *, limit: int, read: Reader = json_of
    ) -> None:
        """`limit`: bytes of a request; `read` reads it."""
        self._about = {"capabilities": {"tools": {}}, "serverInfo": {"name": name, "version": version}}
        self._server = server
        self._limit, self._read = limit, read

    async def answer(self, request: Request, caller: Caller) -> Response:
        """The answer to one request. Raises BedplateError BP402 for a body that is too large."""
        refused = _refused(request)
        if refused is not None:
            return refused
        try:
            message = _message(await self._read(request, self._limit))
        except ValueError:
            return _error(None, McpFault(PARSE_ERROR, "the body is no JSON"), 400)
        except McpFault as fault:
            return _error(None, fault, 400)
        if "id" not in message:
            return Response(status_code=202)
        return await self._exchange(request, message, caller)

    async def _exchange(self, request: Request, message: dict[str, Any], caller: Caller) -> Response:
        params = message.get("params") or {}
        modern = _is_modern(request, params)
        try:
            if modern:
                _check_modern(request, message, params)
            result = await self._dispatch(message["method"], params, caller)
        except McpFault as fault:
            return _error(message["id"], fault, _MODERN_STATUS.get(fault.code, 400) if modern else 200)
        except BedplateError as error:
            problem = error.problems[0]
            data = {"code": problem.code, "fix": problem.fix}
            return _error(message["id"], McpFault(INTERNAL, problem.summary, data), 200)
        if modern:
            result = {**result, "resultType": "complete"}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def _dispatch(self, method: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        match method:
            case "initialize":
                return self._initialize(params)
            case "server/discover":
                return {"supportedVersions": list(MODERN), **self._about, **_FRESH}
            case "ping":
                return {}
            case "tools/list":
                return {"tools": await self._server.tools(caller), **_FRESH}
            case "tools/call":
                return await self._call(params, caller)
        raise McpFault(NO_METHOD, f"there is no method {method[:100]}")

    def _initialize(self, params: Mapping[str, Any]) -> dict[str, Any]:
        wanted = params.get("protocolVersion")
        if not isinstance(wanted, str):
            raise McpFault(INVALID_PARAMS, "protocolVersion is missing")
        version = wanted if wanted in HANDSHAKE else HANDSHAKE[-1]
        return {"protocolVersion": version, **self._about}

    async def _call(self, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        name, arguments, meta = params.get("name"), params.get("arguments"), params.get("_meta")
        if not isinstance(name, str) or not isinstance(arguments or {}, dict):
            raise McpFault(INVALID_PARAMS, "a tool call has a name and arguments, which are an object")
        return await self._server.call(caller, name, arguments or {}, meta if isinstance(meta, dict) else {})


def _refused(request: Request) -> Response | None:
    """A request that is not even read: from another site's page, or in another content type."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return Response("requests from other origins are refused", 403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return Response("the content type must be application/json", 415)
    accepted = [a.partition(";")[0].strip() for a in request.headers.get("accept", "*/*").lower().split(",")]
    if not {"application/json", "application/*", "*/*"} & set(accepted):
        return Response("the answer is application/json, which must be accepted", 406)
    version = request.headers.get("mcp-protocol-version")
    if version is not None and version not in HANDSHAKE + MODERN:
        data = {"supported": [*HANDSHAKE, *MODERN], "requested": version[:100]}
        return _error(None, McpFault(UNSUPPORTED_VERSION, "unsupported protocol version", data), 400)
    return None


def _message(message: Any) -> dict[str, Any]:
    if isinstance(message, list):
        raise McpFault(INVALID_REQUEST, "batches are not supported")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        raise McpFault(INVALID_REQUEST, "the body is no JSON-RPC 2.0 request or notification")
    if "id" in message and (not isinstance(message["id"], str | int) or isinstance(message["id"], bool)):
        raise McpFault(INVALID_REQUEST, "a request's id is a string or an integer")
    if not isinstance(message.get("params") or {}, dict):
        raise McpFault(INVALID_REQUEST, "params must be an object")
    return message


def _is_modern(request: Request, params: Mapping[str, Any]) -> bool:
    meta = params.get("_meta")
    named = isinstance(meta, dict) and _VERSION_META in meta
    return named or request.headers.get("mcp-protocol-version") in MODERN


def _check_modern(request: Request, message: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    meta = params.get("_meta")
    version = meta.get(_VERSION_META) if isinstance(meta, dict) else None
    if not isinstance(version, str):
        raise McpFault(INVALID_PARAMS, f"params._meta must name {_VERSION_META}")
    pairs = [("mcp-protocol-version", version), ("mcp-method", message["method"])]
    if message["method"] == "tools/call":
        pairs.append(("mcp-name", params.get("name")))
    for header, told in pairs:
        if request.headers.get(header) != told:
            raise McpFault(HEADER_MISMATCH, f"the header {header} does not say what the body says")
    if version not in MODERN:
        data = {"supported": list(MODERN), "requested": version}
        raise McpFault(UNSUPPORTED_VERSION, "unsupported protocol version", data)


def _error(request_id: str | int | None, fault: McpFault, status: int) -> Response:
    error = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "error": error}, status)


def text_result(text: str, *, error: bool = False, data: Any = None) -> dict[str, Any]:
    """A `CallToolResult` with one text, and the same as data where that is an object."""
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": error}
    return {**result, "structuredContent": data} if isinstance(data, dict) else result
