"""An upstream that speaks Anthropic's Messages API: requests translated there, its event stream translated back.

Goes in: an OpenAI chat completions request; comes out: chunks of that dialect, or UpstreamError. The format is
Anthropic's API reference, version 2023-06-01. Thinking blocks are left out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bedplate.runtime.models.api import Body, UpstreamError
from bedplate.runtime.models.chunks import chunk, usage_of
from bedplate.runtime.models.http import events, opened, refusal
from bedplate.runtime.models.reading import text_of

if TYPE_CHECKING:
    import httpx2

VERSION = "2023-06-01"
MAX_TOKENS = 4096
"""The bound on an answer where neither manifest nor request has one: this API does not work without."""

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUS = {"overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401, "invalid_request_error": 400}


class AnthropicUpstream:
    """One model at Anthropic, or at an address that speaks its dialect."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str, model: str, key: str | None) -> None:
        self._http = http
        self._url = base_url.rstrip("/") + "/messages"
        self._model = model
        self._headers = {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    async def stream(self, body: Mapping[str, Any], *, timeout: float) -> AsyncGenerator[Body]:
        """See `Upstream`."""
        request = request_of(body) | {"model": self._model, "stream": True}
        async with opened(self._http, self._url, request, self._headers, timeout) as response:
            translation = Translation()
            async for event in events(response):
                for data in _translated(translation, event):
                    yield data
                if event.get("type") == "message_stop":
                    return
            raise UpstreamError("its stream broke off")


def _translated(translation: Translation, event: Mapping[str, Any]) -> list[Body]:
    try:
        return list(translation.chunks(event))
    except (KeyError, TypeError, AttributeError) as error:
        raise UpstreamError("its stream is not of the Messages API") from error


class Translation:
    """Turns the events of one message into chunks; the values in them are for `border` to check.

    Raises UpstreamError for an error event, and that, KeyError, TypeError or AttributeError for rubbish.
    """

    def __init__(self) -> None:
        self._input = 0
        self._calls: dict[int, int] = {}

    def chunks(self, event: Mapping[str, Any]) -> Iterator[Body]:
        """The chunks that one event makes; most make one, some none."""
        match event:
            case {"type": "message_start", "message": {"usage": usage}}:
                self._input = _input_tokens(usage)
                yield chunk({"role": "assistant", "content": ""})
            case {"type": "content_block_start", "index": index, "content_block": {"type": "tool_use"} as block}:
                yield self._call(index, block)
            case {"type": "content_block_start", "content_block": {"type": "text", "text": str(text)}} if text:
                yield chunk({"content": text})
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}:
                yield chunk({"content": text})
            case {"type": "content_block_delta", "index": index, "delta": {"partial_json": part}}:
                yield chunk({"tool_calls": [{"index": self._calls[index], "function": {"arguments": part}}]})
            case {"type": "message_delta", "delta": delta, **rest}:
                usage = rest.get("usage") or {}
                tokens = usage_of(_input_tokens(usage) or self._input, usage.get("output_tokens") or 0)
                yield chunk({}, FINISH.get(delta.get("stop_reason") or "", "stop"), tokens)
            case {"type": "error", "error": dict(error)}:
                raise refusal(_STATUS.get(str(error.get("type")), 500), event)
            case {"type": str()}:
                return
            case _:
                raise UpstreamError("its stream is not of the Messages API")

    def _call(self, index: int, block: Mapping[str, Any]) -> Body:
        place = self._calls[index] = len(self._calls)
        given = block.get("input")
        function = {"name": block["name"], "arguments": json.dumps(given) if given else ""}
        return chunk({"tool_calls": [{"index": place, "id": block["id"], "type": "function", "function": function}]})


def _input_tokens(usage: Mapping[str, Any]) -> int:
    keys = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(usage.get(key) or 0 for key in keys)


def request_of(body: Mapping[str, Any]) -> Body:
    """The Messages request that says the same as a chat completions request; without model and stream."""
    if (body.get("response_format") or {}).get("type", "text") != "text":
        raise UpstreamError("its API has no response_format", status=400)
    messages: Sequence[Mapping[str, Any]] = body.get("messages") or ()
    system = "\n\n".join(text_of(m) for m in messages if m["role"] in ("system", "developer"))
    request: Body = {
        "max_tokens": body.get("max_tokens") or body.get("max_completion_tokens") or MAX_TOKENS,
        "messages": _turns(m for m in messages if m["role"] not in ("system", "developer")),
    }
    stop = body.get("stop")
    optional = {
        "system": system or None,
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "stop_sequences": [stop] if isinstance(stop, str) else stop,
        "tools": [_tool(t["function"]) for t in body.get("tools") or ()] or None,
        "tool_choice": _tool_choice(body) if body.get("tools") else None,
    }
    return request | {key: value for key, value in optional.items() if value is not None}


def _tool(function: Mapping[str, Any]) -> Body:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"name": function["name"], "description": function.get("description") or "", "input_schema": schema}


def _tool_choice(body: Mapping[str, Any]) -> Body | None:
    choice: Body | None
    match body.get("tool_choice"):
        case "none":
            return {"type": "none"}
        case "required":
            choice = {"type": "any"}
        case {"function": {"name": name}}:
            choice = {"type": "tool", "name": name}
        case _:
            choice = None
    if body.get("parallel_tool_calls") is False:
        return (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return choice


def _turns(messages: Iterator[Mapping[str, Any]]) -> list[Body]:
    """Messages of user and assistant in turn: neighbours with one role become one, as the API wants tool results."""
    turns: list[Body] = []
    for message in messages:
        role, blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Mapping[str, Any]) -> tuple[str, list[Body]]:
    match message["role"]:
        case "tool":
            result = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": text_of(message)}
            return "user", [result]
        case "assistant":
            return "assistant", [*_content(message), *(_use(call) for call in message.get("tool_calls") or ())]
        case _:
            return "user", _content(message)


def _content(message: Mapping[str, Any]) -> list[Body]:
    content = message.get("content")
    if isinstance(content, list):
        return [block for part in content if (block := _part(part))]
    return [{"type": "text", "text": content}] if content else []


def _part(part: Mapping[str, Any]) -> Body | None:
    if part.get("type") != "image_url":
        return {"type": "text", "text": part["text"]} if part.get("text") else None
    head, _, data = part["image_url"]["url"].partition(",")
    media = head.removeprefix("data:").partition(";")[0]
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}


def _use(call: Mapping[str, Any]) -> Body:
    function = call["function"]
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}  # the model wrote no JSON then; the tool's answer in the history says so
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}
