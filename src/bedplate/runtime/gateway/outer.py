"""The outer face: what callers may ask of the agent.

Goes in: requests with the stage's API key. Comes out: answers, whole or as server-sent events. The key's holder is a
trusted caller and names the end user; everyone else gets nothing but `/ping`.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from bedplate import __version__
from bedplate.blueprint.model import Blueprint
from bedplate.problems import BedplateError
from bedplate.runtime.gateway import chat, faults
from bedplate.runtime.gateway.mcp import INVALID_PARAMS, McpEndpoint, McpFault, text_result
from bedplate.runtime.gateway.turn import Answer, Event, Reset, Text, Turn
from bedplate.runtime.gateway.turns import Question, Turns
from bedplate.runtime.gateway.web import (
    KEEP_ALIVE,
    SSE_HEADERS,
    application,
    bearer,
    error_json,
    event,
    object_of,
)

BODY_LIMIT = 1024 * 1024
MAX_INPUT = 100_000
"""Characters of a question."""
DEFAULT_USER = "default"
STILL_HERE_EVERY = 10.0
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
_NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,256}")
_KNOWN = frozenset({"input", "prompt", "resume", "sessionId", "userId", "stream"})


class Outer:
    """The routes of the outer face."""

    def __init__(self, blueprint: Blueprint, turns: Turns, api_key: str) -> None:
        self._blueprint = blueprint
        self._turns = turns
        self._key = api_key.encode()
        self._since = time.time()
        self._mcp = McpEndpoint(blueprint.name, __version__, self, limit=BODY_LIMIT)
        self.app: ASGIApp = application(self._routes())

    def _routes(self) -> list[Route]:
        routes = [
            Route("/ping", self.ping, methods=["GET"]),
            Route("/invocations", self.invoke, methods=["POST"]),
        ]
        if "chat" in self._blueprint.expose.protocols:
            routes.append(Route("/v1/chat/completions", self.chat, methods=["POST"]))
            routes.append(Route("/v1/models", self.models, methods=["GET"]))
        if "mcp" in self._blueprint.expose.protocols:
            routes.append(Route("/mcp", self.mcp, methods=["POST"]))
        return routes

    async def ping(self, _: Request) -> Response:
        """`GET /ping`, without a key: healthy, and whether turns run."""
        status = "HealthyBusy" if self._turns.busy else "Healthy"
        return JSONResponse({"status": status, "time_of_last_update": int(self._turns.changed_at)})

    async def invoke(self, request: Request) -> Response:
        """`POST /invocations`."""
        self._authenticate(request)
        body = await object_of(request, BODY_LIMIT)
        question, streamed = _invocation(body, request.headers), _wants_events(body, request)
        asked = self._turns.ask(question)
        if streamed:
            return _event_stream(_invocation_events(asked))
        return JSONResponse((await _answer(asked)).to_json())

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`: see `chat` for what of a request counts."""
        self._authenticate(request)
        body = await object_of(request, BODY_LIMIT)
        text, context = chat.conversation(body)
        metadata = body.get("metadata")
        told = metadata.get("session") if isinstance(metadata, dict) else None
        session = _first(request.headers.get("x-bedplate-session"), told)
        user = _first(body.get("user"), request.headers.get("x-bedplate-user"))
        key = request.headers.get("idempotency-key")
        asked = self._turns.ask(
            Question(_input(text), _user(user), _session(session), _key(key), () if session else context)
        )
        turn, in_session = _ids(asked)
        headers = {"x-bedplate-session": in_session}
        if body.get("stream"):
            options = body.get("stream_options")
            usage = isinstance(options, dict) and bool(options.get("include_usage"))
            return _event_stream(chat.events(_events(asked), turn, self._blueprint.name, usage=usage), headers)
        return JSONResponse(chat.completion(await _answer(asked), self._blueprint.name), headers=headers)

    async def models(self, request: Request) -> Response:
        """`GET /v1/models`: the agent, for clients that ask which models there are."""
        self._authenticate(request)
        return JSONResponse(chat.models(self._blueprint.name, self._since))

    async def mcp(self, request: Request) -> Response:
        """`POST /mcp`: the agent as one tool, `ask`."""
        self._authenticate(request)
        return await self._mcp.answer(request, request)

    async def tools(self, caller: Request) -> list[dict[str, Any]]:  # noqa: ARG002
        """The one tool."""
        blueprint = self._blueprint
        text = {"type": "string", "minLength": 1}
        return [
            {
                "name": "ask",
                "description": blueprint.description or f"Ask the agent {blueprint.name}.",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "input": {**text, "description": "The question."},
                        "sessionId": {
                            **text,
                            "description": "Goes on with a conversation: the id of an earlier answer.",
                        },
                        "userId": {**text, "description": "The end user on whose behalf you ask."},
                    },
                    "required": ["input"],
                    "additionalProperties": False,
                },
            }
        ]

    async def call(
        self,
        caller: Request,
        name: str,
        arguments: Mapping[str, Any],
        meta: Mapping[str, Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Ask, and wait for the answer. A turn that fails is a tool error."""
        if name != "ask":
            raise McpFault(INVALID_PARAMS, f"there is no tool {name[:100]}")
        try:
            answer = await _answer(self._turns.ask(_invocation({**arguments, "stream": False}, caller.headers)))
        except BedplateError as error:
            problem = error.problems[0]
            return text_result(f"{problem.code}: {problem.summary}", error=True)
        return text_result(answer.output, data=answer.to_json())

    def _authenticate(self, request: Request) -> None:
        if not hmac.compare_digest(bearer(request).encode(), self._key):
            raise faults.unauthorized()


def _invocation(body: Mapping[str, Any], headers: Mapping[str, str]) -> Question:
    unknown = body.keys() - _KNOWN
    if unknown:
        raise faults.bad_request(f"there is no field {sorted(unknown)[0][:50]!r}")
    given = [name for name in ("input", "prompt", "resume") if name in body]
    if len(given) > 1:
        raise faults.bad_request(f"it has both `{given[0]}` and `{given[1]}`")
    resume = _named("the ask to go on with", body["resume"]) if "resume" in body else ""
    if resume and "sessionId" in body:
        raise faults.bad_request("`resume` goes on in the session of its ask: leave `sessionId` out")
    return Question(
        text="" if resume else _input(body.get("input", body.get("prompt"))),
        resume=resume,
        user=_user(_first(body.get("userId"), headers.get("x-bedplate-user"))),
        session=_session(_first(body.get("sessionId"), headers.get(SESSION_HEADER))),
        key=_key(headers.get("idempotency-key")),
    )


def _first(*given: Any) -> Any:
    """The first that is there; an empty text is there, and wrong."""
    return next((each for each in given if each is not None), None)


def _input(text: Any) -> str:
    if not isinstance(text, str):
        raise faults.bad_input("is missing, or is no text")
    if not text.strip():
        raise faults.bad_input("is empty")
    if len(text) > MAX_INPUT:
        raise faults.bad_input(f"is longer than {MAX_INPUT} characters")
    return text


def _user(name: Any) -> str:
    return DEFAULT_USER if name is None else _named("the user's id", name)


def _session(name: Any) -> str | None:
    return None if name is None else _named("the session's id", name)


def _key(name: str | None) -> str | None:
    return None if name is None else _named("the idempotency key", name)


def _named(what: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise faults.bad_name(what)
    return name


def _wants_events(body: Mapping[str, Any], request: Request) -> bool:
    stream = body.get("stream")
    if not isinstance(stream, bool | None):
        raise faults.bad_request("`stream` is true or false")
    return stream or (stream is None and "text/event-stream" in request.headers.get("accept", ""))


def _ids(asked: Turn | Answer) -> tuple[str, str]:
    """The turn's id and the session's."""
    return (asked.turn, asked.session) if isinstance(asked, Answer) else (asked.id, asked.row.session)


async def _answer(asked: Turn | Answer) -> Answer:
    return asked if isinstance(asked, Answer) else await asked.wait()


async def _events(asked: Turn | Answer) -> AsyncIterator[Event | None]:
    """The turn's events; None now and then while nothing happens, so that no one on the way thinks it dead."""
    if isinstance(asked, Answer):
        yield asked
        return
    source = asked.events()
    upcoming = asyncio.ensure_future(anext(source, None))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=STILL_HERE_EVERY)
            if not done:
                yield None
                continue
            found = upcoming.result()
            if found is None:
                return
            yield found
            upcoming = asyncio.ensure_future(anext(source, None))
    finally:
        upcoming.cancel()


async def _invocation_events(asked: Turn | Answer) -> AsyncIterator[bytes]:
    async for each in _events(asked):
        match each:
            case None:
                yield KEEP_ALIVE
            case Text(delta):
                yield event("text", {"delta": delta})
            case Reset():
                yield event("reset", {})
            case Answer():
                yield event("result", each.to_json())
            case BedplateError():
                # a gateway that stops says nothing: the caller sees the stream end, and asks its successor
                if each.problems[0].code != "BP407":
                    yield event("error", {"error": error_json(each)})


def _event_stream(events: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> Response:
    return StreamingResponse(events, media_type="text/event-stream", headers={**SSE_HEADERS, **(headers or {})})
