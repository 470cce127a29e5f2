"""A real gateway on loopback with a scripted agent: what the gateway's tests share."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from bedplate.access import Grant, ScopeSet
from bedplate.blueprint.model import (
    Blueprint,
    Digests,
    Expose,
    Limits,
    LongTermMemory,
    Memory,
    ModelSpec,
    Sandbox,
    SessionMemory,
    Tracing,
)
from bedplate.problems import BedplateError
from bedplate.runtime.gateway.gateway import Gateway, Parts
from bedplate.runtime.gateway.serving import AGENT, Server
from bedplate.runtime.models.api import ChatReply, Chunk
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, Source, ToolResult
from bedplate.store import Store
from bedplate.traces.emit import GatewayTracer, TraceResource

KEY = "key-of-the-stage"
DAY = 86400


def blueprint(**changes: Any) -> Blueprint:
    """A small agent with a tool `desk`, memory of both kinds and every protocol."""
    base = Blueprint(
        name="support",
        stage="prototype",
        target="local",
        intent="script",
        project="/nowhere",
        model=ModelSpec("bedplate:extractive"),
        instructions="Answer.",
        data=(),
        tools=(),
        scopes=ScopeSet(
            (
                Grant("g-look", "desk", "read", "docs/*", "agent.yaml:9"),
                Grant("g-send", "desk", "call", "send", "agent.yaml:10"),
                Grant("g-read", "memory", "read", "*"),
                Grant("g-write", "memory", "write", "*"),
            )
        ),
        memory=Memory(SessionMemory(30 * DAY), LongTermMemory(365 * DAY)),
        evals=(),
        tracing=Tracing(),
        limits=Limits(timeout=10.0),
        expose=Expose(protocols=("chat", "mcp")),
        sandbox=Sandbox(),
        digests=Digests("sha256:b", "sha256:h"),
    )
    return replace(base, **changes)


class Desk:
    """A toolset: `look(path)` reads, `send(text)` has an effect, `drop()` is granted to no one."""

    name = "desk"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed = False
        self.hold: asyncio.Event | None = None
        self.listing: asyncio.Event | None = None
        self.hidden: set[str] = set()

    async def start(self) -> None:
        return

    async def operations(self) -> tuple[Operation, ...]:
        if self.listing is not None:
            await self.listing.wait()
        return tuple(o for o in self._all() if o.name not in self.hidden)

    def _all(self) -> tuple[Operation, ...]:
        def schema(name: str) -> dict[str, Any]:
            return {
                "type": "object",
                "properties": {name: {"type": "string"}},
                "required": [name],
                "additionalProperties": False,
            }

        return (
            Operation("look", "Look.", schema("path"), "read", effect=False, query=True),
            Operation("send", "Send.", schema("text"), "call"),
            Operation("drop", "Drop.", {"type": "object"}, "delete"),
            Operation("boom", "Raise.", {"type": "object"}, "read", effect=False),
        )

    def question(self, operation: str, arguments: Arguments) -> Question:
        if operation == "boom":
            return Question("read", "*", any_object=True)
        return Question("read", str(arguments["path"])) if operation == "look" else Question("call", operation)

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        if operation == "boom":
            raise ValueError("boom")
        if self.hold is not None:
            await self.hold.wait()
        if operation == "send":
            self.sent.append(f"{context.principal}:{arguments['text']}")
            return ToolResult("sent", data={"ok": True})
        path = str(arguments["path"])
        return ToolResult(f"text of {path}", sources=(Source(path, "Heading", "part"),))

    async def close(self) -> None:
        self.closed = True


class Model:
    """A router that says `words`; each call uses 10 tokens in and 5 out and costs a cent.

    `hold` keeps it silent before its word number `hold_at` until it is set; `broken` is raised instead of the end.
    """

    def __init__(self, words: str = "hello there") -> None:
        self.words = words
        self.asked: list[Mapping[str, Any]] = []
        self.hold: asyncio.Event | None = None
        self.hold_at = 0
        self.broken: BedplateError | None = None

    async def stream(self, body: Mapping[str, Any], *, deadline: float) -> AsyncGenerator[Chunk]:
        self.asked.append(body)
        assert deadline > time.time()
        for number, word in enumerate(self.words.split(" ")):
            if self.hold is not None and number == self.hold_at:
                await self.hold.wait()
            yield Chunk(_piece({"content": word + " "}))
        if self.broken is not None:
            raise self.broken
        message = {"role": "assistant", "content": self.words}
        done = {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "bedplate:extractive",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
        last = {**_piece({}, "stop"), "usage": done["usage"]}
        yield Chunk(last, ChatReply(done, "bedplate:extractive", 10, 5, 0.01))

    async def aclose(self) -> None:
        return


def price(model: str, read: int, wrote: int) -> float | None:
    """A thousandth of a dollar a token in, two thousandths a token out."""
    return 0.001 * read + 0.002 * wrote


def _piece(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


class Job:
    """A job in the hands of a scripted agent."""

    def __init__(self, http: httpx2.AsyncClient, document: dict[str, Any]) -> None:
        self.http = http
        self.document = document
        self.auth = {"Authorization": f"Bearer {document['capability']}"}

    @property
    def input(self) -> str:
        return str(self.document["input"])

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx2.Response:
        """A request with the job's capability."""
        return await self.http.post(path, json=json, headers={**self.auth, **more.pop("headers", {})}, **more)

    async def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; the `CallToolResult`."""
        params = {"name": name, "arguments": arguments}
        reply = await self.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        result: dict[str, Any] = reply.json()["result"]
        return result

    async def tool_status(self) -> int:
        """The HTTP status of listing the tools."""
        return (await self.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).status_code

    async def report(self, *events: dict[str, Any] | bytes) -> httpx2.Response:
        """Report on the turn, one event after the other."""

        async def body() -> AsyncIterator[bytes]:
            for event in events:
                yield event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
                await asyncio.sleep(0)

        path = f"/agent/turns/{self.document['turn']}"
        return await self.http.post(path, content=body(), headers=self.auth)

    async def answer(self, output: str) -> httpx2.Response:
        """Report the text in two pieces and the result."""
        half = len(output) // 2
        said = [{"type": "text", "delta": d} for d in (output[:half], output[half:])]
        messages = [
            {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": self.input}]},
            {"kind": "response", "parts": [{"part_kind": "text", "content": output}]},
        ]
        return await self.report(*said, {"type": "result", "output": output, "messages": messages})


Script = Callable[[Job], Awaitable[object]]


class Running:
    """A gateway that runs: its faces' addresses, its parts, clients."""

    def __init__(self, gateway: Gateway, store: Store, desk: Desk, model: Model, outer: str, inner: str) -> None:
        self.gateway, self.store, self.desk, self.model = gateway, store, desk, model
        self.outer, self.inner = outer, inner
        self.http = httpx2.AsyncClient(base_url=outer, trust_env=False, verify=False, timeout=20)
        self.agent = httpx2.AsyncClient(base_url=inner, trust_env=False, verify=False, timeout=20)
        self.jobs: list[Job] = []
        self._agents: list[asyncio.Task[None]] = []

    def serve(self, script: Script) -> None:
        """An agent that takes jobs for ever, each in its own task."""
        self._agents.append(asyncio.create_task(self._loop(script)))

    async def _loop(self, script: Script) -> None:
        working = set()
        while True:
            job = await self.take()
            task = asyncio.ensure_future(script(job))
            working.add(task)

    async def take(self) -> Job:
        """The next job, waited for."""
        while True:
            reply = await self.agent.post("/agent/next")
            if reply.status_code == 200:
                self.jobs.append(Job(self.agent, reply.json()))
                return self.jobs[-1]

    async def ask(self, text: str = "hi", **more: Any) -> httpx2.Response:
        """`POST /invocations`; `headers` are added."""
        headers = {"Authorization": f"Bearer {KEY}", **more.pop("headers", {})}
        return await self.http.post("/invocations", json={"input": text, **more}, headers=headers)

    async def close(self) -> None:
        for task in self._agents:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.http.aclose()
        await self.agent.aclose()


