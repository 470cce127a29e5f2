"""The router against scripted providers: what is sent, what comes back, and what happens when a provider fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from bedplate.blueprint.model import ModelSpec
from bedplate.problems import BedplateError
from models_support import Upstream, delta, router, serving, spec, sse, text_stream

ASK = {"messages": [{"role": "user", "content": "hi"}]}


def soon(seconds: float = 5.0) -> float:
    """A deadline."""
    return time.time() + seconds


async def test_settings_and_model_are_the_manifests_and_the_key_goes_to_the_provider_only() -> None:
    """The body's model is ignored, manifest settings win, and the key goes to the provider, not into the reply."""
    up = Upstream(lambda: text_stream("hello"))
    async with serving(up.app()) as url:
        model = router(spec(url, settings={"temperature": 0, "maxTokens": 50, "topP": 0.5, "seed": 3}))
        asked = ASK | {"model": "evil", "temperature": 2, "max_completion_tokens": 10, "user": "me"}
        reply = await model.chat(asked, deadline=soon())
    sent = up.requests[0]
    assert {k: sent[k] for k in ("model", "temperature", "max_tokens", "top_p", "seed")} == {
        "model": "m", "temperature": 0, "max_tokens": 10, "top_p": 0.5, "seed": 3,
    }  # fmt: skip
    assert "user" not in sent
    assert up.headers[0]["authorization"] == "Bearer sekrit-0123456789"
    assert "sekrit" not in repr(reply)
    assert reply.body["choices"][0]["message"]["content"] == "hello"
    assert (reply.model, reply.input_tokens, reply.output_tokens, reply.cost) == ("mine:m", 7, 3, None)


