"""Scripted providers and a small gateway over the real router, on loopback; shared by the tests of models and agent."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bedplate.blueprint.model import ModelSpec, SecretRef
from bedplate.problems import BedplateError
from bedplate.runtime.models import ModelRouter
from bedplate.runtime.models import anthropic_dialect as dialect

Handler = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serves `app` on a free loopback port; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def sse(*events: Any, done: bool = True, named: bool = False) -> Response:
    """A response with these events as server-sent events. Strings go out as they are."""

    async def body() -> AsyncIterator[str]:
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            yield (f"event: {event['type']}\n" if named else "") + f"data: {text}\n\n"
        if done:
            yield "data: [DONE]\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


def delta(finish: str | None = None, **content: Any) -> dict[str, Any]:
    """One chunk of an OpenAI stream."""
    return {"id": "x", "model": "up", "choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


def text_stream(text: str, usage: tuple[int, int] | None = (7, 3)) -> Response:
    """A whole answer of text, as OpenAI streams it."""
    pieces = [delta(role="assistant", content=""), *(delta(content=c) for c in text), delta("stop")]
    if usage:
        pieces.append({"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}})
    return sse(*pieces)


class Upstream:
    """A provider that answers from a script, one answer a request, the last one again and again."""

    def __init__(self, *answers: Callable[[], Response] | Callable[[], Awaitable[Response]]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def answer(self, request: Request) -> Response:
        self.requests.append(await request.json())
        self.headers.append(dict(request.headers))
        scripted = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        response = scripted()
        return await response if asyncio.iscoroutine(response) else response  # type: ignore[return-value]

    def app(self) -> Starlette:
        """The provider's application: both dialects lead to the script."""
        paths = ("/v1/chat/completions", "/v1/messages")
        return Starlette(routes=[Route(path, self.answer, methods=["POST"]) for path in paths])


def spec(url: str | None, model: str = "mine:m", **more: Any) -> ModelSpec:
    """A model at `url`."""
    secret = SecretRef(more.pop("secret", "the-key"))
    return ModelSpec(model, base_url=url and f"{url}/v1", credentials=secret, where="agent.yaml:7", **more)


def router(model: ModelSpec, tools: frozenset[str] = frozenset(), local_url: str | None = None) -> ModelRouter:
    """A router with one secret."""
    secrets = {"the-key": "sekrit-0123456789"}
    return ModelRouter(model, read_secret=secrets.__getitem__, search_tools=lambda: tools, local_url=local_url)


def proxy_app(router: ModelRouter) -> Starlette:
    """The two model endpoints of the gateway's inner face over `router`."""
    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat_endpoint(router), methods=["POST"]),
            Route("/v1/messages", messages_endpoint(router), methods=["POST"]),
        ]
    )


def chat_endpoint(router: ModelRouter) -> Handler:
    """`/v1/chat/completions`."""

    async def endpoint(request: Request) -> Response:
        body = await request.json()
        try:
            if not body.get("stream"):
                return JSONResponse((await router.chat(body, deadline=time.time() + 10)).body)
            chunks = router.stream(body, deadline=time.time() + 10)
            first = await anext(chunks)
        except BedplateError as error:
            return failed(error)

        async def lines() -> AsyncIterator[str]:
            yield f"data: {json.dumps(first.data)}\n\n"
            try:
                async for piece in chunks:
                    yield f"data: {json.dumps(piece.data)}\n\n"
                yield "data: [DONE]\n\n"
            except BedplateError as error:
                problem = error.problems[0]
                yield f"data: {json.dumps({'error': {'code': problem.code, 'message': problem.summary}})}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    return endpoint


def messages_endpoint(router: ModelRouter) -> Handler:
    """`/v1/messages`."""

    async def endpoint(request: Request) -> Response:
        body = await request.json()
        try:
            asked = dialect.to_openai(body)
            if not body.get("stream"):
                reply = await router.chat(asked, deadline=time.time() + 10)
                return JSONResponse(dialect.from_openai(reply.body, reply.model))
        except BedplateError as error:
            return failed(error)

        async def lines() -> AsyncIterator[str]:
            async for name, event in dialect.stream_from_openai(router.stream(asked, deadline=time.time() + 10)):
                yield f"event: {name}\ndata: {json.dumps(event)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    return endpoint


def failed(error: BedplateError) -> Response:
    """An error of ours as the gateway answers it."""
    problem = error.problems[0]
    message = {"code": problem.code, "message": problem.summary, "fix": problem.fix}
    return JSONResponse({"error": message}, 400 if problem.code == "BP475" else 502)
