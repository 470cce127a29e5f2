"""Turns from question to answer: recorded, queued, handed to an agent, watched, settled.

Goes in: callers' questions and what agents report. Comes out: answers and rows. It knows no HTTP and calls no tool.

A turn is in the store before an agent sees it. It runs again once where the agent died, unless a call that may have had
an effect had started. Turns of one session run one after the other. `limits.timeout` counts from the hand-over and does
not begin anew; as long again is how long a turn may wait for an agent.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedplate.blueprint.model import Blueprint
from bedplate.problems import BedplateError
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.asking import Asking, shown
from bedplate.runtime.gateway.meter import Meter
from bedplate.runtime.gateway.remembering import Remembering
from bedplate.runtime.gateway.turn import Answer, Turn
from bedplate.store import AskRow, Store, TurnRow
from bedplate.traces.emit import GatewayTracer

MAX_WAITING = 256
BEGIN_WITHIN = 15.0
"""Seconds within which an agent that took a turn must begin to report on it."""
STOPPING_PAUSE = 0.5
"""Seconds that a poll lasts while the gateway stops, so that agents do not poll in a tight loop."""
NO_MEMORY_RETENTION = 3600
"""Seconds for which turns are kept where the manifest declares no session memory: long enough for a retry."""

log = logging.getLogger("bedplate.gateway")


@dataclass(frozen=True)
class Question:
    """What a caller asks. `key` is the Idempotency-Key; `context` earlier messages, only for a new session.

    With `resume`, the id of an ask, the turn goes on in the ask's session with what was decided, and `text` is empty.
    """

    text: str
    user: str
    session: str | None = None
    key: str | None = None
    context: tuple[dict[str, Any], ...] = ()
    resume: str = ""


class Turns:
    """All turns of one agent in one stage."""

    def __init__(self, blueprint: Blueprint, store: Store, tracer: GatewayTracer, remembering: Remembering) -> None:
        self._blueprint = blueprint
        self._store = store
        self._tracer = tracer
        self._remembering = remembering
        self._asking = Asking(store)
        self._waiting: deque[Turn] = deque()
        self._live: dict[str, Turn] = {}
        self._holders: dict[bytes, Turn] = {}
        self._changed = asyncio.Event()
        self.stopping = False
        self.changed_at = time.time()

    # callers

    def ask(self, question: Question) -> Turn | Answer:
        """Record and queue a question; an answer at once where its key has been answered before.

        Raises BedplateError: BP405 (key used otherwise), BP406 (too many), BP407 (stopping), BP422 and BP423
        (nothing to go on with), BP424 (frozen), BP461 (session), and the stored error of a turn that failed under
        this key.
        """
        if question.resume:
            session, text = self._asking.resumed(question.resume, self._blueprint.name, question.user)
            question = replace(question, text=text, session=session)
        earlier = self._earlier(question)
        if earlier is not None:
            return earlier
        if self.stopping:
            raise faults.stopping()
        self.require_thawed()
        if len(self._waiting) >= MAX_WAITING:
            raise faults.queue_full()
        return self._begin(question)

    def _earlier(self, question: Question) -> Turn | Answer | None:
        if question.key is None:
            return None
        row = self._store.turn_by_key(self._blueprint.name, question.user, question.key)
        if row is None:
            return None
        # What a resumed turn is told depends on when it is asked; its session does not.
        other = not question.resume and row.input != question.text
        if other or question.session not in (None, row.session):
            raise faults.key_reused()
        return self._live.get(row.id) or self._settled(row)

    def _settled(self, row: TurnRow) -> Answer:
        if row.status != "completed" or row.output is None:
            raise faults.restored(row.error or "BP409: the turn has no outcome")
        usage = dict(row.usage)
        sources, asks = tuple(usage.pop("sources", ())), self._asking.waiting(usage.pop("asks", ()))
        return _answer(row, row.output, usage, sources, asks)

    def _begin(self, question: Question) -> Turn:
        blueprint = self._blueprint
        sessions = blueprint.memory.sessions
        retention = sessions.retention if sessions else NO_MEMORY_RETENTION
        session = self._store.session(blueprint.name, question.user, question.session, retention)
        turn_id = secrets.token_hex(12)
        span = self._tracer.turn(
            agent=blueprint.name, session=session.id, user=question.user, turn_id=turn_id, input=question.text
        )
        row = TurnRow(
            turn_id, session.id, blueprint.name, question.user, question.text, question.key, span.trace_id,
            build=blueprint.digests.build, behaviour=blueprint.digests.behaviour,
        )  # fmt: skip
        self._store.begin_turn(row)
        turn = Turn(row, Meter(blueprint.limits, blueprint.lines), span, question.context)
        self._remembering.brought(turn)
        self._enqueue(turn)
        return turn

    def _enqueue(self, turn: Turn) -> None:
        self._live[turn.id] = turn
        self._waiting.append(turn)
        limit = self._blueprint.limits.timeout
        if turn.deadline:  # its time runs since another gateway handed it over
            turn.timers = [_later(turn.deadline - time.time(), self._too_late, turn)]
        else:
            turn.timers = [_later(limit, self._not_taken, turn, limit)]
        self._notify()

    def _not_taken(self, turn: Turn, limit: float) -> None:
        self.fail(turn, faults.nobody_took_it(limit))

    # agents

    async def next(self, within: float) -> Turn | None:
        """The next turn that may run, taken out of the queue; None after `within` seconds or when stopping.

        Whoever gets it either calls `hand_over` or `put_back`.
        """
        try:
            async with asyncio.timeout(within):
                while not self.stopping:
                    changed = self._changed
                    turn = self._pick()
                    if turn is not None:
                        return turn
                    await changed.wait()
                await asyncio.sleep(STOPPING_PAUSE)
        except TimeoutError:
            pass
        return None

    def _pick(self) -> Turn | None:
        waiting = {id(t) for t in self._waiting}
        busy = {t.row.session for t in self._live.values() if id(t) not in waiting}
        turn = next((t for t in self._waiting if t.row.session not in busy), None)
        if turn is not None:
            self._waiting.remove(turn)
        return turn

    def put_back(self, turn: Turn) -> None:
        """The agent that was to get it is gone: first in the queue again."""
        if turn.id in self._live:
            self._waiting.appendleft(turn)
            self._notify()

    def hand_over(self, turn: Turn, instance: int) -> dict[str, Any]:
        """Give the turn to an agent: mint its capability, start its clock. Returns the `Job`.

        Raises BedplateError where the store fails; the turn has then failed with it.
        """
        now = time.time()
        turn.deadline = turn.deadline or now + self._blueprint.limits.timeout
        try:
            self.require_thawed()
            self._store.start_turn(turn.id, turn.deadline)
            history, recalled = self._remembering.history(turn), self._remembering.recalled(turn)
        except BedplateError as error:
            self.fail(turn, error)
            raise
        for timer in turn.timers:
            timer.cancel()
        turn.instance, turn.capability, turn.reporting = instance, secrets.token_urlsafe(32), False
        self._holders[_digest(turn.capability)] = turn
        turn.timers = [
            _later(turn.deadline - now, self._too_late, turn),
            _later(BEGIN_WITHIN, self._not_begun, turn, turn.attempt),
        ]
        return self._job(turn, history, recalled)

    def _job(self, turn: Turn, history: list[dict[str, Any]], recalled: list[str]) -> dict[str, Any]:
        return {
            "turn": turn.id,
            "capability": turn.capability,
            "session": turn.row.session,
            "input": turn.row.input,
            "history": history,
            "recalled": recalled,
            "traceparent": turn.span.traceparent,
            "deadline": turn.deadline,
            "requests": self._blueprint.limits.requests - turn.meter.requests,
            "tool_calls": self._blueprint.limits.tool_calls - turn.meter.tool_calls,
        }

    def holder(self, capability: str) -> Turn:
        """The running turn that a capability belongs to. Raises BedplateError BP430 where there is none.

        Looked up by its SHA-256, so that timing tells nothing of how much of a guess was right.
        """
        turn = self._holders.get(_digest(capability))
        if turn is None or not hmac.compare_digest(turn.capability.encode(), capability.encode()):
            raise faults.no_capability()
        return turn

    def complete(self, turn: Turn, output: str, messages: list[dict[str, Any]]) -> None:
        """The agent's answer: store it with what is remembered of it, then tell who waits."""
        usage, sources = turn.meter.usage(), turn.cited(output)
        asks = self._asking.waiting(turn.asks)
        # a repeat of this question gets its sources and asks too, so they are kept beside the usage
        more = {"sources": list(sources), "asks": [ask.id for ask in asks]}
        kept: Mapping[str, Any] = {**usage, **{name: items for name, items in more.items() if items}}
        self._remembering.keep(turn, messages)
        self._store.finish_turn(turn.id, "completed", output, kept, None)
        turn.span.output(output)
        self._remembering.learn(turn)
        self._end(turn, _answer(turn.row, output, dict(usage), sources, asks))

    def fail(self, turn: Turn, error: BedplateError) -> None:
        """The turn ends with an error, unless it has ended already. Who waits is told even where the store fails."""
        if turn.id not in self._live:
            return
        problem = error.problems[0]
        turn.span.fail(problem.code, problem.summary)
        try:
            self._store.finish_turn(turn.id, "failed", None, turn.meter.usage(), faults.stored(error))
        except BedplateError as lost:
            log.error("turn %s failed (%s), which could not be stored: %s", turn.id, problem.code, lost)
        self._end(turn, error)

    def agent_gone(self, instance: int) -> None:
        """An agent process died: its turns run again or fail."""
        for turn in [t for t in self._live.values() if t.capability and t.instance == instance]:
            self.broke_off(turn, turn.capability)

    def require_thawed(self) -> None:
        """Raises BP424 while the stage is frozen."""
        if standing := self._store.frozen():
            raise faults.frozen(standing.words)

    def note(self, turn: Turn) -> None:
        """Store what the turn has used so far, so that a gateway after this one goes on from there."""
        self._store.note_usage(turn.id, turn.meter.usage())

    def broke_off(self, turn: Turn, capability: str) -> None:
        """The agent died in the attempt that held `capability`; nothing where that attempt is over already."""
        if not capability or turn.capability != capability:
            return
        self._void(turn)
        try:
            error = self._why_not_again(turn.id, turn.attempt)
            if error is None:
                self._store.requeue_turn(turn.id)
        except BedplateError as lost:
            error = lost
        if error is not None:
            self.fail(turn, error)
            return
        log.warning("turn %s: the agent died, it runs again", turn.id)
        turn.attempt += 1
        turn.lapsed.set()
        turn.lapsed = asyncio.Event()
        turn.reset()
        self._waiting.appendleft(turn)
        self._notify()

    def _why_not_again(self, turn_id: str, attempt: int) -> BedplateError | None:
        begun = [f"{c.tool}.{c.operation}" for c in self._store.calls(turn_id) if c.effect]
        if begun:
            return faults.died_after(" and ".join(dict.fromkeys(begun)))
        return faults.died_twice() if attempt > 1 else None

    def _too_late(self, turn: Turn) -> None:
        self.fail(turn, faults.timed_out(self._blueprint.limits.timeout))

    def _not_begun(self, turn: Turn, attempt: int) -> None:
        if not turn.reporting and turn.attempt == attempt:
            self.broke_off(turn, turn.capability)

    # beginning and end

    def recover(self) -> None:
        """Settle what a gateway before this one left: run again what someone can ask for, by the same rule.

        What a turn has used stays used: model requests as stored at their beginning and end, tool calls by their rows.
        """
        for row in self._store.running_turns():
            error, meter = self._lost(row), self._restored(row)
            span = self._tracer.turn(
                agent=row.agent, session=row.session, user=row.user, turn_id=row.id, input=row.input,
                trace_id=row.trace_id,
            )  # fmt: skip
            if error is not None:
                self._store.finish_turn(row.id, "failed", None, meter.usage(), faults.stored(error))
                span.fail(error.problems[0].code, error.problems[0].summary)
                span.end()
                continue
            if row.status == "running":
                self._store.requeue_turn(row.id)
            turn = Turn(row, meter, span, attempt=row.attempt + (row.status == "running"), deadline=row.deadline or 0.0)
            self._enqueue(turn)

    def _restored(self, row: TurnRow) -> Meter:
        calls = len(self._store.calls(row.id))
        return Meter.restored(self._blueprint.limits, self._blueprint.lines, row.usage, calls)

    def _lost(self, row: TurnRow) -> BedplateError | None:
        if row.idempotency_key is None or row.agent != self._blueprint.name:
            return faults.interrupted()
        return self._why_not_again(row.id, row.attempt) if row.status == "running" else None

    async def drain(self, within: float) -> None:
        """Hand out nothing more, wait for running turns, break off with who still waits. Rows stay as they are."""
        self.stopping = True
        self._notify()
        running = [t.ended.wait() for t in self._live.values() if t.capability]
        if running:
            _, late = await asyncio.wait([asyncio.ensure_future(w) for w in running], timeout=within)
            for task in late:
                task.cancel()
        for turn in list(self._live.values()):
            self._end(turn, faults.stopping())

    @property
    def busy(self) -> bool:
        """Whether any turn waits or runs."""
        return bool(self._live)

    def _end(self, turn: Turn, outcome: Answer | BedplateError) -> None:
        self._void(turn)
        self._live.pop(turn.id, None)
        if turn in self._waiting:
            self._waiting.remove(turn)
        turn.span.end()
        turn.end(outcome)
        self._notify()

    def _void(self, turn: Turn) -> None:
        if turn.capability:
            self._holders.pop(_digest(turn.capability), None)
            turn.capability = ""

    def _notify(self) -> None:
        self.changed_at = time.time()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _answer(
    row: TurnRow, output: str, usage: dict[str, Any], sources: tuple[str, ...], asks: tuple[AskRow, ...]
) -> Answer:
    return Answer(output, row.session, row.id, row.trace_id, usage, sources, tuple(map(shown, asks)))


def _digest(capability: str) -> bytes:
    return hashlib.sha256(capability.encode()).digest()


def _later(seconds: float, do: Any, *args: Any) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(max(0.0, seconds), do, *args)
