"""Chunks and completions of the OpenAI dialect: making them, adding them up, counting tokens where nobody did."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bedplate.runtime.models.api import Body


def chunk(delta: Mapping[str, Any], finish: str | None = None, usage: Mapping[str, int] | None = None) -> Body:
    """One `chat.completion.chunk`. The router fills id, model and created."""
    body: Body = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": dict(delta)}]}
    body["choices"][0]["finish_reason"] = finish
    return body | ({"usage": dict(usage)} if usage else {})


def usage_of(input_tokens: int, output_tokens: int) -> dict[str, int]:
    """The `usage` object of the dialect."""
    total = input_tokens + output_tokens
    return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total}


def estimate(value: object) -> int:
    """Tokens in a value, estimated: a quarter of its characters (as JSON, unless it is a string), rounded up."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return -(-len(text) // 4)


def new_id() -> str:
    """An id for a completion."""
    return f"chatcmpl-{uuid.uuid4().hex}"


def of_message(message: Mapping[str, Any], usage: Mapping[str, int], pieces: int = 48) -> Iterator[Body]:
    """A complete assistant message as chunks: text in pieces of about `pieces` characters, each tool call in one."""
    yield chunk({"role": "assistant", "content": ""})
    for piece in _cut(message.get("content") or "", pieces):
        yield chunk({"content": piece})
    calls = message.get("tool_calls") or ()
    for index, call in enumerate(calls):
        yield chunk({"tool_calls": [{"index": index, **call}]})
    yield chunk({}, "tool_calls" if calls else "stop", usage)


def of_completion(body: Mapping[str, Any]) -> Iterator[Body]:
    """The chunks of a whole completion, from a provider that did not stream."""
    choice = body["choices"][0]
    *most, last = of_message(choice["message"], body.get("usage") or {})
    yield from most
    last["choices"][0]["finish_reason"] = choice.get("finish_reason") or last["choices"][0]["finish_reason"]
    yield last


class Gathering:
    """Adds chunks up to the completion that they are pieces of."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[int, Body] = {}
        self.finish: str | None = None
        self.usage: Mapping[str, Any] | None = None

    def add(self, data: Mapping[str, Any]) -> None:
        """Takes one chunk in. Raises KeyError, TypeError or AttributeError where it is none."""
        self.usage = data.get("usage") or self.usage
        for choice in data.get("choices") or ():
            delta = choice.get("delta") or {}
            self._text.append(delta.get("content") or "")
            self.finish = choice.get("finish_reason") or self.finish
            for part in delta.get("tool_calls") or ():
                self._add_call(part)

    def _add_call(self, part: Mapping[str, Any]) -> None:
        index = part.get("index", len(self._calls))
        call = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = part.get("id") or call["id"]
        function = part.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def message(self) -> Body:
        """The assistant message so far."""
        calls = [self._calls[index] for index in sorted(self._calls)]
        text = "".join(self._text)
        message: Body = {"role": "assistant", "content": text if text or not calls else None}
        return message | ({"tool_calls": calls} if calls else {})

    def completion(self, model: str, created: int, usage: Mapping[str, int]) -> Body:
        """The `chat.completion` object."""
        message = self.message()
        finish = self.finish or ("tool_calls" if message.get("tool_calls") else "stop")
        return {
            "id": new_id(),
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": dict(usage),
        }


def says_something(data: Mapping[str, Any]) -> bool:
    """Whether a chunk holds text, a tool call or the end: from then on there is no going back to another model."""
    return any(_speaks(choice) for choice in data.get("choices") or ())


def _speaks(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    said = ("content", "tool_calls", "reasoning_content", "reasoning")
    return any(delta.get(key) for key in said) or bool(choice.get("finish_reason"))


def _cut(text: str, size: int) -> Iterable[str]:
    return (text[start : start + size] for start in range(0, len(text), size))
