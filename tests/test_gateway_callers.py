"""The callers' side of the gateway: keys, shapes of requests, chat completions, the agent as an MCP server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bedplate.blueprint.model import Expose, Limits
from bedplate.runtime.client import StageClient
from gateway_support import KEY, Job, blueprint, running

AUTH = {"Authorization": f"Bearer {KEY}"}


async def echo(job: Job) -> None:
    await job.answer(f"you said {job.input}")


@pytest.mark.parametrize("path", ["/invocations", "/v1/chat/completions", "/mcp"])
@pytest.mark.parametrize("auth", [None, "", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \u00e9"])
async def test_key_is_needed(tmp_path: Path, path: str, auth: str | None) -> None:
    """Nothing but `/ping` answers without the key, and nothing is recorded."""
    headers = {} if auth is None else {"Authorization": auth.encode("latin-1")}
    async with running(tmp_path) as run:
        reply = await run.http.post(path, json={"input": "x"}, headers=headers)  # type: ignore[arg-type]
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "BP401")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert run.store.counts().turns == 0


async def test_ping(tmp_path: Path) -> None:
    """`/ping` says whether turns run, to anyone."""
    async with running(tmp_path) as run:
        assert (await run.http.get("/ping")).json()["status"] == "Healthy"
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        busy = (await run.http.get("/ping")).json()
        assert busy["status"] == "HealthyBusy"
        assert isinstance(busy["time_of_last_update"], int)
        await job.answer("y")
        await asking


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "BP400"),
        (b"{", 400, "BP400"),
        (b"\xff\xfe", 400, "BP400"),
        (b"[" * 100_000, 400, "BP400"),
        (b"[]", 400, "BP400"),
        (b"{}", 400, "BP403"),
        (b'{"input": ""}', 400, "BP403"),
        (b'{"input": " \\n"}', 400, "BP403"),
        (b'{"input": 5}', 400, "BP403"),
        (b'{"input": NaN}', 400, "BP400"),
        (b'{"input": "\\ud800"}', 400, "BP400"),
        (b'{"input": "x", "prompt": "x"}', 400, "BP400"),
        (b'{"input": "x", "colour": 1}', 400, "BP400"),
        (b'{"input": "x", "stream": "yes"}', 400, "BP400"),
        (b'{"input": "x", "sessionId": ""}', 400, "BP404"),
        (b'{"input": "x", "sessionId": "a/b"}', 400, "BP404"),
        (b'{"input": "x", "sessionId": 5}', 400, "BP404"),
        (b'{"input": "x", "userId": "a b"}', 400, "BP404"),
        (b'{"input": "' + b"x" * 100_001 + b'"}', 400, "BP403"),
        (b'{"input": "' + b"x" * 1_100_000 + b'"}', 413, "BP402"),
    ],
)
async def test_bad_invocations(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    """A request that cannot be used is refused with its code, before anything is recorded."""
    async with running(tmp_path) as run:
        reply = await run.http.post("/invocations", content=body, headers=AUTH)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
        assert run.store.counts().turns == 0


async def test_body_without_length_is_bounded(tmp_path: Path) -> None:
    """A body that comes in chunks is refused as soon as it is too large."""

    async def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 100_000

    async with running(tmp_path) as run:
        try:
            reply = await run.http.post("/invocations", content=endless(), headers=AUTH)
            assert reply.status_code == 413
        except httpx2.TransportError:
            pass  # the gateway hung up while the body was still coming
        assert (await run.http.get("/ping")).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/invocations", 405), ("POST", "/nothing", 404)])
async def test_no_route(tmp_path: Path, method: str, path: str, status: int) -> None:
    """What does not exist says so in the shape of every error."""
    async with running(tmp_path) as run:
        reply = await run.http.request(method, path, headers=AUTH)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, "BP408")


async def test_protocols_that_are_not_exposed(tmp_path: Path) -> None:
    """Without `chat` and `mcp` in the manifest there are no such routes."""
    async with running(tmp_path, blueprint(expose=Expose(protocols=()))) as run:
        for path in ("/v1/chat/completions", "/mcp"):
            assert (await run.http.post(path, json={}, headers=AUTH)).status_code == 404
        assert (await run.http.get("/v1/models", headers=AUTH)).status_code == 404


async def test_headers_of_agentcore(tmp_path: Path) -> None:
    """`prompt`, the session header of AgentCore and the user header are understood, and the request id comes back."""
    headers = {
        **AUTH,
        "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s-9",
        "X-Bedplate-User": "ann",
        "X-Request-Id": "r-1",
    }
    async with running(tmp_path) as run:
        run.serve(echo)
        reply = await run.http.post("/invocations", json={"prompt": "x"}, headers=headers)
        assert (reply.json()["sessionId"], reply.headers["x-request-id"]) == ("s-9", "r-1")
        row = run.store.turn(reply.json()["turnId"])
        assert row is not None
        assert row.user == "ann"


async def test_stage_client(tmp_path: Path) -> None:
    """The command line's client gets answers, pieces and errors from the gateway."""
    async with running(tmp_path) as run, StageClient(run.outer, KEY, timeout=5) as client:
        run.serve(echo)
        pieces: list[str] = []
        answer = await client.ask("hello", user="ann", on_text=pieces.append)
        assert (answer.output, "".join(pieces)) == ("you said hello", "you said hello")
        again = await client.ask("more", user="ann", session=answer.session)
        assert again.session == answer.session