async def test_a_stream_ends_with_finish_usage_and_the_whole_reply() -> None:
    """Pieces arrive one by one, and only the last has finish_reason, usage and reply."""
    up = Upstream(lambda: text_stream("abc"))
    async with serving(up.app()) as url:
        chunks = [c async for c in router(spec(url)).stream(ASK, deadline=soon())]
    *most, last = chunks
    assert "".join(c.data["choices"][0]["delta"].get("content", "") for c in most) == "abc"
    assert all(c.reply is None and "usage" not in c.data for c in most)
    assert last.data["choices"][0]["finish_reason"] == "stop"
    assert last.data["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert last.reply is not None
    assert last.reply.body["choices"][0]["message"]["content"] == "abc"


async def test_usage_is_estimated_where_the_provider_tells_none() -> None:
    """Without usage from the provider tokens are a quarter of the characters, so that limits still hold."""
    up = Upstream(lambda: text_stream("x" * 41, usage=None))
    async with serving(up.app()) as url:
        reply = await router(spec(url)).chat(ASK, deadline=soon())
    assert reply.output_tokens == 11
    assert reply.input_tokens > 0


async def test_a_known_model_has_a_price() -> None:
    """A model of the price list is priced by its tokens, whatever the address it is reached at."""
    up = Upstream(lambda: text_stream("x", usage=(1000, 100)))
    async with serving(up.app()) as url:
        reply = await router(spec(url, "openai:gpt-4o")).chat(ASK, deadline=soon())
    assert reply.cost == pytest.approx(0.0035)


async def _hang() -> Response:
    await asyncio.sleep(30)
    return PlainTextResponse("")


FAILURES: dict[str, Callable[[], Any]] = {
    "HTTP 500": lambda: JSONResponse({"error": {"message": "boom"}}, 500),
    "HTTP 429": lambda: JSONResponse({"error": {"message": "slow down"}}, 429),
    "HTTP 408": lambda: PlainTextResponse("", 408),
    "HTTP 409": lambda: PlainTextResponse("", 409),
    "no completion": lambda: PlainTextResponse("<html>hello</html>"),
    "is no completion": lambda: JSONResponse({"choices": []}),
    "not JSON": lambda: sse("{nope"),
    "no chat completion": lambda: sse({"choices": "what"}),
    "ended without an answer": lambda: sse(delta(role="assistant")),
    "HTTP 500: from within": lambda: sse({"error": {"message": "from within"}}),
    "no answer": _hang,
}


@pytest.mark.parametrize("reason", FAILURES)
async def test_a_provider_that_fails_before_it_speaks_is_followed_by_the_fallback(reason: str) -> None:
    """Each kind of failure leads to the next model, whose answer is given out under its own name."""
    up = Upstream(FAILURES[reason], lambda: text_stream("second"))
    async with serving(up.app()) as url:
        model = router(spec(url, fallback=("mine:other",)))
        reply = await model.chat(ASK, deadline=soon(3.0 if reason == "no answer" else 8.0))
    assert reply.model == "mine:other"
    assert reply.body["choices"][0]["message"]["content"] == "second"
    assert [r["model"] for r in up.requests] == ["m", "other"]


@pytest.mark.parametrize("reason", FAILURES)
async def test_when_all_fail_each_attempt_is_named(reason: str) -> None:
    """BP470 names every model and why it failed."""
    up = Upstream(FAILURES[reason])
    async with serving(up.app()) as url:
        with pytest.raises(BedplateError) as caught:
            await router(spec(url, fallback=("mine:other",))).chat(ASK, deadline=soon(1.0))
    problem = caught.value.problems[0]
    assert problem.code == "BP470" or (reason == "no answer" and problem.code == "BP479")
    text = problem.summary + problem.detail
    assert "mine:m: " in text
    assert reason in text


async def test_nobody_listening_is_a_failure_that_names_the_model() -> None:
    """A refused connection is reported as such."""
    with pytest.raises(BedplateError, match=r"BP470.*mine:m: no connection"):
        await router(spec("http://127.0.0.1:9")).chat(ASK, deadline=soon())


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


@pytest.mark.parametrize(
    "sent", [b"", HEAD + b"transfer-encoding: chunked\r\n\r\n", HEAD + b"content-length: 9\r\n\r\n"]
)
async def test_a_connection_closed_without_an_answer_is_told_at_once(sent: bytes) -> None:
    """A server that hangs up is named as the fault, long before the time is over."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(BedplateError, match=r"BP470.*mine:m: it closed the connection"):
            await router(spec(url)).chat(ASK, deadline=soon())
    assert time.monotonic() - began < 2


async def test_a_refused_key_names_the_secret_and_tries_nobody_else() -> None:
    """401 is an error that says which secret, without the key even where the provider repeats it."""
    up = Upstream(lambda: JSONResponse({"error": {"message": "Incorrect API key: sk-sekrit-0123456789"}}, 401))
    async with serving(up.app()) as url:
        with pytest.raises(BedplateError, match=r"BP474.*secret the-key") as caught:
            await router(spec(url, fallback=("mine:other",))).chat(ASK, deadline=soon())
    assert "0123456789" not in str(caught.value)
    assert len(up.requests) == 1


async def test_a_request_that_the_provider_refuses_is_not_tried_elsewhere() -> None:
    """400 and 404 are errors with the provider's message, cut short."""
    up = Upstream(lambda: JSONResponse({"error": {"message": "no such model " + "x " * 500}}, 404))
    async with serving(up.app()) as url:
        with pytest.raises(BedplateError, match=r"BP477.*HTTP 404: no such model") as caught:
            await router(spec(url, fallback=("mine:other",))).chat(ASK, deadline=soon())
    assert len(str(caught.value)) < 400


async def test_retry_after_is_honoured_once() -> None:
    """The provider is asked again after the time it named, and a second refusal leads to the next model."""
    busy = lambda: PlainTextResponse("", 429, headers={"Retry-After": "0.3"})  # noqa: E731
    up = Upstream(busy, busy, lambda: text_stream("ok"))
    async with serving(up.app()) as url:
        began = time.monotonic()
        reply = await router(spec(url, fallback=("mine:other",))).chat(ASK, deadline=soon())
    assert [r["model"] for r in up.requests] == ["m", "m", "other"]
    assert reply.model == "mine:other"
    assert 0.3 <= time.monotonic() - began < 3


async def test_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    """A wait that does not fit into the time left is not begun."""
    up = Upstream(lambda: PlainTextResponse("", 429, headers={"Retry-After": "60"}))
    async with serving(up.app()) as url:
        began = time.monotonic()
        with pytest.raises(BedplateError, match="BP470"):
            await router(spec(url)).chat(ASK, deadline=soon())
    assert time.monotonic() - began < 2


async def test_after_the_first_word_nobody_takes_over() -> None:
    """A stream that breaks off in the middle is BP476, and the fallback is not asked."""
    up = Upstream(lambda: sse(delta(content="Hel"), "{nope"))
    said = []
    async with serving(up.app()) as url:
        with pytest.raises(BedplateError, match="BP476"):  # noqa: PT012
            async for piece in router(spec(url, fallback=("mine:other",))).stream(ASK, deadline=soon()):
                said.append(piece)
    assert len(said) == 1
    assert len(up.requests) == 1


async def test_a_model_that_falls_silent_is_ended_at_the_deadline() -> None:
    """Silence in the middle of an answer ends with BP479 when the deadline passes."""

    async def stall() -> Response:
        async def body() -> Any:
            yield 'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
            await asyncio.sleep(30)

        return StreamingResponse(body(), media_type="text/event-stream")

    async with serving(Upstream(stall).app()) as url:
        began = time.monotonic()
        with pytest.raises(BedplateError, match="BP479"):
            await router(spec(url)).chat(ASK, deadline=soon(0.6))
        assert time.monotonic() - began < 3


async def test_a_caller_who_goes_away_ends_the_providers_work() -> None:
    """Closing the stream closes the connection to the provider, which stops writing (and billing)."""
    ended = asyncio.Event()

    async def endless() -> Response:
        async def body() -> Any:
            try:
                while True:
                    yield 'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        return StreamingResponse(body(), media_type="text/event-stream")

    async with serving(Upstream(endless).app()) as url:
        stream = router(spec(url)).stream(ASK, deadline=soon())
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(ended.wait(), 3)


async def test_parallel_tool_calls_are_put_together() -> None:
    """Arguments that arrive in interleaved pieces end up with the call they belong to."""
    pieces = [
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "x___y", "arguments": '{"q'}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "z___w", "arguments": ""}}]),
        delta(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '": 1}'}}]),
        delta("tool_calls"),
    ]
    async with serving(Upstream(lambda: sse(*pieces)).app()) as url:
        reply = await router(spec(url)).chat(ASK, deadline=soon())
    choice = reply.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in choice["message"]["tool_calls"]]
    assert calls == [("a", "x___y", '{"q": 1}'), ("b", "z___w", "{}")]


