"""The model as pydantic-ai sees it: one turn's way to the gateway's chat completions proxy.

Goes in: pydantic-ai messages. Comes out: pydantic-ai responses; text is handed on piece by piece while it arrives. The
gateway decides which model it is and what it may cost.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import httpx2
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from bedplate.runtime.agent.failures import GatewayGone, GatewayRefused
from bedplate.runtime.models.chunks import Gathering

Json = dict[str, Any]


class GatewayModel(Model):
    """The gateway's model for one turn. `system` heads every request; `headers` carry capability and trace."""

    def __init__(
        self, http: httpx2.AsyncClient, *, system: str, headers: Mapping[str, str], on_text: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._http = http
        self._system_text = system
        self._headers = dict(headers)
        self._on_text = on_text

    @property
    def model_name(self) -> str:
        """A name for messages; the manifest knows the real one."""
        return "gateway"

    @property
    def system(self) -> str:
        """The provider's name in pydantic-ai's words."""
        return "bedplate"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,  # noqa: ARG002 - settings are the manifest's, applied by the gateway
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Asks the gateway's model. Raises GatewayRefused, GatewayGone or httpx2.HTTPError."""
        body: Json = {"messages": [*self._head(), *_said(messages)], "stream": True}
        body["stream_options"] = {"include_usage": True}
        if tools := [_tool(t) for t in model_request_parameters.function_tools]:
            body["tools"] = tools
        gathered = Gathering()
        async for data in self._stream(body):
            gathered.add(data)
            for choice in data.get("choices") or ():
                if text := (choice.get("delta") or {}).get("content"):
                    self._on_text(text)
        return _response(gathered)

    def _head(self) -> list[Json]:
        return [{"role": "system", "content": self._system_text}] if self._system_text else []

    async def _stream(self, body: Json) -> AsyncIterator[Json]:
        url = "/v1/chat/completions"
        async with self._http.stream("POST", url, json=body, headers=self._headers, timeout=None) as response:
            if response.status_code != 200:
                raise refused(response.status_code, await response.aread())
            async for line in response.aiter_lines():
                if line.startswith("data:") and line[5:].strip() != "[DONE]":
                    yield _event(line[5:])


def refused(status: int, raw: bytes) -> Exception:
    """The gateway's error answer as an exception."""
    try:
        return _error(json.loads(raw)["error"])
    except (ValueError, KeyError, TypeError):
        return GatewayGone(f"HTTP {status}")


def _error(error: object) -> GatewayRefused:
    match error:
        case {"code": str(code), "message": str(message)}:
            return GatewayRefused(code, message)
        case {"message": str(message)}:
            return GatewayRefused("BP493", message)
        case _:
            return GatewayRefused("BP493", str(error))


def _event(text: str) -> Json:
    try:
        data: Json = json.loads(text)
    except ValueError as error:
        raise GatewayGone("a model's stream is not JSON") from error
    if "error" in data:
        raise _error(data["error"])
    return data


def _response(gathered: Gathering) -> ModelResponse:
    if gathered.finish is None:
        raise GatewayGone("a model's stream broke off")
    message, usage = gathered.message(), gathered.usage or {}
    text = [TextPart(message["content"])] if message.get("content") else []
    calls = [
        ToolCallPart(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in message.get("tool_calls") or ()
    ]
    spent = RequestUsage(input_tokens=usage.get("prompt_tokens", 0), output_tokens=usage.get("completion_tokens", 0))
    return ModelResponse(parts=[*text, *calls], usage=spent, model_name="gateway")


def _tool(tool: ToolDefinition) -> Json:
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters_json_schema}
    return {"type": "function", "function": function}


def _said(messages: list[ModelMessage]) -> Iterator[Json]:
    for message in messages:
        match message:
            case ModelRequest():
                yield from (line for part in message.parts if (line := _asked(part)))
            case ModelResponse():
                yield from _answered(message)


def _asked(part: object) -> Json | None:
    match part:
        case SystemPromptPart(content=text):
            return {"role": "system", "content": text}
        case UserPromptPart(content=content):
            text = content if isinstance(content, str) else "\n".join(p for p in content if isinstance(p, str))
            return {"role": "user", "content": text}
        case ToolReturnPart():
            return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
        case RetryPromptPart(tool_name=str()):
            return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response()}
        case RetryPromptPart():
            return {"role": "user", "content": part.model_response()}
        case _:
            return None


def _answered(message: ModelResponse) -> Iterator[Json]:
    text = "".join(p.content for p in message.parts if isinstance(p, TextPart))
    calls = [
        {"id": p.tool_call_id, "type": "function", "function": {"name": p.tool_name, "arguments": p.args_as_json_str()}}
        for p in message.parts
        if isinstance(p, ToolCallPart)
    ]
    if text or calls:
        yield {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})
