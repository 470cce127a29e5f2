"""The agent as a process against a small gateway with the real router: turns, tools, errors, and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from agent_support import PASSAGE, SEARCH, TRACEPARENT, FakeGateway, agent, found, running
from bedplate.blueprint.model import ModelSpec
from models_support import Upstream, delta, router, serving, spec, sse, text_stream

TOOLS = frozenset({"docs___search"})


def extractive() -> FakeGateway:
    """A gateway with `bedplate:extractive`."""
    return FakeGateway(router(ModelSpec("bedplate:extractive"), TOOLS))


async def test_a_question_is_searched_and_answered_with_its_source(tmp_path: Path) -> None:
    """A whole turn with the built-in model: search, quote, source, messages of the turn."""
    gateway = extractive()
    async with running(gateway, tmp_path):
        events = await gateway.ask("How long may a turn take?")
    *text, result = events
    assert result["type"] == "result"
    assert "".join(e["delta"] for e in text) == result["output"]
    assert "> A turn may take 90 seconds." in result["output"]
    assert "Source: guide.md#limits (Limits)" in result["output"]
    assert gateway.calls[0]["arguments"] == {"query": "How long may a turn take?"}
    assert [m["kind"] for m in result["messages"]] == ["request", "response", "request", "response"]


async def test_every_call_carries_the_capability_and_the_span(tmp_path: Path) -> None:
    """All calls of a turn bear its capability, and tool and model calls a traceparent below the turn's."""
    gateway = extractive()
    async with running(gateway, tmp_path):
        await gateway.ask("How long may a turn take?")
    turn = next(iter(gateway.turns))
    [span] = gateway.spans
    assert {h["authorization"] for _, h in gateway.headers} == {f"Bearer cap-{turn}"}
    assert {h["traceparent"] for _, h in gateway.headers} == {f"00-{span['traceId']}-{span['spanId']}-01"}
    _, trace, parent, _ = TRACEPARENT.split("-")
    assert (span["traceId"], span["parentSpanId"], span["name"]) == (trace, parent, "invoke_agent helper")
    assert int(span["endTimeUnixNano"]) > int(span["startTimeUnixNano"])


async def test_history_and_what_is_remembered_reach_the_model(tmp_path: Path) -> None:
    """Earlier messages and the marked block of facts stand in the request to the provider."""
    up = Upstream(lambda: text_stream("one"), lambda: text_stream("two"))
    async with serving(up.app()) as url:
        gateway = FakeGateway(router(spec(url)))
        async with running(gateway, tmp_path, instructions="Be kind."):
            first = await gateway.ask("first?")
            second = await gateway.ask("second?", history=first[-1]["messages"], recalled=["I live\n in Bern."])
    assert second[-1]["output"] == "two"
    system, *rest = up.requests[1]["messages"]
    assert system["content"].startswith("Be kind.\n\nFacts remembered about this user.")
    assert "<facts-remembered-about-this-user>\n- I live in Bern.\n</facts-" in system["content"]
    assert [(m["role"], m["content"]) for m in rest] == [
        ("user", "first?"), ("assistant", "one"), ("user", "second?"),
    ]  # fmt: skip


async def test_text_is_handed_on_while_it_arrives(tmp_path: Path) -> None:
    """The first piece of text reaches the gateway long before the model is done."""

    def slow() -> Response:
        async def body() -> Any:
            yield f"data: {json.dumps(delta(content='Hel'))}\n\n"
            await asyncio.sleep(0.8)
            yield f"data: {json.dumps(delta(content='lo'))}\n\n"
            yield f"data: {json.dumps(delta('stop'))}\n\n"

        return StreamingResponse(body(), media_type="text/event-stream")

    async with serving(Upstream(slow).app()) as url:
        gateway = FakeGateway(router(spec(url)))
        async with running(gateway, tmp_path):
            events = await gateway.ask("hi")
    times = gateway.arrived[next(iter(gateway.turns))]
    assert [e.get("delta") for e in events] == ["Hel", "lo", None]
    assert times[1] - times[0] > 0.5


