"""Progress on stderr while something takes longer than a blink: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bedplate.engine.api import Event
    from bedplate.evals.runner import Progress as Answered

_VERBS = {
    "create": ("creating", "created"),
    "update": ("updating", "updated"),
    "replace": ("replacing", "replaced"),
    "create-replacement": ("replacing", "replaced"),
    "delete": ("deleting", "deleted"),
    "delete-replaced": ("deleting old", "deleted old"),
    "read": ("reading", "read"),
    "read-replacement": ("reading", "read"),
    "import": ("importing", "imported"),
    "import-replacement": ("importing", "imported"),
    "discard": ("forgetting", "forgot"),
    "discard-replaced": ("forgetting old", "forgot old"),
    "remove-pending-replace": ("forgetting old", "forgot old"),
}
"""By operation. `same` is no news, and of a `refresh` only what it found is told (`drifted`)."""
_GROUPS = {"pulumi:pulumi:Stack", "bedplate:local:Stage"}
"""They hold other resources and are nothing themselves."""
_CLEAR = "\r\x1b[2K"


class Progress:
    """Takes engine events. Silent with `quiet` (for `--json`)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if event.kind == "stopping":
            self.note(event.message)
        if not self._quiet:
            drifted(event)
        if self._quiet or event.step is None or event.step.op not in _VERBS or event.step.type in _GROUPS:
            return
        doing, done = _VERBS[event.step.op]
        match event.kind:
            case "started" if self._live:
                self._write(f"{_CLEAR}  {doing} {event.step.name}…")
            case "done":
                seconds = time.monotonic() - self._started
                self._write(f"{_CLEAR if self._live else ''}  {done} {event.step.name} ({seconds:.1f}s)\n")
            case "failed":
                self._write(f"{_CLEAR if self._live else ''}  failed {event.step.name}\n")

    def note(self, text: str) -> None:
        """One line of talk."""
        if not self._quiet:
            self._write(f"{_CLEAR if self._live else ''}{text}\n")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def drifted(event: Event) -> None:
    """One line for what a refresh found to be changed or gone."""
    step = event.step
    if event.kind == "done" and step is not None and step.op == "refresh" and (step.diff or step.note):
        clear = _CLEAR if sys.stderr.isatty() else ""
        sys.stderr.write(f"{clear}  drift: {step.name}: {step.note or 'changed ' + ', '.join(step.diff)}\n")
        sys.stderr.flush()


@contextmanager
def waiting(text: str, *, quiet: bool = False) -> Iterator[None]:
    """A line that stands on a terminal while the block runs and is gone after it."""
    live = sys.stderr.isatty() and not quiet
    if live:
        sys.stderr.write(f"{text}…")
        sys.stderr.flush()
    try:
        yield
    finally:
        if live:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


def answers(progress: Answered) -> None:
    """How far an eval is: one live line on a terminal, two lines elsewhere."""
    if sys.stderr.isatty():
        end = _CLEAR if progress.done == progress.total else ""
        sys.stderr.write(f"{_CLEAR}  {progress.done}/{progress.total} {progress.sample.case.name[:60]}{end}")
        sys.stderr.flush()
    elif progress.done in {progress.total, progress.total // 2}:
        sys.stderr.write(f"  {progress.done}/{progress.total}\n")
        sys.stderr.flush()