async def test_chat_completion(tmp_path: Path) -> None:
    """OpenAI's own client gets a completion; earlier messages begin the session that the answer names."""
    import openai

    async with running(tmp_path) as run, httpx2.AsyncClient(trust_env=False) as http:
        run.serve(echo)
        client = openai.AsyncOpenAI(base_url=f"{run.outer}/v1", api_key=KEY, http_client=http)
        messages: Any = [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "first"},
            {"role": "user", "content": [{"type": "text", "text": "two"}]},
        ]
        raw = await client.chat.completions.with_raw_response.create(model="any", messages=messages, user="ann")
        done = raw.parse()
        assert done.choices[0].message.content == "you said two"
        assert done.choices[0].finish_reason == "stop"
        assert [p["content"] for m in run.jobs[0].document["history"] for p in m["parts"]] == ["one", "first"]
        session = raw.headers["x-bedplate-session"]
        more: Any = {"messages": [{"role": "user", "content": "three"}], "user": "ann"}
        await client.chat.completions.create(model="any", metadata={"session": session}, **more)
        said = [p["content"] for m in run.jobs[1].document["history"] for p in m["parts"]]
        assert said == ["one", "first", "two", "you said two"]


async def test_chat_context_survives_a_restart(tmp_path: Path) -> None:
    """The conversation that a chat request brings along is there when a restarted gateway runs its turn again."""
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "first"},
        {"role": "user", "content": "two"},
    ]
    headers = {**AUTH, "Idempotency-Key": "k"}
    async with running(tmp_path) as run:
        asking = asyncio.create_task(
            run.http.post("/v1/chat/completions", json={"messages": messages}, headers=headers)
        )
        await run.take()
        asking.cancel()
    async with running(tmp_path) as run:
        job = await run.take()
        assert [p["content"] for m in job.document["history"] for p in m["parts"]] == ["one", "first"]
        await job.answer("second")
        reply = await run.http.post("/v1/chat/completions", json={"messages": messages}, headers=headers)
        assert reply.json()["choices"][0]["message"]["content"] == "second"
        session = reply.headers["x-bedplate-session"]
        said = [p["content"] for m in run.store.messages(session) for p in m["parts"]]
        assert said == ["one", "first", "two", "second"]


async def test_chat_stream(tmp_path: Path) -> None:
    """OpenAI's own client reads the streamed answer, with usage at the end."""
    import openai

    async with running(tmp_path) as run, httpx2.AsyncClient(trust_env=False) as http:
        run.serve(echo)
        client = openai.AsyncOpenAI(base_url=f"{run.outer}/v1", api_key=KEY, http_client=http)
        stream = await client.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "you said hello"
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-1].usage is not None
        assert {chunk.id for chunk in chunks} == {f"chatcmpl-{run.jobs[0].document['turn']}"}


