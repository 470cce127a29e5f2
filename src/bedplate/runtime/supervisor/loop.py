"""A small event loop on `selectors`: readable descriptors, timers, signals. One thread, no other dependency."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Callback = Callable[[], None]


@dataclass(order=True)
class Timer:
    """A callback at a time of the monotonic clock; `cancel` makes it do nothing."""

    when: float
    order: int
    callback: Callback | None = field(compare=False)

    def cancel(self) -> None:
        """Do nothing when the time comes."""
        self.callback = None


class Loop:
    """Runs callbacks until `stop`. Callbacks that raise end the loop: the supervisor has no errors to hide."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._running = False

    def watch(self, descriptor: int, callback: Callback, *, write: bool = False) -> None:
        """Call back whenever `descriptor` is readable (or writable)."""
        event = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        if descriptor in self._selector.get_map():
            self._selector.modify(descriptor, event, callback)
        else:
            self._selector.register(descriptor, event, callback)

    def forget(self, descriptor: int) -> None:
        """Stop watching; nothing happens where it was not watched."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once after `seconds`."""
        timer = Timer(time.monotonic() + seconds, next(self._order), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def on_signals(self, numbers: tuple[int, ...], callback: Callable[[int], None]) -> None:
        """Call back, on the loop, with each signal of `numbers` that arrives."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

        def arrived() -> None:
            for number in set(os.read(reader.fileno(), 4096)):
                callback(number)

        self.watch(reader.fileno(), arrived)
        self._signals = reader

    def run(self) -> None:
        """Until `stop`."""
        self._running = True
        while self._running:
            for key, _ in self._selector.select(self._pause()):
                # an earlier callback of this round may have closed it
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            self._fire()

    def stop(self) -> None:
        """Return from `run` after this round."""
        self._running = False

    def _pause(self) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].when - time.monotonic()) if self._timers else None

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].when <= now:
            timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()
