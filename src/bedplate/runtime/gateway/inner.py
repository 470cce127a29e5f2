"""The inner face: what the agent may ask of the gateway, on the agent's own listener.

Goes in: requests of the agent, each but `/agent/next` with the capability of a running turn. Comes out: jobs, tools,
model answers. Nothing that the agent says about whose turn it serves is believed; only the capability is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bedplate import __version__
from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.dispatch import Dispatch
from bedplate.runtime.gateway.intake import Intake
from bedplate.runtime.gateway.mcp import McpEndpoint
from bedplate.runtime.gateway.modelface import ModelFace
from bedplate.runtime.gateway.reports import Finished, Gave, Said, reports
from bedplate.runtime.gateway.turn import Turn
from bedplate.runtime.gateway.turns import Turns
from bedplate.runtime.gateway.web import SSE_HEADERS, application, bearer, error_json, event, object_of
from bedplate.runtime.models.api import Chunk
from bedplate.traces.emit import GatewayTracer

POLL = 25.0
"""Seconds that `/agent/next` waits for a turn."""
MODEL_LIMIT, MCP_LIMIT, OTLP_LIMIT = 8 * 1024 * 1024, 1024 * 1024, 1024 * 1024
HANGS_UP_WITHIN = 0.25
"""Seconds in which all connections of a process that died are seen to end."""
INSTANCE = "bedplate.instance"


class Inner:
    """The routes of the inner face."""

    def __init__(self, turns: Turns, dispatch: Dispatch, models: ModelFace, tracer: GatewayTracer) -> None:
        self._turns = turns
        self._models = models
        self._tracer = tracer
        self._intake = Intake()
        self._mcp = McpEndpoint("bedplate", __version__, dispatch, limit=MCP_LIMIT, read=self._intake.json)
        self.app = application(
            [
                Route("/agent/next", self.next, methods=["POST"]),
                Route("/agent/turns/{turn}", self.report, methods=["POST"]),
                Route("/mcp", self.mcp, methods=["POST"]),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/messages", self.messages, methods=["POST"]),
                Route("/v1/traces", self.otlp, methods=["POST"]),
                Route("/v1/logs", self.otlp, methods=["POST"]),
            ]
        )

    def for_agent(self, instance: int) -> ASGIApp:
        """The application as served on one agent's listener: every request there comes from that agent."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self.app({**scope, INSTANCE: instance}, receive, send)

        return app

    async def next(self, request: Request) -> Response:
        """`POST /agent/next`: a job, or 204 after a while. An agent that went away meanwhile gets none."""
        await self._intake.body(request, 4096)
        instance: int = request.scope[INSTANCE]
        turn = await self._polled(request, instance)
        return Response(status_code=204) if turn is None else JSONResponse(self._turns.hand_over(turn, instance))

    async def _polled(self, request: Request, instance: int) -> Turn | None:
        """The next turn, unless the agent hangs up first. Also when cancelled no turn is lost."""
        job = asyncio.ensure_future(self._turns.next(POLL))
        gone = asyncio.ensure_future(_disconnected(request))
        turn, given = None, False
        try:
            await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
            turn = job.result() if job.done() else None
            if turn is not None and turn.instance == instance:
                # It has just broken off in this very agent. If that one died, its poll is seen to end in a moment too.
                await asyncio.wait({gone}, timeout=HANGS_UP_WITHIN)
            given = turn is not None and not gone.done()
        finally:
            job.cancel()
            gone.cancel()
            if turn is not None and not given:
                self._turns.put_back(turn)
        return turn if given else None

    async def report(self, request: Request) -> Response:
        """`POST /agent/turns/{turn}`: the turn's events while it runs. Answered when its outcome is stored."""
        turn = self._holder(request)
        if request.path_params["turn"] != turn.id:
            raise faults.other_turn()
        if turn.reporting:
            raise faults.bad_stream("was begun twice")
        turn.reporting = True
        capability, lapsed = turn.capability, turn.lapsed
        reading = asyncio.ensure_future(self._read(request, turn))
        over = asyncio.ensure_future(lapsed.wait())
        try:
            await asyncio.wait({reading, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return self._reported(turn, capability, reading)

    def _reported(self, turn: Turn, capability: str, reading: asyncio.Task[bool]) -> Response:
        if reading.cancelled():  # the turn ended otherwise: its time was over, or it went past a limit
            raise faults.no_capability()
        error = reading.exception()
        match error:
            case None if reading.result():
                return JSONResponse({"stored": True})
            case None | ClientDisconnect():
                self._turns.broke_off(turn, capability)
                raise faults.bad_stream("broke off")
            case BedplateError():
                self._turns.fail(turn, error)
                raise error
        self._turns.fail(turn, faults.internal())
        raise error

    async def _read(self, request: Request, turn: Turn) -> bool:
        """Follow the events; whether the turn was settled by them."""
        async for report in reports(request.stream()):
            match report:
                case Said(delta):
                    turn.say(delta)
                case Finished(output, messages):
                    self._turns.complete(turn, output, messages)
                    return True
                case Gave(error):
                    self._turns.fail(turn, error)
                    return True
        return False

    async def mcp(self, request: Request) -> Response:
        """`POST /mcp`: the granted tools."""
        return await self._mcp.answer(request, (self._holder(request), _claimed(request)))

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        turn, body = self._holder(request), await self._object(request)
        if not body.get("stream"):
            return JSONResponse(await self._models.chat(turn, _claimed(request), body))
        chunks = self._models.stream(turn, _claimed(request), body)
        return await _streamed(chunks, _openai_events(chunks, body))

    async def messages(self, request: Request) -> Response:
        """`POST /v1/messages`: the same in Anthropic's dialect."""
        from bedplate.runtime.models import anthropic_dialect as dialect

        turn, asked = self._holder(request), await self._object(request)
        body = dialect.to_openai(asked)
        if not asked.get("stream"):
            completion = await self._models.chat(turn, _claimed(request), body)
            return JSONResponse(dialect.from_openai(completion, str(completion.get("model", ""))))
        chunks = self._models.stream(turn, _claimed(request), body)
        return await _streamed(chunks, _anthropic_events(chunks))

    async def otlp(self, request: Request) -> Response:
        """`POST /v1/traces` and `/v1/logs`: passed to the sink, stamped with the turn."""
        turn, body = self._holder(request), await self._intake.body(request, OTLP_LIMIT)
        kind = request.headers.get("content-type", "")
        signal: Any = request.url.path.rpartition("/")[2]
        encoding = request.headers.get("content-encoding", "")
        self._tracer.forward(body, kind, turn.id, turn.span.trace_id, signal=signal, encoding=encoding)
        if kind.startswith("application/json"):
            return JSONResponse({})
        return Response(b"", media_type="application/x-protobuf")

    async def _object(self, request: Request) -> dict[str, Any]:
        return await object_of(request, MODEL_LIMIT, self._intake.json)

    def _holder(self, request: Request) -> Turn:
        return self._turns.holder(bearer(request))


def _claimed(request: Request) -> str:
    return request.headers.get("traceparent", "")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _streamed(chunks: AsyncGenerator[Any], events: AsyncGenerator[bytes]) -> Response:
    """An event stream whose first event is awaited, so that what fails at once fails with its HTTP status."""
    try:
        first = await anext(events)
    except BaseException:
        await chunks.aclose()
        raise

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(chunks), aclosing(events):
            yield first
            try:
                async for each in events:
                    yield each
            except BedplateError as error:
                yield event("", {"error": error_json(error)})

    return StreamingResponse(body(), media_type="text/event-stream", headers=SSE_HEADERS)


async def _openai_events(chunks: AsyncGenerator[Chunk], body: dict[str, Any]) -> AsyncGenerator[bytes]:
    options = body.get("stream_options")
    wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    async for piece in chunks:
        data = piece.data
        usage = data.get("usage")
        if usage is None or wants_usage:
            yield event("", data)
        else:
            yield event("", {k: v for k, v in data.items() if k != "usage"})
    yield event("", "[DONE]")


async def _anthropic_events(chunks: AsyncGenerator[Chunk]) -> AsyncGenerator[bytes]:
    from bedplate.runtime.models import anthropic_dialect as dialect

    async for name, data in dialect.stream_from_openai(chunks):
        yield event(name, data)
