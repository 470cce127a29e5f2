"""A run under way: how many steps go on at once, and how it ends early.

Goes in: calls that carry out steps, and requests to stop. Comes out: their results. The first request lets no new step
begin; the second leaves even those that run: their threads are daemons, and the journal says that they had begun.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from bedplate.problems import BedplateError, Problem

T = TypeVar("T")


class Stopped(Exception):
    """What has not begun when a run ends early: after a failure, or because somebody asked for it."""


@dataclass(frozen=True)
class Ended:
    """How a call ended: with a value or with an error. `key` is what it was begun with."""

    key: Any
    value: Any = None
    error: BaseException | None = None


class Run:
    """At most `parallel` steps at once, on threads of its own."""

    def __init__(self, parallel: int) -> None:
        self.parallel = parallel
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._left = 0
        self._requests = 0
        self._waiting: dict[int, SimpleQueue[Ended]] = {}
        self._inside = threading.local()
        self._endings: list[Callable[[], None]] = []
        self._asked: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._asking: list[threading.Thread] = []

    @property
    def stopped(self) -> bool:
        """Whether no new step may begin."""
        return self._requests > 0

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for running steps any more."""
        return self._requests > 1

    def cancel(self) -> None:
        """Stop: first after the running steps, the second time at once. Takes no lock, for signal handlers."""
        self._requests += 1
        for calls in tuple(self._asked):
            # On threads of their own: a signal handler must not wait for anybody.
            if self._requests <= len(calls):
                thread = threading.Thread(target=calls[self._requests - 1], name="bedplate-stop", daemon=True)
                self._asking.append(thread)
                thread.start()
        if self.abandoned:
            for answers in list(self._waiting.values()):
                answers.put(Ended(None, error=Stopped()))

    def step(self, call: Callable[[], T]) -> T:
        """Carry out one step and wait for its end. Raises Stopped where it may not begin or is left."""
        if getattr(self._inside, "step", False):
            # A part of a step that runs already: waiting for another thread could wait for ever.
            self.require_going()
            return call()
        answers: SimpleQueue[Ended] = SimpleQueue()
        self.begin(None, call, answers)
        ended = self.wait(answers)
        if ended.error is not None:
            raise ended.error
        value: T = ended.value
        return value

    def begin(self, key: object, call: Callable[[], object], answers: SimpleQueue[Ended]) -> None:
        """Carry out a step as soon as there is room; its end is put into `answers`."""

        def job() -> None:
            try:
                self.require_going()
                ended = Ended(key, call())
            except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits raises it
                ended = Ended(key, error=error)
            answers.put(ended)

        with self._lock:
            self._left += 1
            more = self._threads < min(self.parallel, self._left)
            self._threads += more
        self._jobs.put(job)
        if more:
            threading.Thread(target=self._work, name="bedplate-step", daemon=True).start()

    def wait(self, answers: SimpleQueue[Ended]) -> Ended:
        """The next end of what was begun with `answers`."""
        self._waiting[id(answers)] = answers
        try:
            # Looked at after it was entered, so that a request in between is not missed.
            return Ended(None, error=Stopped()) if self.abandoned else answers.get()
        finally:
            del self._waiting[id(answers)]

    def require_going(self) -> None:
        """Raise Stopped where no new step may begin."""
        if self.stopped:
            raise Stopped

    def ending(self, call: Callable[[], None]) -> None:
        """Have `call` made when the run is closed."""
        self._endings.append(call)

    def cancelling(self, first: Callable[[], None], second: Callable[[], None]) -> None:
        """Have calls made when somebody asks for the run's end, and when they ask again."""
        self._asked.append((first, second))

    def close(self) -> None:
        """End the threads once they are done, and what has to end with the run."""
        for thread in self._asking:
            thread.join()
        for ending in self._endings:
            ending()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        self._inside.step = True
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._left -= 1


def stopped_error(what: str, *, at_once: bool) -> BedplateError:
    """The error of a run that somebody ended early."""
    if at_once:
        detail = "Steps that were running are left where they were; the state names them as pending operations."
    else:
        detail = "Steps that were running have finished and are recorded; nothing else was begun."
    return BedplateError(
        Problem("BP231", f"{what} was stopped", detail=detail, fix="run the same command again to go on from there")
    )
