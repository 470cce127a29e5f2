"""Turns through a real gateway on loopback: answered, bounded, bound to their capability."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bedplate.blueprint.model import Limits, Memory
from bedplate.runtime.gateway.remembering import MAX_HISTORY, recent, spoken
from bedplate.runtime.gateway.serving import Server
from bedplate.traces.emit import GatewayTracer, TraceResource
from gateway_support import Job, blueprint, listener, running


async def echo(job: Job) -> None:
    await job.answer(f"you said {job.input}")


def error_of(reply: Any) -> str:
    return str(reply.json()["error"]["code"])


async def test_answer(tmp_path: Path) -> None:
    """A question comes back with its answer, session, turn, trace, usage and the sources that it names."""

    async def agent(job: Job) -> None:
        await job.tool("desk___look", path="docs/a.md")
        await job.tool("desk___look", path="docs/b.md")
        await job.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
        await job.answer("see docs/a.md#part")

    async with running(tmp_path) as run:
        run.serve(agent)
        reply = await run.ask("where?", userId="ann", sessionId="s-1")
        body = reply.json()
        assert reply.status_code == 200
        assert reply.headers["x-request-id"]
        assert (body["output"], body["sessionId"], body["status"]) == ("see docs/a.md#part", "s-1", "completed")
        assert len(body["traceId"]) == 32
        assert body["usage"] == {"requests": 1, "toolCalls": 2, "inputTokens": 10, "outputTokens": 5, "cost": 0.01}
        assert body["sources"] == ["docs/a.md#part"]
        row = run.store.turn(body["turnId"])
        assert row is not None
        assert (row.status, row.output, row.user, row.build) == ("completed", "see docs/a.md#part", "ann", "sha256:b")


async def test_session_goes_on(tmp_path: Path) -> None:
    """The next turn of a session gets the conversation so far; another user cannot enter it."""
    async with running(tmp_path) as run:
        run.serve(echo)
        first = (await run.ask("one", userId="ann")).json()
        await run.ask("two", userId="ann", sessionId=first["sessionId"])
        history = run.jobs[1].document["history"]
        assert [p["content"] for m in history for p in m["parts"]] == ["one", "you said one"]
        foreign = await run.ask("three", userId="bob", sessionId=first["sessionId"])
        assert (foreign.status_code, error_of(foreign)) == (403, "BP461")


async def test_facts_are_learned_and_recalled(tmp_path: Path) -> None:
    """What a user says of themselves is recalled in a new session of theirs, and in no one else's."""
    async with running(tmp_path) as run:
        run.serve(echo)
        await run.ask("My name is Ann.", userId="ann")
        await run.ask("What is my name?", userId="ann")
        await run.ask("What is my name?", userId="bob")
        assert [j.document["recalled"] for j in run.jobs] == [[], ["My name is Ann."], []]


async def test_without_memory_nothing_is_kept(tmp_path: Path) -> None:
    """Where the manifest declares no memory, a session has no history and there is no memory tool."""
    async with running(tmp_path, blueprint(memory=Memory())) as run:
        run.serve(echo)
        first = (await run.ask("My name is Ann.")).json()
        await run.ask("again", sessionId=first["sessionId"])
        assert run.jobs[1].document["history"] == []
        assert run.jobs[1].document["recalled"] == []
        assert run.store.counts().messages == 0


async def test_two_users_at_once(tmp_path: Path) -> None:
    """Two turns run at the same time, each tool call under its own user."""
    both = asyncio.Barrier(2)

    async def agent(job: Job) -> None:
        await both.wait()
        await job.tool("desk___send", text=job.input)
        await job.answer(job.input)

    async with running(tmp_path) as run:
        run.serve(agent)
        replies = await asyncio.gather(run.ask("a", userId="ann"), run.ask("b", userId="bob"))
        assert [r.json()["output"] for r in replies] == ["a", "b"]
        assert sorted(run.desk.sent) == ["ann:a", "bob:b"]


async def test_one_session_one_turn(tmp_path: Path) -> None:
    """Turns of one session run one after the other, in order."""
    running_now, most = 0, 0

    async def agent(job: Job) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.05)
        running_now -= 1
        await job.answer(job.input)

    async with running(tmp_path) as run:
        run.serve(agent)
        replies = await asyncio.gather(*(run.ask(str(n), sessionId="s") for n in range(3)))
        assert most == 1
        assert sorted(r.json()["output"] for r in replies) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("limits", "code", "calls"),
    [
        (Limits(requests=1, timeout=5), "BP410", ["model", "model"]),
        (Limits(tool_calls=1, timeout=5), "BP411", ["tool", "tool"]),
        (Limits(tokens=14, timeout=5), "BP412", ["model"]),
        (Limits(tokens=15, timeout=5), "BP412", ["model", "model"]),
        (Limits(cost=0.005, timeout=5), "BP413", ["model"]),
    ],
)
async def test_limits(tmp_path: Path, limits: Limits, code: str, calls: list[str]) -> None:
    """A turn that goes past a limit fails with the limit's code, and its agent is told so."""
    told: list[Any] = []

    async def agent(job: Job) -> None:
        for call in calls:
            if call == "tool":
                told.append((await job.tool("desk___look", path="docs/a"))["isError"])
            else:
                told.append((await job.post("/v1/chat/completions", {"messages": []})).status_code)
        told.append((await job.answer("late")).status_code)

    async with running(tmp_path, blueprint(limits=limits)) as run:
        run.serve(agent)
        reply = await run.ask("x")
        assert (reply.status_code, error_of(reply)) == (429, code)
        async with asyncio.timeout(5):
            while len(told) <= len(calls):
                await asyncio.sleep(0.01)
        assert told[-2:] == [True if calls[-1] == "tool" else 429, 401]


