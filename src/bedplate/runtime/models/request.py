"""What an agent may ask of a model. Goes in: a request body of anybody's code. Comes out: what is sent on, or BP475.

The agent must not reach the network through its model: tools that the provider would run (web search, code, remote MCP)
and addresses that the provider would fetch (pictures, files) are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from bedplate.problems import BedplateError, Problem
from bedplate.runtime.models.api import Body

_PASSED = frozenset(
    {
        "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stop", "temperature", "top_p",
        "seed", "max_tokens", "presence_penalty", "frequency_penalty", "reasoning_effort",
    }
)  # fmt: skip
# Said to the provider's own bookkeeping, or decided by the manifest: without effect on the answer, and left out.
_LEFT_OUT = frozenset(
    {
        "model", "stream", "stream_options", "user", "metadata", "store", "service_tier", "prompt_cache_key",
        "safety_identifier", "n", "max_completion_tokens",
    }
)  # fmt: skip
_SETTINGS = {"temperature": "temperature", "maxTokens": "max_tokens", "topP": "top_p", "seed": "seed"}
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


def accepted(body: Mapping[str, Any], settings: Mapping[str, float | int]) -> Body:
    """The request as the router sends it on, with the manifest's settings over its own. Raises BP475."""
    if unknown := sorted(body.keys() - _PASSED - _LEFT_OUT):
        _refuse(f"model request has a field that Bedplate does not pass on: {', '.join(unknown)}")
    if body.get("n") not in (None, 1):
        _refuse("model request asks for several answers (n)")
    _check_messages(body.get("messages"))
    _check_tools(body.get("tools"))
    request = {key: value for key, value in body.items() if key in _PASSED and value is not None}
    if (most := body.get("max_completion_tokens")) is not None:
        request.setdefault("max_tokens", most)
    return request | _capped(settings, request)


def _capped(settings: Mapping[str, float | int], request: Mapping[str, Any]) -> Body:
    """The manifest's settings; `maxTokens` is a bound, so a request may ask for less."""
    ours = {_SETTINGS[key]: value for key, value in settings.items()}
    asked = request.get("max_tokens")
    if "max_tokens" in ours and isinstance(asked, int) and asked > 0:
        ours["max_tokens"] = min(ours["max_tokens"], asked)
    return ours


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        _refuse("model request has no messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            _refuse("model request has a message without a known role")
        content = message.get("content")
        if not isinstance(content, str | list | None):
            _refuse("model request has a message whose content is neither text nor parts")
        _check_parts(content if isinstance(content, list) else ())
        _check_calls(message)


def _check_calls(message: Mapping[str, Any]) -> None:
    calls = message.get("tool_calls") or ()
    if not all(_is_call(call) for call in calls):
        _refuse("model request has a tool call that is no function call")
    if message["role"] == "tool" and not isinstance(message.get("tool_call_id"), str):
        _refuse("model request has a tool message without tool_call_id")


def _is_call(call: object) -> bool:
    match call:
        case {"id": str(), "function": {"name": str()}}:
            return True
        case _:
            return False


def _check_parts(parts: Sequence[Any]) -> None:
    for part in parts:
        match part:
            case {"type": "text", "text": str()} | {"type": "refusal"}:
                continue
            case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith("data:image/"):
                continue
            case {"type": "image_url"}:
                _refuse("model request has a picture by address; the provider would fetch it past the scopes")
            case _:
                _refuse("model request has a part that is neither text nor a picture")


def _check_tools(tools: object) -> None:
    for tool in tools if isinstance(tools, list) else ():
        match tool:
            case {"type": "function", "function": {"name": str()}}:
                continue
            case _:
                _refuse("model request has a tool that the provider would run; only function tools are passed on")


def _refuse(summary: str) -> NoReturn:
    raise BedplateError(Problem("BP475", summary, fix="See `bedplate explain BP475` for what a request may hold."))