def calls(*names: str) -> Callable[[], Response]:
    """An answer that calls these tools."""
    parts = [
        {"index": i, "id": f"c{i}", "function": {"name": name, "arguments": '{"query": "q"}'}}
        for i, name in enumerate(names)
    ]
    return lambda: sse(delta(tool_calls=parts), delta("tool_calls"))


async def test_errors_of_tools_are_told_to_the_model(tmp_path: Path) -> None:
    """A denied call and a failing tool come back to the model as errors, and the turn goes on."""
    up = Upstream(calls("docs___search"), calls("docs___search"), lambda: text_stream("sorry"))
    answers = iter(
        [
            {"jsonrpc_error": {"code": -32003, "message": "denied: no grant"}},
            {"isError": True, "content": [{"type": "text", "text": "it broke"}]},
        ]
    )
    async with serving(up.app()) as url:
        gateway = FakeGateway(router(spec(url)), call=lambda _: next(answers))
        async with running(gateway, tmp_path):
            events = await gateway.ask("hi")
    assert events[-1]["output"] == "sorry"
    told = [m["content"] for m in up.requests[2]["messages"] if m["role"] == "tool"]
    assert told == ['{"error": "denied: no grant"}', '{"error": "it broke"}']


async def test_the_model_reads_the_text_of_a_tool_and_the_passages_of_a_search(tmp_path: Path) -> None:
    """Structured data replaces the text only where it holds passages; else the text says more."""
    up = Upstream(calls("docs___search"), calls("docs___search"), lambda: text_stream("ok"))
    text = [{"type": "text", "text": "the document"}]
    answers = iter([found(PASSAGE), {"content": text, "structuredContent": {"path": "guide.md"}}])
    async with serving(up.app()) as url:
        gateway = FakeGateway(router(spec(url)), call=lambda _: next(answers))
        async with running(gateway, tmp_path):
            events = await gateway.ask("hi")
    told = [m["content"] for m in up.requests[2]["messages"] if m["role"] == "tool"]
    assert json.loads(told[0])["passages"][0]["confidence"] == 0.9
    assert told[1] == "the document"
    assert [m.get("usage", {}).get("input_tokens") for m in events[-1]["messages"] if m["kind"] == "response"][-1] == 7


async def test_parallel_calls_run_side_by_side(tmp_path: Path) -> None:
    """Two calls of one answer take the time of one."""
    other = SEARCH | {"name": "faq___search"}
    up = Upstream(calls("docs___search", "faq___search"), lambda: text_stream("done"))
    async with serving(up.app()) as url:
        gateway = FakeGateway(router(spec(url)), tools=[SEARCH, other], slow=0.7)
        async with running(gateway, tmp_path):
            began = time.monotonic()
            events = await gateway.ask("hi")
            assert time.monotonic() - began < 1.4
    assert events[-1]["output"] == "done"
    assert [c["name"] for c in gateway.calls] == ["docs___search", "faq___search"]


async def test_a_models_failure_ends_the_turn_with_its_code(tmp_path: Path) -> None:
    """The gateway's code and message arrive in the error event, and the agent serves the next turn."""
    up = Upstream(lambda: JSONResponse({"error": {"message": "nope"}}, 401), lambda: text_stream("fine"))
    async with serving(up.app()) as url:
        gateway = FakeGateway(router(spec(url)))
        async with running(gateway, tmp_path):
            failed = await gateway.ask("hi")
            good = await gateway.ask("hi")
    assert (failed[-1]["type"], failed[-1]["code"]) == ("error", "BP474")
    assert "secret the-key" in failed[-1]["message"]
    assert gateway.spans[0]["status"] == {"code": 2}
    assert good[-1]["output"] == "fine"


async def test_a_stream_that_breaks_off_ends_the_turn_with_its_code(tmp_path: Path) -> None:
    """An error in the middle of a stream is the turn's error."""
    async with serving(Upstream(lambda: sse(delta(content="Hel"), "{nope")).app()) as url:
        gateway = FakeGateway(router(spec(url)))
        async with running(gateway, tmp_path):
            events = await gateway.ask("hi")
    assert [e.get("code") for e in events] == [None, "BP476"]


