"""A gateway for tests of the agent: scripted jobs and tools, the real model router, everything written down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bedplate.runtime.models import ModelRouter
from models_support import chat_endpoint, serving

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SEARCH = {
    "name": "docs___search",
    "description": "Searches.",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}
PASSAGE = {
    "path": "guide.md", "anchor": "limits", "heading": "Limits", "title": "Guide",
    "text": "A turn may take 90 seconds.", "confidence": 0.9,
}  # fmt: skip

Tool = Callable[[dict[str, Any]], dict[str, Any]]


def found(*passages: dict[str, Any]) -> dict[str, Any]:
    """A search tool's result."""
    return {"content": [{"type": "text", "text": "…"}], "structuredContent": {"passages": list(passages)}}


@dataclass
class FakeGateway:
    """Gives out `jobs`, serves `tools`, keeps what comes back in `turns`, `spans`, `calls` and `headers`."""

    router: ModelRouter
    tools: list[dict[str, Any]] = field(default_factory=lambda: [SEARCH])
    call: Tool = field(default=lambda _: found(PASSAGE))
    jobs: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    arrived: dict[str, list[float]] = field(default_factory=dict)
    done: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    spans: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    slow: float = 0.0
    polled: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> Starlette:
        """The inner face."""
        return Starlette(
            routes=[
                Route("/agent/next", self._next, methods=["POST"]),
                Route("/agent/turns/{turn}", self._turn, methods=["POST"]),
                Route("/mcp", self._mcp, methods=["POST"]),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/traces", self._traces, methods=["POST"]),
            ]
        )

    async def ask(self, text: str, **more: Any) -> list[dict[str, Any]]:
        """Gives out a job and waits for its events."""
        turn = self.give(text, **more)
        while await asyncio.wait_for(self.done.get(), 15) != turn:
            pass
        return self.turns[turn]

    def give(self, text: str, **more: Any) -> str:
        """Gives out a job."""
        turn = f"t{len(self.turns) + self.jobs.qsize()}-{time.monotonic_ns()}"
        job = {
            "turn": turn, "capability": f"cap-{turn}", "session": "s1", "input": text, "history": [], "recalled": "",
            "traceparent": TRACEPARENT, "deadline": time.time() + 20, "requests": 5, "tool_calls": 5,
        }  # fmt: skip
        self.jobs.put_nowait(job | more)
        return turn

    async def _next(self, request: Request) -> Response:
        self.polled.set()
        try:
            return JSONResponse(await asyncio.wait_for(self.jobs.get(), 0.5))
        except TimeoutError:
            return Response(status_code=204)

    async def _turn(self, request: Request) -> Response:
        turn = request.path_params["turn"]
        self._note(request)
        events, times, rest = self.turns.setdefault(turn, []), self.arrived.setdefault(turn, []), b""
        async for piece in request.stream():
            *lines, rest = (rest + piece).split(b"\n")
            events += map(json.loads, lines)
            times += [time.monotonic()] * len(lines)
        self.done.put_nowait(turn)
        return Response(status_code=200)

    async def _mcp(self, request: Request) -> Response:
        self._note(request)
        body = await request.json()
        if body["method"] == "tools/list":
            return _result(body, {"tools": self.tools})
        self.calls.append(body["params"])
        await asyncio.sleep(self.slow)
        answer = self.call(body["params"])
        if "jsonrpc_error" in answer:
            return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "error": answer["jsonrpc_error"]})
        return _result(body, answer)

    async def _chat(self, request: Request) -> Response:
        self._note(request)
        return await chat_endpoint(self.router)(request)

    async def _traces(self, request: Request) -> Response:
        self._note(request)
        document = await request.json()
        self.spans += document["resourceSpans"][0]["scopeSpans"][0]["spans"]
        return JSONResponse({})

    def _note(self, request: Request) -> None:
        self.headers.append((request.url.path, dict(request.headers)))


def _result(body: dict[str, Any], result: dict[str, Any]) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "result": result})


@asynccontextmanager
async def agent(folder: Path, port: int, instructions: str = "Answer.") -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent as a process; ended at the end."""
    config = folder / "agent.json"
    config.write_text(json.dumps({"name": "helper", "instructions": instructions}))
    ready, tell = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "bedplate.runtime.agent", str(config),
        env={"BEDPLATE_PORT": str(port), "BEDPLATE_READY_FD": str(tell)}, pass_fds=[tell],
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(tell)
    try:
        with os.fdopen(ready) as pipe:
            assert await asyncio.to_thread(pipe.readline) == "ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()


@asynccontextmanager
async def running(gateway: FakeGateway, folder: Path, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """`gateway` served, and an agent at it."""
    async with serving(gateway.app()) as url, agent(folder, int(url.rpartition(":")[2]), **more) as process:
        yield process
