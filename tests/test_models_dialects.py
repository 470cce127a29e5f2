"""Both dialects, spoken by the official SDKs on one side and by scripted providers on the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from starlette.responses import JSONResponse, Response

from bedplate.blueprint.model import ModelSpec
from bedplate.problems import BedplateError
from bedplate.runtime.models import anthropic_dialect as dialect
from bedplate.runtime.models.anthropic_upstream import request_of
from models_support import Upstream, delta, proxy_app, router, serving, spec, sse, text_stream

TOOL = {
    "type": "function",
    "function": {"name": "docs___search", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
CLAUDE_TOOL = {"name": "docs___search", "description": "d", "input_schema": {"type": "object", "properties": {}}}
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "a"},
    {
        "role": "assistant",
        "content": "let me see",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "docs___search", "arguments": '{"query": "x"}'}},
            {"id": "c2", "type": "function", "function": {"name": "docs___search", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "user", "content": "and?"},
]


def messages_stream(*blocks: dict[str, Any], stop: str = "end_turn") -> Callable[[], Response]:
    """An answer as Anthropic streams it."""
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 6}}},
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks):
        start = {k: v for k, v in block.items() if k != "pieces"}
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        kind, key = {
            "text": ("text_delta", "text"),
            "tool_use": ("input_json_delta", "partial_json"),
            "thinking": ("thinking_delta", "thinking"),
        }[block["type"]]
        for piece in block["pieces"]:
            events.append({"type": "content_block_delta", "index": index, "delta": {"type": kind, key: piece}})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}})
    return lambda: sse(*events, {"type": "message_stop"}, done=False, named=True)


def claude(url: str) -> ModelSpec:
    """A model behind an Anthropic address."""
    return spec(url, "anthropic:claude-sonnet-4-5", settings={"maxTokens": 100})


async def test_the_openai_sdk_is_served_by_an_anthropic_model() -> None:
    """Text, thinking and two parallel tool calls of a Messages stream arrive in the OpenAI SDK, with usage."""
    answer = messages_stream(
        {"type": "thinking", "thinking": "", "pieces": ["hm"]},
        {"type": "text", "text": "", "pieces": ["Hel", "lo"]},
        {"type": "tool_use", "id": "t1", "name": "docs___search", "input": {}, "pieces": ['{"query"', ': "x"}']},
        {"type": "tool_use", "id": "t2", "name": "docs___search", "input": {}, "pieces": []},
        stop="tool_use",
    )
    up = Upstream(answer)
    async with serving(up.app()) as url, serving(proxy_app(router(claude(url)))) as proxy:
        client = openai.AsyncOpenAI(base_url=f"{proxy}/v1", api_key="capability")
        whole = await client.chat.completions.create(model="x", messages=TALK, tools=[TOOL])  # type: ignore[call-overload]
        stream = await client.chat.completions.create(model="x", messages=TALK, tools=[TOOL], stream=True)  # type: ignore[call-overload]
        pieces = [piece async for piece in stream]
    choice = whole.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello", "tool_calls")
    assert [(c.id, c.function.arguments) for c in choice.message.tool_calls] == [("t1", '{"query": "x"}'), ("t2", "")]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (11, 9)
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "Hello"
    assert pieces[-1].choices[0].finish_reason == "tool_calls"
    assert pieces[-1].usage.total_tokens == 20


async def test_a_conversation_is_translated_for_anthropic() -> None:
    """System apart, tool results together in one user turn with what follows, bounds and choice in its words."""
    up = Upstream(messages_stream({"type": "text", "text": "", "pieces": ["x"]}))
    async with serving(up.app()) as url:
        body = {"messages": TALK, "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "stop": "E"}
        await router(claude(url)).chat(body, deadline=time.time() + 5)
    sent = up.requests[0]
    assert (sent["system"], sent["max_tokens"], sent["stop_sequences"]) == ("Be kind.", 100, ["E"])
    assert sent["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert sent["tools"] == [CLAUDE_TOOL]
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert [b["type"] for b in sent["messages"][1]["content"]] == ["text", "tool_use", "tool_use"]
    assert sent["messages"][1]["content"][1]["input"] == {"query": "x"}
    assert [b["type"] for b in sent["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert up.headers[0]["x-api-key"] == "sekrit-0123456789"
    assert up.headers[0]["anthropic-version"] == "2023-06-01"


async def test_anthropics_failures_are_failures() -> None:
    """An overloaded error within the stream and HTTP 529 lead to the fallback; 401 names the secret."""
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    good = messages_stream({"type": "text", "text": "", "pieces": ["ok"]})
    for bad in (lambda: sse(overloaded, done=False), lambda: JSONResponse(overloaded, 529), lambda: sse(done=False)):
        async with serving(Upstream(bad, good).app()) as url:
            model = spec(url, "anthropic:a", fallback=("anthropic:b",))
            reply = await router(model).chat({"messages": TALK}, deadline=time.time() + 5)
            assert reply.model == "anthropic:b"
    async with serving(Upstream(lambda: JSONResponse({"error": {"message": "invalid x-api-key"}}, 401)).app()) as url:
        with pytest.raises(BedplateError, match=r"BP474.*the-key"):
            await router(spec(url, "anthropic:a")).chat({"messages": TALK}, deadline=time.time() + 5)


async def test_the_anthropic_sdk_is_served_by_an_openai_model() -> None:
    """The Anthropic SDK gets text, interleaved tool calls, stop reason and usage, whole and streamed."""
    pieces = [
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "docs___search", "arguments": '{"q'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '": 1}'}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "docs___search", "arguments": "{}"}}]),
        delta("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
    ]
    up = Upstream(lambda: sse(*pieces))
    async with serving(up.app()) as url, serving(proxy_app(router(spec(url)))) as proxy:
        client = anthropic.AsyncAnthropic(base_url=proxy, api_key="capability")
        asked: dict[str, Any] = {
            "model": "x", "max_tokens": 50, "system": "Be kind.", "tools": [CLAUDE_TOOL],
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "one", "is_error": True},
                    {"type": "text", "text": "and?"},
                ]},
            ],
        }  # fmt: skip
        whole = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            text = [t async for t in stream.text_stream]
            streamed = await stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        assert [b.type for b in message.content] == ["text", "tool_use", "tool_use"]
        assert [b.input for b in message.content[1:]] == [{"q": 1}, {}]  # type: ignore[union-attr]
        assert message.usage.output_tokens == 3
    assert text == ["Hel", "lo"]
    sent = up.requests[0]["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool", "user"]
    assert json.loads(sent[2]["tool_calls"][0]["function"]["arguments"]) == {"x": 1}
    assert sent[3]["content"] == '{"error": "one"}'


async def test_errors_reach_the_sdks_with_our_words() -> None:
    """The official SDKs raise their own error with our message in it."""
    async with serving(proxy_app(router(spec("http://127.0.0.1:9")))) as proxy:
        ours = openai.AsyncOpenAI(base_url=f"{proxy}/v1", api_key="c", max_retries=0)
        with pytest.raises(openai.APIStatusError, match="no model answered"):
            await ours.chat.completions.create(model="x", messages=[{"role": "user", "content": "a"}])
        theirs = anthropic.AsyncAnthropic(base_url=proxy, api_key="c", max_retries=0)
        with pytest.raises(anthropic.APIStatusError, match="no model answered"):
            await theirs.messages.create(model="x", max_tokens=5, messages=[{"role": "user", "content": "a"}])


BAD: dict[str, dict[str, Any]] = {
    "a hosted tool": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "remote MCP servers": {"mcp_servers": [{"type": "url", "url": "https://x.example"}]},
    "a picture by address": {
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x.example"}}]}
        ]
    },
    "no role": {"messages": [{"content": "x"}, 3]},
}


@pytest.mark.parametrize("case", BAD)
def test_what_would_lead_past_the_scopes_is_refused(case: str) -> None:
    """Hosted tools, remote servers, fetched addresses and rubbish are BP475 in this dialect too."""
    with pytest.raises(BedplateError, match="BP475"):
        dialect.to_openai({"max_tokens": 5, "messages": [{"role": "user", "content": "a"}]} | BAD[case])


def test_a_conversation_survives_both_translations() -> None:
    """Chat completions to Messages and back gives the same messages."""
    there = request_of({"messages": TALK, "tools": [TOOL], "max_tokens": 5})
    back = dialect.to_openai(there)
    assert back["messages"] == TALK
    assert back["tools"] == [TOOL]


async def test_text_of_the_built_in_model_reaches_the_anthropic_sdk() -> None:
    """`bedplate:extractive` speaks both dialects as every other model does."""
    async with serving(proxy_app(router(ModelSpec("bedplate:extractive")))) as proxy:
        client = anthropic.AsyncAnthropic(base_url=proxy, api_key="capability")
        message = await client.messages.create(
            model="x", max_tokens=50, messages=[{"role": "user", "content": "Who are you?"}]
        )
    assert "no language model" in message.content[0].text  # type: ignore[union-attr]
    assert message.usage.input_tokens > 0


async def test_an_answer_without_usage_is_translated_with_zeroes() -> None:
    """A completion without `usage` makes a valid message."""
    up = Upstream(lambda: text_stream("x", usage=None))
    async with serving(up.app()) as url:
        reply = await router(spec(url)).chat({"messages": TALK[:2]}, deadline=time.time() + 5)
    bare = {k: v for k, v in reply.body.items() if k != "usage"}
    assert dialect.from_openai(bare, "m")["usage"] == {"input_tokens": 0, "output_tokens": 0}
