"""The inbound Anthropic dialect: agents' code that speaks the Messages API is served by the router all the same.

Goes in: a Messages request, a completion, chunks. Comes out: a chat completions request, a message, events. Pure.
What the other dialect cannot say is refused (BP475), thinking blocks in the history and cache marks are left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NoReturn

from bedplate.problems import BedplateError, Problem
from bedplate.runtime.models.api import Body, Chunk

_PLAIN = ("max_tokens", "temperature", "top_p")
_LEFT_OUT = frozenset({"model", "stream", "metadata", "service_tier", "top_k"})
_KNOWN = frozenset({*_PLAIN, *_LEFT_OUT, "messages", "system", "stop_sequences", "tools", "tool_choice", "thinking"})
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def to_openai(request: Mapping[str, Any]) -> Body:
    """The chat completions request that says the same as a Messages request. Raises BedplateError (BP475)."""
    try:
        return _request(request)
    except (KeyError, TypeError, AttributeError) as error:
        summary = f"model request is not of the Messages API ({type(error).__name__}: {error})"
        raise BedplateError(Problem("BP475", summary)) from error


def _request(request: Mapping[str, Any]) -> Body:
    if unknown := sorted(request.keys() - _KNOWN):
        _refuse(f"model request has a field that Bedplate does not pass on: {', '.join(unknown)}")
    system = _text(request.get("system") or "")
    messages: list[Body] = [{"role": "system", "content": system}] if system else []
    for message in request.get("messages") or ():
        messages += _messages(message)
    body: Body = {key: request[key] for key in _PLAIN if key in request} | {"messages": messages}
    optional = {
        "stop": request.get("stop_sequences"),
        "tools": [_tool(t) for t in request.get("tools") or ()] or None,
        **_tool_choice(request.get("tool_choice")),
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def _tool(tool: Mapping[str, Any]) -> Body:
    if "input_schema" not in tool:
        _refuse("model request has a tool that the provider would run; only tools with an input_schema are passed on")
    function = {"name": tool["name"], "description": tool.get("description", ""), "parameters": tool["input_schema"]}
    return {"type": "function", "function": function}


def _tool_choice(choice: Mapping[str, Any] | None) -> Body:
    if choice is None:
        return {}
    parallel = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    match choice.get("type"):
        case "any":
            return {"tool_choice": "required", **parallel}
        case "none":
            return {"tool_choice": "none"}
        case "tool":
            return {"tool_choice": {"type": "function", "function": {"name": choice["name"]}}, **parallel}
        case _:
            return {"tool_choice": "auto", **parallel}


def _messages(message: Mapping[str, Any]) -> Iterator[Body]:
    """One message of the Messages API is up to several of chat completions: each tool result is one of its own."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    yield from (_result(b) for b in blocks if b["type"] == "tool_result")
    said = [part for b in blocks if (part := _part(b))]
    calls = [_call(b) for b in blocks if b["type"] == "tool_use"]
    if calls:
        text = "".join(p.get("text", "") for p in said)
        yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    elif said:
        only_text = all(p["type"] == "text" for p in said)
        yield {"role": message["role"], "content": "\n".join(p["text"] for p in said) if only_text else said}


def _part(block: Mapping[str, Any]) -> Body | None:
    match block:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}:
            return {"type": "image_url", "image_url": {"url": f"data:{media};base64,{data}"}}
        case {"type": "tool_use" | "tool_result" | "thinking" | "redacted_thinking"}:
            return None
        case _:
            return _refuse(f"model request has a part of type {block.get('type')}, which Bedplate does not pass on")


def _result(block: Mapping[str, Any]) -> Body:
    text = _text(block.get("content") or "")
    if block.get("is_error"):
        text = json.dumps({"error": text})
    return {"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(block["text"] for block in content if block.get("type") == "text")
    return str(content)


def _call(block: Mapping[str, Any]) -> Body:
    function = {"name": block["name"], "arguments": json.dumps(block.get("input") or {})}
    return {"id": block["id"], "type": "function", "function": function}


def from_openai(reply: Mapping[str, Any], model: str) -> Body:
    """The message of the Messages API that says the same as a chat completion."""
    choice = reply["choices"][0]
    message = choice["message"]
    blocks: list[Body] = [{"type": "text", "text": message["content"]}] if message.get("content") else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": _object(function)})
    usage = reply.get("usage") or {}
    return _message(model) | {
        "content": blocks,
        "stop_reason": _STOP.get(choice.get("finish_reason") or "", "end_turn"),
        "usage": {
            "input_tokens": usage.get("prompt_tokens", 0),
            "output_tokens": usage.get("completion_tokens", 0),
        },
    }


def _object(function: Mapping[str, Any]) -> Any:
    try:
        return json.loads(function.get("arguments") or "{}")
    except ValueError:
        return {}


def _message(model: str) -> Body:
    usage = {"input_tokens": 0, "output_tokens": 0}
    head = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "model": model, "content": []}
    return {**head, "stop_reason": None, "stop_sequence": None, "usage": usage}


async def stream_from_openai(chunks: AsyncIterator[Chunk]) -> AsyncIterator[tuple[str, Body]]:
    """The events (name, data) of the Messages API for the router's chunks. Usage stands in `message_delta`."""
    events = _Events()
    async for piece in chunks:
        for event in events.of(piece.data):
            yield event["type"], event
    for event in events.end():
        yield event["type"], event


class _Events:
    """Chunks name tool calls by number and interleave freely; events have one open block at a time."""

    def __init__(self) -> None:
        self._begun = False
        self._open: str | None = None
        self._index = -1
        self._finish = "end_turn"
        self._usage: Mapping[str, Any] = {}

    def of(self, data: Mapping[str, Any]) -> Iterator[Body]:
        """The events that one chunk makes."""
        if not self._begun:
            self._begun = True
            yield {"type": "message_start", "message": _message(str(data.get("model", "")))}
        self._usage = data.get("usage") or self._usage
        for choice in data.get("choices") or ():
            delta = choice.get("delta") or {}
            if text := delta.get("content"):
                yield from self._block("text", {"type": "text", "text": ""})
                yield self._delta({"type": "text_delta", "text": text})
            for call in delta.get("tool_calls") or ():
                yield from self._call(call)
            if finish := choice.get("finish_reason"):
                self._finish = _STOP.get(finish, "end_turn")

    def _call(self, call: Mapping[str, Any]) -> Iterator[Body]:
        function = call.get("function") or {}
        opening: Body = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
        yield from self._block(f"call {call.get('index', 0)}", opening)
        if part := function.get("arguments"):
            yield self._delta({"type": "input_json_delta", "partial_json": part})

    def _block(self, name: str, opening: Body) -> Iterator[Body]:
        if name == self._open:
            return
        yield from self._close()
        self._open = name
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": opening}

    def _close(self) -> Iterator[Body]:
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._index}

    def _delta(self, delta: Body) -> Body:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def end(self) -> Iterator[Body]:
        """The events that end the message."""
        yield from self._close()
        usage = {
            "input_tokens": self._usage.get("prompt_tokens", 0),
            "output_tokens": self._usage.get("completion_tokens", 0),
        }
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self._finish, "stop_sequence": None},
            "usage": usage,
        }
        yield {"type": "message_stop"}


def _refuse(summary: str) -> NoReturn:
    raise BedplateError(Problem("BP475", summary, fix="See `bedplate explain BP475` for what a request may hold."))
