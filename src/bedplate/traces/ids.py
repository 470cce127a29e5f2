"""Ids of traces and spans. Goes in: at most a trace id to use again. Comes out: random ids, or that one."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TraceIds:
    """OpenTelemetry's IdGenerator, which can begin a trace under an id that a turn has already."""

    def __init__(self) -> None:
        self._given = threading.local()

    @contextmanager
    def begin(self, trace_id: str) -> Iterator[None]:
        """Within it, this thread's next traces get `trace_id` (32 hex digits); new ones where it is empty."""
        self._given.trace_id = int(trace_id, 16) if trace_id else 0
        try:
            yield
        finally:
            self._given.trace_id = 0

    def generate_trace_id(self) -> int:
        """A trace id, never zero."""
        return getattr(self._given, "trace_id", 0) or _random(16)

    def generate_span_id(self) -> int:
        """A span id, never zero."""
        return _random(8)

    def is_trace_id_random(self) -> bool:
        """Whether the trace ids are random, for the flag of W3C Trace Context, level 2."""
        return True


def _random(size: int) -> int:
    return int.from_bytes(secrets.token_bytes(size), "big") or 1
