"""A turn while it lives: what it is bound to, what it has used, and who waits for it.

Goes in: events of the agent. Comes out: the same events to every waiting caller. It stores nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from bedplate.problems import BedplateError
from bedplate.runtime.gateway.meter import Meter
from bedplate.runtime.tools.api import Source
from bedplate.store import TurnRow
from bedplate.traces.emit import TurnSpan

MAX_SOURCES = 20


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    delta: str


@dataclass(frozen=True)
class Reset:
    """The agent died and begins anew: pieces sent so far are void."""


@dataclass(frozen=True)
class Answer:
    """A completed turn, as every face shows it. `sources` are places that tools gave and the answer names.

    `asks` are the calls that wait for a person: with any the turn has ended as `input_required`.
    """

    output: str
    session: str
    turn: str
    trace: str
    usage: dict[str, Any]
    sources: tuple[str, ...] = ()
    asks: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The body of a `/invocations` answer."""
        body: dict[str, Any] = {
            "output": self.output,
            "sessionId": self.session,
            "turnId": self.turn,
            "traceId": self.trace,
            "status": "input_required" if self.asks else "completed",
            "usage": self.usage,
        }
        more = {"sources": list(self.sources), "asks": list(self.asks)}
        return body | {name: items for name, items in more.items() if items}


Event = Text | Reset | Answer | BedplateError


@dataclass(eq=False)
class Turn:
    """One turn in the hands of this gateway. `context` is a conversation that the caller brought along.

    `capability` is "" until an agent takes the turn, and again when it ended. `deadline` is Unix time, 0 before.
    """

    row: TurnRow
    meter: Meter
    span: TurnSpan
    context: tuple[dict[str, Any], ...] = ()
    attempt: int = 1
    capability: str = ""
    deadline: float = 0.0
    instance: int = 0
    reporting: bool = False
    said: str = ""
    sources: dict[str, Source] = field(default_factory=dict)
    call_ids: set[str] = field(default_factory=set)
    asks: dict[str, None] = field(default_factory=dict)
    """Ids of the asks that its calls led to, in order."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    lapsed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the present attempt is over, and a new event for the next one."""
    outcome: Answer | BedplateError | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    _listeners: list[asyncio.Queue[Event]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The turn's id."""
        return self.row.id

    @property
    def claims(self) -> dict[str, Any]:
        """What the capability vouches for; nothing that the agent sends changes it."""
        return {"user": self.row.user, "session": self.row.session, "turn": self.row.id}

    def say(self, delta: str) -> None:
        """A piece of the answer, to everyone who waits."""
        self.said += delta
        self._tell(Text(delta))

    def reset(self) -> None:
        """What was said is void."""
        if self.said:
            self.said = ""
            self._tell(Reset())

    def saw(self, sources: tuple[Source, ...]) -> None:
        """Places that a tool gave the model."""
        for source in sources:
            self.sources.setdefault(f"{source.path}#{source.anchor}" if source.anchor else source.path, source)

    def cited(self, output: str) -> tuple[str, ...]:
        """The seen places that `output` names, exact places before mere documents."""
        exact = [place for place in self.sources if place in output]
        named = {place.partition("#")[0] for place in exact}
        papers = [s.path for s in self.sources.values() if s.path in output and s.path not in named]
        return tuple(dict.fromkeys(exact + papers))[:MAX_SOURCES]

    def end(self, outcome: Answer | BedplateError) -> None:
        """Give everyone who waits the outcome. Happens once."""
        self.capability, self.outcome = "", outcome
        for timer in self.timers:
            timer.cancel()
        self._tell(outcome)
        self.lapsed.set()
        self.ended.set()

    async def events(self) -> AsyncIterator[Event]:
        """What was said so far, then what comes; the last is an Answer or a BedplateError."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        if self.outcome is not None:
            yield self.outcome
            return
        if self.said:
            queue.put_nowait(Text(self.said))
        self._listeners.append(queue)
        try:
            while True:
                event = await queue.get()
                yield event
                if isinstance(event, Answer | BedplateError):
                    return
        finally:
            self._listeners.remove(queue)

    async def wait(self) -> Answer:
        """The answer. Raises BedplateError where the turn failed."""
        await self.ended.wait()
        if isinstance(self.outcome, Answer):
            return self.outcome
        assert self.outcome is not None
        raise self.outcome

    def _tell(self, event: Event) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)