async def test_limits_of_the_job_hold(tmp_path: Path) -> None:
    """Where the gateway does not, the agent ends a turn one model call past `requests`, in words of our own."""
    async with serving(Upstream(calls("docs___search")).app()) as url:
        gateway = FakeGateway(router(spec(url)))
        async with running(gateway, tmp_path):
            requests = await gateway.ask("hi", requests=3, tool_calls=50)
            made = len(gateway.calls)
    assert requests[-1]["code"] == "BP491"
    assert "limits.requests" in requests[-1]["message"]
    assert "pydantic" not in requests[-1]["message"]
    assert made == 4


async def test_the_deadline_ends_a_turn(tmp_path: Path) -> None:
    """A tool that hangs beyond the deadline ends the turn with BP494, in time."""
    gateway = extractive()
    gateway.slow = 10
    async with running(gateway, tmp_path):
        began = time.monotonic()
        events = await gateway.ask("How long may a turn take?", deadline=time.time() + 1)
        assert time.monotonic() - began < 4
    assert events[-1]["code"] == "BP494"


async def test_turns_run_side_by_side(tmp_path: Path) -> None:
    """Eight turns with a tool of 0.7 s each are done together."""
    gateway = extractive()
    gateway.slow = 0.7
    async with running(gateway, tmp_path):
        began = time.monotonic()
        events = await asyncio.gather(*(_one(gateway, gateway.give("How long may a turn take?")) for _ in range(8)))
        assert time.monotonic() - began < 4
    assert all(e[-1]["type"] == "result" for e in events)


async def _one(gateway: FakeGateway, turn: str) -> list[dict[str, Any]]:
    while not (gateway.turns.get(turn) and gateway.turns[turn][-1]["type"] != "text"):
        await asyncio.sleep(0.02)
    return gateway.turns[turn]


async def test_the_agent_outlives_its_gateway(tmp_path: Path) -> None:
    """With no gateway at first, then one, then another at the same port, the agent goes on serving."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gateway = extractive()
    async with agent(tmp_path, port) as process:
        await asyncio.sleep(0.5)
        for _ in range(2):
            async with served_at(gateway, port):
                assert (await gateway.ask("How long may a turn take?"))[-1]["type"] == "result"
        assert process.returncode is None


def served_at(gateway: FakeGateway, port: int) -> Any:
    """`gateway` at a port of its own."""
    from contextlib import asynccontextmanager

    import uvicorn

    @asynccontextmanager
    async def serve() -> Any:
        options = {"log_level": "critical", "lifespan": "off", "timeout_graceful_shutdown": 0}
        config = uvicorn.Config(gateway.app(), port=port, **options)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        try:
            yield
        finally:
            server.should_exit = True
            await task

    return serve()


async def test_sigterm_lets_a_running_turn_end(tmp_path: Path) -> None:
    """After SIGTERM the running turn still delivers its result, and the process ends with 0."""
    gateway = extractive()
    gateway.slow = 1.0
    async with running(gateway, tmp_path) as process:
        turn = gateway.give("How long may a turn take?")
        while not gateway.calls:
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert gateway.turns[turn][-1]["type"] == "result"


async def test_a_bad_configuration_is_said_and_ends_the_process(tmp_path: Path) -> None:
    """A configuration that is missing ends the agent with 1 and BP490."""
    import sys

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "bedplate.runtime.agent", str(tmp_path / "no.json"),
        env={"BEDPLATE_PORT": "1"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"BP490" in stderr


async def test_nothing_found_is_said_plainly(tmp_path: Path) -> None:
    """Where the search finds nothing near, the answer says so and quotes nothing."""
    gateway = extractive()
    gateway.call = lambda _: found(PASSAGE | {"confidence": 0.1})
    async with running(gateway, tmp_path):
        events = await gateway.ask("Who won the cup?")
    assert events[-1]["output"] == "I found nothing in what I can search that answers this."
