"""Writing the gateway's spans. Goes in: what happens in a turn. Comes out: redacted spans on their way to the sink.

Nothing here blocks or breaks a turn: spans wait in a bounded queue (`outbox`), and what cannot be sent is counted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from bedplate.traces import conventions as c
from bedplate.traces.ids import TraceIds
from bedplate.traces.outbox import DELAY, Body, Outbox, Processor
from bedplate.traces.redact import Content, Redactor

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from bedplate.access import Decision


@dataclass(frozen=True)
class TraceResource:
    """Who writes the spans: the agent's name, its stage, the two digests, the owner, Bedplate's version."""

    agent: str
    stage: str
    build: str
    behaviour: str
    owner: str = ""
    version: str = ""

    def attributes(self) -> dict[str, str]:
        """As resource attributes, empty ones left out."""
        named = {
            c.SERVICE_NAME: self.agent, c.SERVICE_VERSION: self.version, c.STAGE: self.stage, c.BUILD: self.build,
            c.BEHAVIOUR: self.behaviour, c.OWNER: self.owner,
        }  # fmt: skip
        return {name: value for name, value in named.items() if value}


class _Handle:
    """One open span. Ends once; used as a context manager it ends itself and records an exception as failure."""

    def __init__(self, span: Span, redactor: Redactor) -> None:
        self._span = span
        self._redactor = redactor

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return format(self._span.get_span_context().trace_id, "032x")

    @property
    def traceparent(self) -> str:
        """W3C trace context of this span, for its children."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def fail(self, code: str, message: str = "") -> None:
        """Mark the span as failed, unless it has ended: what ended it stands in it already.

        `code` is a stable code or type; `message` is redacted.
        """
        from opentelemetry.trace import Status, StatusCode

        if not self._span.is_recording():
            return
        self._span.set_attribute(c.ERROR_TYPE, code)
        self._span.set_status(Status(StatusCode.ERROR, self._redactor.message(message) or None))

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes, redacted; None values are left out. A span that has ended takes no more."""
        if not self._span.is_recording():
            return
        given = {name: value for name, value in attributes.items() if value is not None}
        self._span.set_attributes(dict(self._redactor.attributes(given)))

    def end(self) -> None:
        """End the span. Safe to call twice."""
        if self._span.is_recording():
            self._span.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(type(error).__name__, str(error))
        self.end()


class TurnSpan(_Handle):
    """The root of a turn's trace."""

    def output(self, text: str) -> None:
        """The answer that the caller gets."""
        self.set({c.OUTPUT_MESSAGES: _message("assistant", text)})

    def child(self, claimed: str | None) -> str:
        """The traceparent for a call that the agent made: its own span where it lies in this trace, else this one.

        Whatever an agent claims, it can neither leave the turn's trace nor change whether it is sampled.
        """
        context = self._span.get_span_context()
        parts = (claimed or "").strip().split("-")
        if len(parts) < 4 or parts[1] != self.trace_id or not _is_span_id(parts[2]):
            return self.traceparent
        return f"00-{self.trace_id}-{parts[2]}-{int(context.trace_flags):02x}"


class ToolSpan(_Handle):
    """One tool call."""

    def decided(self, decision: Decision) -> None:
        """What the decider said, with the grant and its line, or the reason of a denial."""
        given = {
            c.GRANT: decision.grant or None, c.GRANT_WHERE: decision.where or None, c.REASON: decision.reason or None,
        }  # fmt: skip
        self.set({c.DECISION: decision.effect.word, **given})

    def result(self, text: str, error: bool = False) -> None:
        """What the tool gave back."""
        self.set({c.TOOL_RESULT: text})
        if error:
            self.fail("tool_error", text[:500])