async def test_timeout_with_hanging_agent(tmp_path: Path) -> None:
    """A turn whose agent hangs fails in time, and its capability is void."""

    async def agent(job: Job) -> None:
        await job.report({"type": "text", "delta": "so"}, b"")
        await asyncio.sleep(60)

    async def hang(job: Job) -> None:
        async def body() -> Any:
            yield b'{"type":"text","delta":"so"}\n'
            await asyncio.sleep(60)

        await job.http.post(f"/agent/turns/{job.document['turn']}", content=body(), headers=job.auth)

    async with running(tmp_path, blueprint(limits=Limits(timeout=0.5))) as run:
        run.serve(hang)
        began = time.monotonic()
        reply = await run.ask("x")
        assert (reply.status_code, error_of(reply)) == (504, "BP414")
        assert time.monotonic() - began < 3
        assert (await run.jobs[0].post("/v1/chat/completions", {})).status_code == 401


async def test_no_agent(tmp_path: Path) -> None:
    """A question that no agent takes fails after the turn's time, and says so."""
    async with running(tmp_path, blueprint(limits=Limits(timeout=0.3))) as run:
        reply = await run.ask("x")
        assert (reply.status_code, error_of(reply)) == (503, "BP417")


async def test_capability_is_one_turns(tmp_path: Path) -> None:
    """A capability reports on no other turn, is void when its turn ended, and nothing works without one."""
    async with running(tmp_path) as run:
        asking = [asyncio.create_task(run.ask(t, userId=t)) for t in ("ann", "bob")]
        one, two = await run.take(), await run.take()
        stolen = Job(run.agent, {**two.document, "capability": one.document["capability"]})
        foreign = await stolen.answer("mine now")
        assert (foreign.status_code, error_of(foreign)) == (403, "BP431")
        await two.answer("mine")
        await one.answer("done")
        assert {(await a).json()["output"] for a in asking} == {"mine", "done"}
        for path in ("/mcp", "/v1/chat/completions", "/v1/messages", "/v1/traces", "/v1/logs"):
            for auth in (one.auth, {}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
                reply = await run.agent.post(path, json={}, headers=auth)
                assert (reply.status_code, error_of(reply)) == (401, "BP430")


@pytest.mark.parametrize(
    "event",
    [
        b"no json\n",
        b'{"type":"other"}\n',
        b'{"type":"text","delta":5}\n',
        b'{"type":"result","output":"x"}\n',
        b"[1]\n",
    ],
)
async def test_malformed_report(tmp_path: Path, event: bytes) -> None:
    """A report that is none of the known events fails the turn, and the agent is told."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        assert error_of(await job.report(event)) == "BP420"
        assert error_of(await asking) == "BP420"


async def test_oversized_report(tmp_path: Path) -> None:
    """A report line over its bound fails the turn instead of filling memory."""
    async with running(tmp_path) as run:
        asking = asyncio.create_task(run.ask("x"))
        job = await run.take()
        await job.report(*[b"x" * 1_000_000] * 5)
        assert error_of(await asking) == "BP420"


async def test_stream(tmp_path: Path) -> None:
    """A streamed answer comes in pieces and ends with the result."""
    async with running(tmp_path) as run:
        run.serve(echo)
        reply = await run.ask("x", headers={"Accept": "text/event-stream"})
        events = [line for line in reply.text.splitlines() if line]
        assert events[0::2] == ["event: text", "event: text", "event: result"]
        pieces = [json.loads(line[6:]) for line in events[1::2]]
        assert "".join(p["delta"] for p in pieces[:2]) == pieces[2]["output"] == "you said x"


def test_history_begins_with_the_user() -> None:
    """A conversation that is too long loses its beginning, and starts with something the user said."""
    old = [spoken("user", "x" * 200_000), spoken("assistant", "y" * 100_000)]
    new = [spoken("user", "one"), spoken("assistant", "two")]
    assert recent([*old, *new], MAX_HISTORY) == new
    assert recent(new, MAX_HISTORY) == new
    assert recent(old, 150_000) == []


async def test_one_turn_is_one_trace(tmp_path: Path) -> None:
    """A turn's spans are one trace: root, model, tools, memory; what the agent claims cannot leave it."""
    collected: list[Any] = []

    async def collect(request: Request) -> Response:
        if request.url.path == "/v1/traces":
            collected.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response()

    sink = Server(Starlette(routes=[Route("/{path:path}", collect, methods=["POST"])]), face := listener())
    await sink.begin()
    tracer = GatewayTracer(
        TraceResource("support", "prototype", "b", "h"), f"http://127.0.0.1:{face.getsockname()[1]}", "t"
    )

    async def agent(job: Job) -> None:
        forged = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        await job.post("/v1/chat/completions", {"messages": []}, headers=forged)
        await job.tool("desk___look", path="docs/a")
        await job.tool("desk___look", path="secret")
        await job.answer("My answer")

    async with running(tmp_path, tracer=tracer) as run:
        run.serve(agent)
        body = (await run.ask("My name is Ann.")).json()
        assert await asyncio.to_thread(tracer.flush)
    await sink.end()
    spans = [s for e in collected for r in e.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert {s.trace_id.hex() for s in spans} == {body["traceId"]}
    assert [s.name for s in spans] == [
        "search_memory", "chat bedplate:extractive", "execute_tool desk.look", "execute_tool desk.look",
        "update_memory", "invoke_agent support",
    ]  # fmt: skip
    decisions = [a.value.string_value for s in spans for a in s.attributes if a.key == "bedplate.decision"]
    assert decisions == ["allow", "deny"]
    root = spans[-1]
    assert all(s.parent_span_id == root.span_id for s in spans[:-1])
