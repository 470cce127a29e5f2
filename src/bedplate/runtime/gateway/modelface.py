"""The agent's way to the model: counted, traced, passed on.

Goes in: a turn and a chat completions request. Comes out: the answer, whole or in pieces. Which model answers is the
router's affair. A limit that breaks ends the turn.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from bedplate.problems import BedplateError
from bedplate.runtime.gateway.turn import Turn
from bedplate.runtime.gateway.turns import Turns
from bedplate.runtime.models.api import ChatReply, Chunk
from bedplate.traces.emit import GatewayTracer, ModelSpan

CHARACTERS = 4  # of a token, where an answer broke off before the provider told its usage


class Router(Protocol):
    """What the gateway needs of `models.ModelRouter`."""

    def stream(self, body: Mapping[str, Any], *, deadline: float) -> AsyncGenerator[Chunk]:
        """The answer in pieces; the last carries the whole `reply`. Raises BedplateError."""

    async def aclose(self) -> None:
        """Close connections."""


class ModelFace:
    """Model calls of all turns. `model` is the manifest's id, as it stands in spans."""

    def __init__(self, model: str, router: Router, tracer: GatewayTracer, turns: Turns) -> None:
        self._model = model
        self._router = router
        self._tracer = tracer
        self._turns = turns

    async def chat(self, turn: Turn, claimed: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The whole completion. Raises as `stream` does."""
        async with aclosing(self.stream(turn, claimed, body)) as chunks:
            async for piece in chunks:
                if piece.reply is not None:
                    return piece.reply.body
        raise AssertionError("a router's stream ends with its reply or raises")

    async def stream(self, turn: Turn, claimed: str, body: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        """The completion in pieces. Raises BedplateError: a limit (BP410, BP412, BP413), or what the router raises."""
        self._counted(turn, turn.meter.ask_model)
        provider = self._model.partition(":")[0]
        with self._tracer.model(turn.span.child(claimed), requested=self._model, provider=provider) as span:
            try:
                async with aclosing(self._pieces(turn, span, body)) as pieces:
                    async for piece in pieces:
                        yield piece
            except BedplateError as error:
                span.fail(error.problems[0].code, error.problems[0].summary)
                span.end()
                raise

    async def _pieces(self, turn: Turn, span: ModelSpan, body: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        messages = body.get("messages")
        if isinstance(messages, list):
            span.input([m for m in messages if isinstance(m, dict)])
        said, whole = 0, False
        try:
            async with aclosing(self._router.stream(body, deadline=turn.deadline)) as chunks:
                async for piece in chunks:
                    said += _spoken(piece.data)
                    if piece.reply is not None:
                        whole = True
                        self._answered(turn, span, piece.reply)
                    yield piece
        finally:
            # Who hangs up, or whose answer breaks off, has used the model all the same.
            if said and not whole:
                self._broken_off(turn, body, said)

    def _broken_off(self, turn: Turn, body: Mapping[str, Any], said: int) -> None:
        """Count an answer without its end by estimate. A limit that breaks here ends the turn; nobody reads on."""
        asked = len(json.dumps(body, ensure_ascii=False))
        with contextlib.suppress(BedplateError):
            self._counted(turn, turn.meter.answered, _estimate(asked), _estimate(said), None)

    def _answered(self, turn: Turn, span: ModelSpan, reply: ChatReply) -> None:
        choice = (reply.body.get("choices") or [{}])[0]
        text = (choice.get("message") or {}).get("content")
        span.response(
            reply.model, choice.get("finish_reason"), reply.input_tokens, reply.output_tokens, reply.cost,
            text if isinstance(text, str) else None,
        )  # fmt: skip
        self._counted(turn, turn.meter.answered, reply.input_tokens, reply.output_tokens, reply.cost)

    def _counted(self, turn: Turn, count: Any, *numbers: Any) -> None:
        try:
            count(*numbers)
        except BedplateError as error:
            self._turns.fail(turn, error)
            raise


def _spoken(data: Mapping[str, Any]) -> int:
    """Characters of what a piece adds to the answer, tool calls included."""
    deltas = (choice.get("delta") for choice in data.get("choices") or ())
    return sum(len(json.dumps(delta, ensure_ascii=False)) for delta in deltas if delta)


def _estimate(characters: int) -> int:
    return -(-characters // CHARACTERS)