class ModelSpan(_Handle):
    """One call of the model."""

    def input(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """The messages as sent, in any provider's shape."""
        self.set({c.INPUT_MESSAGES: json.dumps(list(messages), ensure_ascii=False, default=str)})

    def response(
        self, model: str, finish: str | None = None, input_tokens: int | None = None, output_tokens: int | None = None,
        cost: float | None = None, output: str | None = None,
    ) -> None:  # fmt: skip
        """What came back: the model that answered, why it stopped, tokens, US dollars, text. None: not known."""
        self.set({
            c.RESPONSE_MODEL: model or None, c.FINISH_REASONS: [finish] if finish else None,
            c.INPUT_TOKENS: input_tokens, c.OUTPUT_TOKENS: output_tokens, c.COST: cost,
            c.OUTPUT_MESSAGES: _message("assistant", output) if output is not None else None,
        })  # fmt: skip


class MemorySpan(_Handle):
    """One search or update of long-term memory."""

    def count(self, n: int) -> None:
        """How many facts were found or written."""
        self.set({c.COUNT: n})


class GatewayTracer:
    """Writes the spans of one gateway. `endpoint` is the sink's base URL, `token` its bearer token.

    `sample_ratio` is the share of turns traced, 0 to 1; an unsampled turn has ids all the same. `dropped` counts spans
    that could not be sent.
    """

    def __init__(
        self, resource: TraceResource, endpoint: str, token: str, *, sample_ratio: float = 1.0,
        content: Content = "redacted", redactor: Redactor | None = None, delay: float = DELAY,
    ) -> None:  # fmt: skip
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        self._agent = resource.agent
        self._content = content
        self._token = token
        self._redactor = redactor or Redactor(content=content, secrets=(token,))
        self._outbox = Outbox(endpoint, token, delay=delay)
        self._ids = TraceIds()
        self._provider = TracerProvider(
            id_generator=self._ids,  # type: ignore[arg-type] # a structural match
            resource=Resource(resource.attributes(), c.SCHEMA_URL), sampler=ParentBasedTraceIdRatio(sample_ratio),
            shutdown_on_exit=False,
        )  # fmt: skip
        self._provider.add_span_processor(Processor(self._outbox))  # type: ignore[arg-type] # a structural match
        self._tracer = self._provider.get_tracer(c.SCOPE, resource.version, schema_url=c.SCHEMA_URL)

    @property
    def dropped(self) -> int:
        """Spans that never reached the sink."""
        return self._outbox.dropped

    def turn(self, *, agent: str, session: str, user: str, turn_id: str, input: str, trace_id: str = "") -> TurnSpan:
        """Open the root span of a turn, which begins a new trace.

        With `trace_id` it is the root of that one: a turn that a restarted gateway runs again. Its first root was lost.
        """
        attributes = {
            c.OPERATION: c.INVOKE_AGENT, c.AGENT_NAME: agent, c.CONVERSATION: session, c.USER: self.person(user),
            c.TURN: turn_id, c.INPUT_MESSAGES: _message("user", input),
        }  # fmt: skip
        with self._ids.begin(trace_id):
            span = self._start(f"{c.INVOKE_AGENT} {agent}", "SERVER", None, attributes)
        return TurnSpan(span, self._redactor)

    def tool(self, parent: str, *, tool: str, operation: str, call_id: str, arguments: Mapping[str, Any]) -> ToolSpan:
        """Open the span of a tool call below `parent` (a traceparent)."""
        name = f"{tool}.{operation}"
        attributes = {
            c.OPERATION: c.EXECUTE_TOOL, c.TOOL_NAME: name, c.TOOL_CALL_ID: call_id, c.TOOL_TYPE: "function",
            c.TOOL_ARGUMENTS: json.dumps(self._redactor.value(dict(arguments)), ensure_ascii=False, default=str),
        }  # fmt: skip
        return ToolSpan(self._start(f"{c.EXECUTE_TOOL} {name}", "INTERNAL", parent, attributes), self._redactor)

    def model(self, parent: str, *, requested: str, provider: str) -> ModelSpan:
        """Open the span of a model call below `parent`."""
        attributes = {c.OPERATION: c.CHAT, c.REQUEST_MODEL: requested, c.PROVIDER: provider}
        return ModelSpan(self._start(f"{c.CHAT} {requested}", "CLIENT", parent, attributes), self._redactor)

    def memory(self, parent: str, *, operation: c.MemoryOperation) -> MemorySpan:
        """Open the span of a search in long-term memory, or of an update, below `parent`."""
        return MemorySpan(self._start(operation, "INTERNAL", parent, {c.OPERATION: operation}), self._redactor)

    def forward(
        self, body: bytes, content_type: str, turn_id: str, trace_id: str,
        *, signal: Literal["traces", "logs"] = "traces", encoding: str = "",
    ) -> int:  # fmt: skip
        """Pass on what the agent sent over OTLP, stamped with its turn; returns the number of spans or records.

        Its trace id becomes the turn's, attributes under `bedplate.` are stripped, text is redacted. Raises BP606 for
        a body that is no OTLP, BP607 for one over 1 MiB. `encoding` is the Content-Encoding header.
        """
        from bedplate.traces.forward import stamped

        data, count = stamped(body, content_type, encoding, signal, turn_id, trace_id, self._redactor)
        if count:
            self._outbox.put(Body(f"/v1/{signal}", data, count))
        return count

    def person(self, user: str) -> str:
        """How a user stands in spans: as named where content is `full`, else a hash keyed with this stage's token."""
        if self._content == "full":
            return user
        return pseudonym(self._token, self._agent, user)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything was sent or dropped; False after `timeout` seconds."""
        return self._outbox.flush(timeout)

    def close(self) -> None:
        """Send what is left, for at most 5 seconds, and stop."""
        self._outbox.close()

    def _start(self, name: str, kind: str, parent: str | None, attributes: Mapping[str, Any]) -> Span:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        context = _remote(parent) if parent else Context()
        safe = dict(self._redactor.attributes(attributes))
        return self._tracer.start_span(self._redactor.text(name), context, SpanKind[kind], safe)


def pseudonym(token: str, agent: str, user: str) -> str:
    """A user's name in traces: 16 hex digits keyed with the sink's token, so that no list of names reveals it."""
    return hmac.new(token.encode(), f"{agent}\0{user}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
        :16
    ]


def _remote(traceparent: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context=Context())


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}], ensure_ascii=False)


def _is_span_id(text: str) -> bool:
    return len(text) == 16 and all(ch in "0123456789abcdef" for ch in text) and text != "0" * 16