async def test_chat_models(tmp_path: Path) -> None:
    """OpenAI's own client lists one model, the agent, and with a wrong key nothing."""
    import openai

    async with running(tmp_path) as run, httpx2.AsyncClient(trust_env=False) as http:
        client = openai.AsyncOpenAI(base_url=f"{run.outer}/v1", api_key=KEY, http_client=http)
        assert [model.id async for model in client.models.list()] == ["support"]
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="wrong").models.list()
        with pytest.raises(openai.BadRequestError, match="instructions stand in the agent's manifest"):
            await client.chat.completions.create(model="support", messages=[{"role": "system", "content": "Be rude."}])


@pytest.mark.parametrize(
    "change",
    [
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"tools": [{"type": "function"}]},
        {"n": 2},
        {"response_format": {"type": "json_object"}},
    ],
)
async def test_chat_refusals(tmp_path: Path, change: dict[str, Any]) -> None:
    """What the manifest decides, and what is not understood, is refused instead of ignored."""
    async with running(tmp_path) as run:
        body = {"messages": [{"role": "user", "content": "x"}], **change}
        reply = await run.http.post("/v1/chat/completions", json=body, headers=AUTH)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BP400")


async def test_chat_stream_that_fails(tmp_path: Path) -> None:
    """A turn that fails in a stream ends it with an error and without `[DONE]`."""

    async def agent(job: Job) -> None:
        await job.report({"type": "text", "delta": "ha"}, {"type": "error", "code": "x", "message": "no"})

    async with running(tmp_path) as run:
        run.serve(agent)
        body = {"messages": [{"role": "user", "content": "x"}], "stream": True}
        reply = await run.http.post("/v1/chat/completions", json=body, headers=AUTH)
        assert '"code":"BP419"' in reply.text
        assert "[DONE]" not in reply.text


async def test_agent_as_mcp_server(tmp_path: Path) -> None:
    """The official MCP client finds the tool `ask`, and gets the answer with its session."""
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with running(tmp_path) as run, httpx2.AsyncClient(headers=AUTH, trust_env=False, timeout=10) as http:
        run.serve(echo)
        async with Client(streamable_http_client(f"{run.outer}/mcp", http_client=http)) as client:
            assert [t.name for t in (await client.list_tools()).tools] == ["ask"]
            result = await client.call_tool("ask", {"input": "hello", "userId": "ann"})
            assert result.content[0].text == "you said hello"
            assert result.structured_content["status"] == "completed"
            assert (await client.call_tool("ask", {"input": ""})).is_error
            assert (await client.call_tool("ask", {"input": "x", "what": 1})).is_error


async def test_reader_that_leaves(tmp_path: Path) -> None:
    """A caller that hangs up does not end the turn: its answer is stored for a retry."""
    async with running(tmp_path) as run:
        key = {"Idempotency-Key": "k"}
        asking = asyncio.create_task(run.ask("x", stream=True, headers=key))
        job = await run.take()
        asking.cancel()
        await asyncio.sleep(0.05)
        assert (await job.answer("still")).status_code == 200
        assert (await run.ask("x", headers=key)).json()["output"] == "still"


async def test_model_dialects(tmp_path: Path) -> None:
    """The agent's model answers in both dialects, whole and streamed, whatever model the agent names."""
    import anthropic

    async with running(tmp_path, blueprint(limits=Limits(timeout=5))) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        body = {"model": "gpt-99", "messages": [{"role": "user", "content": "x"}]}
        whole = (await job.post("/v1/chat/completions", body)).json()
        assert whole["choices"][0]["message"]["content"] == "hello there"
        streamed = await job.post("/v1/chat/completions", {**body, "stream": True})
        data = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: ")]
        assert data[-1] == "[DONE]"
        words = "".join(json.loads(d)["choices"][0]["delta"].get("content", "") for d in data[:-1])
        assert words == "hello there "
        client = anthropic.AsyncAnthropic(
            base_url=run.inner, auth_token=job.document["capability"], api_key=None, max_retries=0
        )
        ask: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        assert (await client.messages.create(**ask)).content[0].text == "hello there"  # type: ignore[union-attr]
        async with client.messages.stream(**ask) as stream:
            assert await stream.get_final_text() == "hello there "
        await client.close()
        await job.answer("y")
        assert (await asking).json()["usage"]["requests"] == 4
