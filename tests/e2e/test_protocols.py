"""What callers may speak with a running stage: plain HTTP, OpenAI's client, the official MCP client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli_support import ok
from stage_support import Stage, wait_for

QUESTION = "How long do I have to return an order?"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The scaffolded support agent with every protocol, up."""
    folder = tmp_path_factory.mktemp("agent")
    ok(folder, "init", ".", "--template", "support", "--intent", "product", "--name", "support")
    manifest = folder / "agent.yaml"
    manifest.write_text(manifest.read_text() + "expose: {protocols: [chat, mcp]}\n")
    ok(folder, "up")
    found = Stage(folder)
    yield found
    found.destroy()


@pytest.fixture(scope="module")
def url(agent: Stage) -> str:
    return agent.url


@pytest.fixture
def http(agent: Stage, url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, headers=agent.headers, trust_env=False, timeout=60) as client:
        yield client


def key(agent: Stage) -> str:
    return agent.headers["Authorization"].removeprefix("Bearer ")


def test_openai_client(agent: Stage, url: str) -> None:
    """OpenAI's client gets a completion with usage, and the model's name is the agent's."""
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=key(agent), max_retries=0) as client:
        reply = client.chat.completions.create(
            model="whatever", messages=[{"role": "user", "content": QUESTION}], user="ada"
        )
    assert "60 days" in str(reply.choices[0].message.content)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "support"
    assert reply.usage is not None
    assert reply.usage.total_tokens > 0


def test_openai_client_streams(agent: Stage, url: str) -> None:
    """The streamed answer is the whole answer, and usage comes at the end."""
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=key(agent), max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="support",
                messages=[{"role": "user", "content": QUESTION}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "60 days" in text
    assert chunks[-1].usage is not None


def test_openai_clients_user_is_the_end_user(agent: Stage, url: str) -> None:
    """What one `user` says of themselves is recalled for that one and for no other."""
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key=key(agent), max_retries=0) as client:

        def say(user: str, text: str) -> str:
            message: Any = [{"role": "user", "content": text}]
            reply = client.chat.completions.create(model="support", messages=message, user=user)
            return str(reply.choices[0].message.content)

        say("lin", "My name is Lin.")
        assert "Lin" in say("lin", "What is my name?")
        assert "Lin" not in say("mo", "What is my name?")


def test_openai_client_sees_errors_as_errors(agent: Stage, url: str) -> None:
    """A wrong key and a request that the manifest decides raise the client's own exceptions, with our code."""
    from openai import AuthenticationError, BadRequestError, OpenAI

    messages: Any = [{"role": "user", "content": QUESTION}]
    with OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(AuthenticationError) as denied:
            client.chat.completions.create(model="support", messages=messages)
        assert denied.value.code == "BP401"
        with pytest.raises(BadRequestError) as refused:
            client.with_options(api_key=key(agent)).chat.completions.create(model="support", messages=messages, n=2)
        assert refused.value.code == "BP400"


async def test_mcp_client(agent: Stage, url: str) -> None:
    """The official MCP client finds the one tool, gets the answer, and goes on with its session."""
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers=agent.headers, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == ["ask"]
        first = await client.call_tool("ask", {"input": QUESTION, "userId": "ada"})
        said: Any = first.structured_content
        assert "60 days" in said["output"]
        again = await client.call_tool(
            "ask", {"input": "And for gifts?", "userId": "ada", "sessionId": said["sessionId"]}
        )
        assert again.structured_content is not None
        assert again.structured_content["sessionId"] == said["sessionId"]
        bad = await client.call_tool("ask", {"input": " "})
        assert bad.is_error


def test_invocations(http: httpx2.Client) -> None:
    """`POST /invocations` answers with every promised field, for `input` and for AgentCore's `prompt`."""
    for field in ("input", "prompt"):
        body = http.post("/invocations", json={field: QUESTION, "userId": "ada"}).json()
        assert body["status"] == "completed"
        assert "60 days" in body["output"]
        assert body["sources"]
        assert all(body[name] for name in ("sessionId", "turnId", "traceId", "usage"))


def test_invocations_stream(http: httpx2.Client) -> None:
    """As server-sent events the pieces make up the answer of the last event."""
    with http.stream(
        "POST", "/invocations", json={"input": QUESTION}, headers={"Accept": "text/event-stream"}
    ) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = _events(list(reply.iter_lines()))
    assert {name for name, _ in events} == {"text", "result"}
    assert events[-1][0] == "result"
    assert "".join(data["delta"] for name, data in events if name == "text") == events[-1][1]["output"]


