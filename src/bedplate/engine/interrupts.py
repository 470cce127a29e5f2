"""Ctrl-C while an engine runs: first after the running steps, then at once.

Goes in: an engine, and where to say what happens. Comes out: calls of its `cancel`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bedplate.engine.api import Engine

SAID = (
    "Stopping: running steps finish, no new one begins. Ctrl-C again stops at once.",
    "Stopping at once: what was running is left as it is and settled by the next run.",
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable(engine: Engine, tell: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, SIGINT and SIGTERM end the engine's runs in two stages; a third one raises KeyboardInterrupt.

    Only the main thread can take signals; in another one they stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = 0

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked > len(SAID):
            raise KeyboardInterrupt
        engine.cancel()
        # On a thread of its own: the signal may have come in the middle of writing to the same stream.
        threading.Thread(target=tell, args=(SAID[asked - 1],), daemon=True).start()

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
