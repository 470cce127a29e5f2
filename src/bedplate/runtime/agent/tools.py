"""The gateway's tools as a pydantic-ai toolset: MCP JSON-RPC over plain HTTP, as much of it as the gateway speaks.

Goes in: names and arguments. Comes out: what the tool said, as text for the model. A tool that fails is an answer, too:
the model is told. What may be called is decided by the gateway alone.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import httpx2
from pydantic_ai import RunContext
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from bedplate.runtime.agent.failures import GatewayGone, GatewayRefused
from bedplate.runtime.agent.model import refused

_RETRIES = 2
# Arguments are validated by the gateway, against the schema that it pinned.
_ANY_ARGUMENTS = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))
_ACCEPT = "application/json, text/event-stream"
_GATEWAY_ERRORS = range(-32099, -32000 + 1)


class GatewayTools(AbstractToolset[None]):
    """The tools of one turn. They are listed once."""

    def __init__(self, http: httpx2.AsyncClient, headers: Mapping[str, str]) -> None:
        self._http = http
        self._headers = {**headers, "Accept": _ACCEPT}
        self._ids = itertools.count(1)
        self._tools: dict[str, ToolsetTool[None]] | None = None

    @property
    def id(self) -> str | None:
        """The toolset's id in pydantic-ai."""
        return "gateway"

    async def get_tools(self, ctx: RunContext[None]) -> dict[str, ToolsetTool[None]]:  # noqa: ARG002
        """What the gateway offers in this turn."""
        if self._tools is None:
            self._tools = {raw["name"]: self._tool(raw) for raw in await self._list()}
        return self._tools

    async def _list(self) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self._rpc("tools/list", {"cursor": cursor} if cursor else {})
            tools += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return tools

    def _tool(self, raw: Mapping[str, Any]) -> ToolsetTool[None]:
        definition = ToolDefinition(
            name=raw["name"], description=raw.get("description"), parameters_json_schema=dict(raw["inputSchema"])
        )
        return ToolsetTool(toolset=self, tool_def=definition, max_retries=_RETRIES, args_validator=_ANY_ARGUMENTS)

    async def call_tool(
        self,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[None],
        tool: ToolsetTool[None],  # noqa: ARG002
    ) -> str:
        """Calls a tool through the gateway. Its errors come back as JSON text `{"error": …}`."""
        meta = {"bedplate/toolCallId": ctx.tool_call_id} if ctx.tool_call_id else {}
        try:
            result = await self._rpc("tools/call", {"name": name, "arguments": tool_args, "_meta": meta})
        except _ToolRefused as error:
            return json.dumps({"error": str(error)}, ensure_ascii=False)
        return _text(result)

    async def _rpc(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        response = await self._http.post("/mcp", json=request, headers=self._headers, timeout=None)
        if response.status_code != 200:
            raise refused(response.status_code, response.content)
        match _json(response.content):
            case {"result": dict(result)}:
                return result
            case {"error": dict(error)} if method == "tools/call":
                raise _ToolRefused(str(error.get("message", error)))
            case {"error": dict(error)}:
                raise GatewayRefused("BP493", f"{method}: {error.get('message', error)}")
            case _:
                raise GatewayGone(f"{method} got no JSON-RPC answer")


class _ToolRefused(Exception):
    """The gateway refused a call, in JSON-RPC's words."""


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise GatewayGone("the gateway's answer is not JSON") from error


def _text(result: Mapping[str, Any]) -> str:
    """What the model reads: the text. What search and memory found is given as JSON, which says it exactly."""
    text = "\n".join(block.get("text", "") for block in result.get("content") or () if block.get("type") == "text")
    if result.get("isError"):
        return json.dumps({"error": text or "the tool failed"}, ensure_ascii=False)
    data = result.get("structuredContent")
    if data is not None and (not text or "passages" in data or "facts" in data):
        return json.dumps(data, ensure_ascii=False)
    return text