def _events(lines: list[str]) -> list[tuple[str, Any]]:
    found, name = [], ""
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            found.append((name, json.loads(line[5:])))
    return found


def test_session_header_of_agentcore(http: httpx2.Client) -> None:
    """AgentCore's session header names the session, as `sessionId` does."""
    session = "a" * 33
    for _ in range(2):
        body = http.post("/invocations", json={"prompt": QUESTION}, headers={SESSION_HEADER: session}).json()
        assert body["sessionId"] == session


def test_ping_needs_no_key(url: str) -> None:
    """`GET /ping` answers anyone in AgentCore's shape."""
    body = httpx2.get(f"{url}/ping", trust_env=False).json()
    assert body["status"] == "Healthy"
    assert isinstance(body["time_of_last_update"], int)


@pytest.mark.parametrize("path", ["/invocations", "/v1/chat/completions", "/mcp", "/nothing-here"])
def test_without_the_key_nothing_answers(url: str, path: str) -> None:
    """Without the key, or with a wrong one, every path refuses in the shape of every error."""
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        reply = httpx2.post(f"{url}{path}", json={"input": "x"}, headers=headers, trust_env=False)
        assert reply.status_code in (401, 404)
        error = reply.json()["error"]
        assert error["code"] in ("BP401", "BP408")
        assert error["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "BP400"),
        (b"[]", 400, "BP400"),
        (b"\xff\xfe", 400, "BP400"),
        (b"", 400, "BP400"),
        (b'{"input": 7}', 400, "BP403"),
        (b'{"input": ""}', 400, "BP403"),
        (b'{"input": "x", "colour": 1}', 400, "BP400"),
        (b'{"input": "x", "sessionId": "../../etc"}', 400, "BP404"),
        (b'{"input": "x", "userId": ""}', 400, "BP404"),
        (b'{"input": "' + b"x" * 2_000_000 + b'"}', 413, "BP402"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_malformed_requests(http: httpx2.Client, body: bytes, status: int, code: str) -> None:
    """A request that cannot be used is refused with status and code, and the next one is answered."""
    reply = http.post("/invocations", content=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert http.get("/ping").status_code == 200


def test_one_key_is_one_turn(http: httpx2.Client, agent: Stage) -> None:
    """Ten requests at once with one idempotency key get one answer of one turn; another question is refused."""
    body, headers = {"input": QUESTION, "userId": "kim"}, {"Idempotency-Key": "kim-1"}
    replies: list[Any] = []
    threads = [
        threading.Thread(target=lambda: replies.append(http.post("/invocations", json=body, headers=headers).json()))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.dumps(reply, sort_keys=True) for reply in replies}) == 1
    session, trace = replies[0]["sessionId"], replies[0]["traceId"]
    wait_for(lambda: _traces_of(agent, session) == [trace], "there is not one trace of one turn")
    refused = http.post("/invocations", json={**body, "input": "Something else?"}, headers=headers)
    assert refused.json()["error"]["code"] == "BP405"


def _traces_of(agent: Stage, session: str) -> list[str]:
    listed = ok(agent.folder, "traces", "list", "--json").json["traces"]
    return [trace["traceId"] for trace in listed if trace["session"] == session]


def test_a_caller_that_hangs_up_leaves_the_stage_well(http: httpx2.Client, agent: Stage, url: str) -> None:
    """Twenty callers that hang up in mid-answer do not disturb the next one."""

    async def hang_up() -> None:
        async with httpx2.AsyncClient(base_url=url, headers=agent.headers, trust_env=False) as client:
            asked = [asyncio.create_task(client.post("/invocations", json={"input": QUESTION})) for _ in range(20)]
            await asyncio.sleep(0.05)
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(hang_up())
    assert "60 days" in http.post("/invocations", json={"input": QUESTION}).json()["output"]


def test_documented_curl(agent: Stage, url: str) -> None:
    """The request that docs/http.md shows works as it stands there."""
    import re
    import subprocess

    page = (Path(__file__).resolve().parents[2] / "docs/http.md").read_text()
    found = re.search(r"```bash\n(curl .*?)```", page, re.DOTALL)
    assert found
    done = subprocess.run(
        ["bash", "-c", found.group(1)], env={"URL": url, "KEY": key(agent), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["status"] == "completed"
