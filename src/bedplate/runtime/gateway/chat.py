"""The chat completions API over turns (https://platform.openai.com/docs/api-reference/chat).

Goes in: a request's messages. Comes out: a question, completions, chunks. What counts of a request: `messages`, `user`,
`stream`, `stream_options`, `metadata.session`. With a session only the last message counts, because the session knows
the others; without one the earlier messages become the new session's beginning. The manifest decides on the model, its
settings and instructions: `model` and sampling settings change nothing, and what would change more is refused.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.remembering import spoken
from bedplate.runtime.gateway.turn import Answer, Event, Reset, Text
from bedplate.runtime.gateway.web import KEEP_ALIVE, error_json, event

_REFUSED = ("tools", "functions", "tool_choice", "response_format", "modalities", "audio", "logprobs")


def conversation(body: Mapping[str, Any]) -> tuple[str, tuple[dict[str, Any], ...]]:
    """The last message, which is the question, and the ones before it in pydantic-ai's shape. Raises BP400."""
    for name in _REFUSED:
        if body.get(name):
            raise faults.bad_request(f"`{name}` is decided by the agent's manifest")
    if body.get("n") not in (None, 1):
        raise faults.bad_request("`n` can only be 1")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise faults.bad_request("`messages` must be a list that is not empty")
    said = [_said(message) for message in messages]
    if said[-1][0] != "user":
        raise faults.bad_request("the last message must be the user's")
    return said[-1][1], tuple(spoken(role, text) for role, text in said[:-1])


def _said(message: Any) -> tuple[str, str]:
    match message:
        case {"role": "user" | "assistant" as role, "content": str(text)}:
            return role, text
        case {"role": "user" | "assistant" as role, "content": list(parts)}:
            return role, "\n".join(_text(part) for part in parts)
        case {"role": "system" | "developer"}:
            raise faults.bad_request("instructions stand in the agent's manifest, not in messages")
    raise faults.bad_request("a message has the role user or assistant, and text")


def _text(part: Any) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    raise faults.bad_request("only parts of type text are understood")


def completion(answer: Answer, model: str) -> dict[str, Any]:
    """A `chat.completion`."""
    message = {"role": "assistant", "content": answer.output}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**_head(answer.turn, model, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def models(model: str, since: float) -> dict[str, Any]:
    """The list of models: the agent, there since then (Unix time)."""
    listed = {"id": model, "object": "model", "created": int(since), "owned_by": "bedplate"}
    return {"object": "list", "data": [listed]}


async def events(source: AsyncIterator[Event | None], turn: str, model: str, *, usage: bool) -> AsyncIterator[bytes]:
    """A turn's events as chunks. Text cannot be taken back here: where the agent began anew, an error ends it."""
    head, sent = _head(turn, model, "chat.completion.chunk"), ""
    async for each in source:
        match each:
            case None:
                yield KEEP_ALIVE
            case Text(delta):
                sent += delta
                yield event("", _chunk(head, {"content": delta} if sent != delta else _first(delta)))
            case Reset():
                yield event("", {"error": error_json(faults.agent_failed("it died and its answer begins anew"))})
                return
            case Answer():
                for data in _last(each, head, sent, usage):
                    yield event("", data)
                yield event("", "[DONE]")
            case BedplateError():
                yield event("", {"error": error_json(each)})


def _last(answer: Answer, head: dict[str, Any], sent: str, usage: bool) -> list[dict[str, Any]]:
    if not answer.output.startswith(sent):
        return [{"error": error_json(faults.agent_failed("its answer is not what it said on the way"))}]
    rest = answer.output.removeprefix(sent)
    data = [_chunk(head, {"content": rest} if sent else _first(rest))] if rest else []
    data.append(_chunk(head, {}, "stop"))
    return [*data, {**head, "choices": [], "usage": _usage(answer)}] if usage else data


def _first(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _head(turn: str, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{turn}", "object": kind, "created": int(time.time()), "model": model}


def _usage(answer: Answer) -> dict[str, int]:
    read, wrote = int(answer.usage.get("inputTokens", 0)), int(answer.usage.get("outputTokens", 0))
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