def listener() -> socket.socket:
    """A listening socket on a free loopback port."""
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made


@asynccontextmanager
async def running(
    folder: Path, plan: Blueprint | None = None, desk: Desk | None = None, tracer: GatewayTracer | None = None
) -> AsyncIterator[Running]:
    """A gateway with a real store, tracer and servers. Leaving it without `stop` is like its death for the store."""
    plan = plan or blueprint()
    folder.mkdir(exist_ok=True)
    store = Store.open(folder / "memory.db")
    resource = TraceResource(plan.name, plan.stage, "b", "h")
    tracer = tracer or GatewayTracer(resource, "http://127.0.0.1:9", "t", sample_ratio=0.0)
    desk, model = desk or Desk(), Model()
    gateway = Gateway(plan, Parts(store, tracer, {"desk": desk}, tools_file=folder / "tools.json"), KEY)
    inner = gateway.with_router(model, price)
    await gateway.start()
    sockets = listener(), listener()
    servers = Server(gateway.outer.app, sockets[0]), Server(inner.for_agent(1), sockets[1], AGENT)
    urls = [f"http://127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for server in servers:
        await server.begin()
    run = Running(gateway, store, desk, model, *urls)
    try:
        yield run
    finally:
        await run.close()
        for server in servers:
            server.force_exit = True
        await asyncio.gather(*(server.end() for server in servers))
        await gateway.close()
