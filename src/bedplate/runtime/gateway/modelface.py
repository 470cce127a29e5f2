"""The agent's way to the model: counted, traced, passed on.

Goes in: a turn and a chat completions request. Comes out: the answer, whole or in pieces. Which model answers is the
router's affair. A limit that breaks ends the turn, and what still streams of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Protocol

from bedplate.blueprint.model import ModelSpec
from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.meter import Spent
from bedplate.runtime.gateway.turn import Turn
from bedplate.runtime.gateway.turns import Turns
from bedplate.runtime.models.api import ChatReply, Chunk
from bedplate.traces.emit import GatewayTracer, ModelSpan

PICTURE = 1500
"""Tokens of a picture, by estimate: about what the large providers count for one of a megapixel."""
COUNT_EVERY = 128
"""Characters of a streamed answer after which it is counted anew."""
TO_TELL = 0.5
"""Seconds, and at most a tenth of those left, that a model is given up before the turn ends: time to say whose fault
it was. Otherwise a silent model would look like a turn that was too slow."""
NOT_READ = frozenset({"BP472", "BP473", "BP474", "BP475", "BP477", "BP496"})
"""Errors with which no model has read the request: it was not sent, or refused. Such a request uses no tokens."""

Price = Callable[[str, int, int], float | None]
"""What a model (the manifest's id) takes for tokens in and out, in US dollars; None where that is not known."""


class Router(Protocol):
    """What the gateway needs of `models.ModelRouter`."""

    def stream(self, body: Mapping[str, Any], *, deadline: float) -> AsyncGenerator[Chunk]:
        """The answer in pieces; the last carries the whole `reply`. Raises BedplateError."""

    async def aclose(self) -> None:
        """Close connections."""


def prices(spec: ModelSpec) -> Price:
    """The prices of the manifest's models, as the router takes them for a whole answer."""
    from bedplate.runtime.models.prices import price
    from bedplate.runtime.models.providers import targets

    known = {target.id: target for target in targets(spec)}

    def of(model: str, read: int, wrote: int) -> float | None:
        target = known[model]
        return price(target.provider, target.name, read, wrote)

    return of


class ModelFace:
    """Model calls of all turns. `model` is the manifest's id, as it stands in spans."""

    def __init__(self, model: str, router: Router, price: Price, tracer: GatewayTracer, turns: Turns) -> None:
        self._model = model
        self._router = router
        self._price = price
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
        """The completion in pieces.

        Raises BedplateError: a limit (BP410, BP412, BP413), BP424 while frozen, BP430 where the turn ended meanwhile,
        or what the router raises.
        """
        asked = _Asked(self._turns, turn, self._price, self._model, body)
        provider = self._model.partition(":")[0]
        with self._tracer.model(turn.span.child(claimed), requested=self._model, provider=provider) as span, asked:
            try:
                async with aclosing(self._pieces(turn, span, body, asked)) as pieces:
                    async for piece in pieces:
                        yield piece
            except BedplateError as error:
                span.fail(error.problems[0].code, error.problems[0].summary)
                span.end()
                raise

    async def _pieces(
        self, turn: Turn, span: ModelSpan, body: Mapping[str, Any], asked: _Asked
    ) -> AsyncGenerator[Chunk]:
        messages = body.get("messages")
        if isinstance(messages, list):
            span.input([m for m in messages if isinstance(m, dict)])
        held = turn.capability
        async with aclosing(self._router.stream(body, deadline=_model_deadline(turn))) as chunks:
            async for piece in chunks:
                if turn.capability != held:
                    raise faults.no_capability()
                self._turns.require_thawed()
                if piece.reply is None:
                    asked.heard(piece.data)
                else:
                    _describe(span, piece.reply)
                    asked.answered(piece.reply)
                yield piece


class _Asked:
    """One request in its turn's meter: counted before it is sent, while its answer comes, and when it is over."""

    def __init__(self, turns: Turns, turn: Turn, price: Price, model: str, body: Mapping[str, Any]) -> None:
        """Raises BedplateError where the turn's limits do not allow the request; the turn has then failed."""
        self._turns, self._turn, self._price, self._model = turns, turn, price, model
        self._read = asked_tokens(body)
        self._heard = self._counted = 0
        self._over = False
        with self._ending_the_turn():
            turns.require_thawed()
            self._request = turn.meter.ask_model(self._estimated())
            turns.note(turn)

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Who hangs up, or whose answer breaks off, has used the model all the same."""
        unread = isinstance(error, BedplateError) and error.problems[0].code in NOT_READ
        with suppress(BedplateError):  # it ended the turn; nobody reads on
            self._settle(Spent() if unread else self._estimated())

    def heard(self, data: Mapping[str, Any]) -> None:
        """A piece of the answer. Raises BP412 or BP413 as soon as the turn is past its limit."""
        self._model = str(data.get("model", self._model))
        self._heard += _letters([choice.get("delta") for choice in data.get("choices") or ()])
        if self._heard >= self._counted + COUNT_EVERY:
            self._counted = self._heard
            with self._ending_the_turn():
                self._turn.meter.so_far(self._request, self._estimated())

    def answered(self, reply: ChatReply) -> None:
        """The whole answer. Raises BP412 or BP413 where it was too much."""
        self._settle(Spent(reply.input_tokens, reply.output_tokens, reply.cost))

    def _settle(self, spent: Spent) -> None:
        """What the request used in the end; only the first word on it counts."""
        if self._over:
            return
        self._over = True
        with self._ending_the_turn():
            self._turn.meter.settle(self._request, spent)
            self._turns.note(self._turn)

    def _estimated(self) -> Spent:
        wrote = _tokens(self._heard)
        return Spent(self._read, wrote, self._price(self._model, self._read, wrote))

    @contextmanager
    def _ending_the_turn(self) -> Iterator[None]:
        try:
            yield
        except BedplateError as error:
            self._turns.fail(self._turn, error)
            raise


def _model_deadline(turn: Turn) -> float:
    return turn.deadline - min(TO_TELL, 0.1 * max(0.0, turn.deadline - time.time()))


def asked_tokens(body: Mapping[str, Any]) -> int:
    """The tokens of a request before anyone has counted them: by its characters, pictures by their number."""
    pictures = [len(part["image_url"]["url"]) for part in _parts(body) if _is_picture(part)]
    return _tokens(len(json.dumps(body, ensure_ascii=False)) - sum(pictures)) + len(pictures) * PICTURE


def _parts(body: Mapping[str, Any]) -> Iterator[Any]:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        yield from content if isinstance(content, list) else ()


def _is_picture(part: object) -> bool:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return url.startswith("data:image/")
    return False


def _letters(value: object) -> int:
    """Characters of all texts in a delta: what the model says, its reasoning, the arguments of its tool calls."""
    match value:
        case str():
            return len(value)
        case Mapping():
            return sum(_letters(each) for each in value.values())
        case list():
            return sum(_letters(each) for each in value)
    return 0


def _describe(span: ModelSpan, reply: ChatReply) -> None:
    choice = (reply.body.get("choices") or [{}])[0]
    text = (choice.get("message") or {}).get("content")
    span.response(
        reply.model, choice.get("finish_reason"), reply.input_tokens, reply.output_tokens, reply.cost,
        text if isinstance(text, str) else None,
    )  # fmt: skip


def _tokens(characters: int) -> int:
    """Tokens by the rule of docs/models.md: a quarter of the characters, rounded up."""
    return -(-characters // 4)