REFUSED: dict[str, dict[str, Any]] = {
    "a tool the provider runs": {"tools": [{"type": "web_search"}]},
    "a picture by address": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/?s"}}]}]
    },
    "a file": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}]},
    "an unknown field": {"web_search_options": {}},
    "several answers": {"n": 3},
    "no messages": {"messages": []},
    "a role that is none": {"messages": [{"role": "root", "content": "x"}]},
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_would_lead_past_the_scopes_is_refused(case: str) -> None:
    """A request with hosted tools, fetched addresses or unknown fields is BP475 and never sent."""
    up = Upstream(lambda: text_stream("x"))
    async with serving(up.app()) as url:
        with pytest.raises(BedplateError, match="BP475"):
            await router(spec(url)).chat(ASK | REFUSED[case], deadline=soon())
    assert up.requests == []


async def test_a_secret_that_is_not_set_is_said_by_its_name() -> None:
    """BP472 names the secret and the variable to set."""
    with pytest.raises(BedplateError, match=r"BP472.*other-key") as caught:
        await router(spec("http://127.0.0.1:9", secret="other-key")).chat(ASK, deadline=soon())
    assert "OTHER_KEY" in caught.value.problems[0].fix


async def test_the_local_model_without_its_process_is_said_to_be_missing() -> None:
    """A `local:` model without address is BP473 with the commands to install it."""
    with pytest.raises(BedplateError, match="BP473") as caught:
        await router(ModelSpec("local:smollm2-135m")).chat(ASK, deadline=soon())
    assert "--no-deps" in caught.value.problems[0].fix
