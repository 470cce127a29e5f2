"""The way out to the sink: a bounded queue, one thread, OTLP/HTTP posts. Never blocks or breaks who puts something in.

Goes in: ended spans and OTLP bodies. Comes out: POST requests. What finds the queue full, or the sink away for longer
than the retries last, is dropped, counted and logged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

log = logging.getLogger("bedplate.traces")

MAX_QUEUE = 4096
MAX_BATCH = 256
MAX_QUEUED_BYTES = 64 * 1024 * 1024
DELAY = 0.2
"""Seconds that a span may wait for company."""
RETRIES = (0.1, 0.3, 1.0, 3.0)
"""Pauses in seconds between tries: long enough for a sink that is being restarted."""
PROTOBUF = "application/x-protobuf"


def _ends_a_turn(item: ReadableSpan | Body) -> bool:
    return not isinstance(item, Body) and item.parent is None


@dataclass(frozen=True)
class Body:
    """An OTLP request that is encoded already. `path` is `/v1/traces` or `/v1/logs`."""

    path: str
    data: bytes
    count: int


class Outbox:
    """The queue and its thread. `endpoint` is the sink's base URL; `dropped` counts spans that never got there.

    The SDK's own BatchSpanProcessor is not used: it does not tell how much it dropped, and what the agent sends has to
    wait in the same queue.
    """

    def __init__(
        self,
        endpoint: str,
        token: str,
        *,
        timeout: float = 5.0,
        retries: Sequence[float] = RETRIES,
        delay: float = DELAY,
    ) -> None:
        import ssl

        import httpx2

        headers = {"Authorization": f"Bearer {token}", "Content-Type": PROTOBUF}
        # Plain HTTP needs no certificates, and reading them takes 20 ms: this context trusts nobody.
        trust: ssl.SSLContext | bool = endpoint.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx2.Client(
            base_url=endpoint.rstrip("/"), headers=headers, timeout=timeout, trust_env=False, verify=trust
        )
        self._retries = tuple(retries)
        self._delay = delay
        self._queue: deque[ReadableSpan | Body] = deque()
        self._bytes = 0
        self._busy = False
        self._closing = False
        self._hurry = False
        self._changed = threading.Condition()
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="bedplate-traces", daemon=True)
        self._thread.start()

    def put(self, item: ReadableSpan | Body) -> bool:
        """Queue something; False where it was dropped. Takes microseconds."""
        size = len(item.data) if isinstance(item, Body) else 0
        with self._changed:
            full = len(self._queue) >= MAX_QUEUE or self._bytes + size > MAX_QUEUED_BYTES or self._closing
            if not full:
                self._queue.append(item)
                self._bytes += size
                self._hurry = self._hurry or _ends_a_turn(item)
                self._changed.notify_all()
        if full:
            self._drop(item.count if isinstance(item, Body) else 1, "the queue to the trace sink is full")
        return not full

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything queued so far was sent or dropped. False where that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Send what is queued, for at most `timeout` seconds, then stop. Safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._drop(len(self._queue), "the trace sink did not answer before the end")
        self._client.close()

    def _work(self) -> None:
        while batch := self._take():
            try:
                self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - this thread must outlive whatever a span holds
                self._drop(len(batch), f"spans could not be encoded: {error!r}")
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _take(self) -> list[ReadableSpan | Body]:
        """The next batch; empty only when closing and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._closing)
            if not self._closing and len(self._queue) < MAX_BATCH:
                self._changed.wait_for(self._due, self._delay)
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
            self._hurry = False
            self._bytes -= sum(len(item.data) for item in batch if isinstance(item, Body))
            self._busy = bool(batch)
        return batch

    def _due(self) -> bool:
        """Whether a batch goes out now: it is full, a turn ended (its trace is worth its own post), or all ends."""
        return len(self._queue) >= MAX_BATCH or self._hurry or self._closing

    def _deliver(self, batch: list[ReadableSpan | Body]) -> None:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        spans = [item for item in batch if not isinstance(item, Body)]
        bodies = [item for item in batch if isinstance(item, Body)]
        if spans:
            bodies.insert(0, Body("/v1/traces", encode_spans(spans).SerializeToString(), len(spans)))
        for body in bodies:
            if trouble := self._send(body):
                self._drop(body.count, trouble)

    def _send(self, body: Body) -> str:
        """Post, with retries while the sink is away or full. Returns what went wrong, or nothing."""
        trouble = ""
        for pause in (*self._retries, None):
            trouble, again = self._post(body)
            if not trouble or not again or pause is None or (self._closing and pause > self._retries[0]):
                return trouble
            time.sleep(pause)
        return trouble

    def _post(self, body: Body) -> tuple[str, bool]:
        import httpx2

        try:
            answer = self._client.post(body.path, content=body.data)
        except httpx2.HTTPError as error:
            return f"the trace sink cannot be reached: {error}", True
        if answer.status_code == 200:
            return "", False
        return f"the trace sink answered {answer.status_code}", answer.status_code in (429, 502, 503, 504)

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if count:
            log.warning("%d spans dropped (%d in all): %s", count, self.dropped, why)


class Processor:
    """OpenTelemetry's SpanProcessor that puts sampled spans into an outbox when they end."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do before a span ends."""

    def _on_ending(self, span: Span) -> None:
        """Part of the SDK's protocol."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that ended."""
        context: Any = span.context
        if context and context.trace_flags.sampled:
            self._outbox.put(span)

    def shutdown(self) -> None:
        """Send what is left and stop."""
        self._outbox.close()

    def force_flush(self, timeout_millis: int = 5_000) -> bool:
        """Wait until the queue is empty."""
        return self._outbox.flush(timeout_millis / 1000)
