"""Chunks and completions of the OpenAI dialect: making them, adding them up, counting tokens where nobody did."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
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


class _Call:
    """A tool call that is being put together."""

    def __init__(self) -> None:
        self._id = ""
        self._name = StringIO()
        self._arguments = StringIO()

    def add(self, part: Mapping[str, Any]) -> None:
        self._id = part.get("id") or self._id
        function = part.get("function") or {}
        self._name.write(function.get("name") or "")
        self._arguments.write(function.get("arguments") or "")

    def body(self) -> Body:
        function = {"name": self._name.getvalue(), "arguments": self._arguments.getvalue()}
        return {"id": self._id, "type": "function", "function": function}


class Gathering:
    """Adds chunks (as `border` leaves them) up to the completion that they are pieces of."""

    def __init__(self) -> None:
        self._text = StringIO()
        self._refusal = StringIO()
        self._calls: dict[int, _Call] = {}
        self.finish: str | None = None
        self.usage: Mapping[str, Any] | None = None

    def add(self, data: Mapping[str, Any]) -> None:
        """Takes one chunk in."""
        self.usage = data.get("usage") or self.usage
        for choice in data.get("choices") or ():
            delta = choice.get("delta") or {}
            self._text.write(delta.get("content") or "")
            self._refusal.write(delta.get("refusal") or "")
            self.finish = choice.get("finish_reason") or self.finish
            for part in delta.get("tool_calls") or ():
                self._calls.setdefault(part["index"], _Call()).add(part)

    def message(self) -> Body:
        """The assistant message so far."""
        calls = [self._calls[index].body() for index in sorted(self._calls)]
        text = self._text.getvalue()
        message: Body = {"role": "assistant", "content": text if text or not calls else None}
        refusal = self._refusal.getvalue()
        return message | ({"refusal": refusal} if refusal else {}) | ({"tool_calls": calls} if calls else {})

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
    """Whether a checked chunk holds text or a tool call: from then on there is no going back to another model."""
    return any(choice["delta"] for choice in data["choices"])


def _cut(text: str, size: int) -> Iterable[str]:
    return (text[start : start + size] for start in range(0, len(text), size))
