"""The one span that the agent writes of a turn, as OTLP/JSON, and the `traceparent` that its calls carry.

Goes in: the turn's traceparent (W3C Trace Context). Comes out: a header and a JSON document. No I/O.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from bedplate.runtime.agent.job import Job
from bedplate.traces import conventions as c

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_INTERNAL = 1
_ERROR = 2


@dataclass(frozen=True)
class TurnSpan:
    """`invoke_agent` of one turn; `trace` is empty where the job named no trace."""

    trace: str
    parent: str
    flags: str
    started: int = field(default_factory=time.time_ns)
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, traceparent: str) -> TurnSpan:
        """The span below `traceparent`."""
        match = _PARENT.fullmatch(traceparent)
        return cls(match[1], match[2], match[3]) if match else cls("", "", "00")

    @property
    def sampled(self) -> bool:
        """Whether this trace is recorded."""
        return bool(self.trace) and bool(int(self.flags, 16) & 1)

    @property
    def headers(self) -> dict[str, str]:
        """What the turn's calls carry."""
        return {"traceparent": f"00-{self.trace}-{self.id}-{self.flags}"} if self.trace else {}

    def document(self, name: str, job: Job, error: str | None) -> dict[str, Any]:
        """The ExportTraceServiceRequest with this span, ended now. `error` is the code that the turn failed with."""
        attributes = {c.OPERATION: c.INVOKE_AGENT, c.AGENT_NAME: name, c.CONVERSATION: job.session}
        span = {
            "traceId": self.trace,
            "spanId": self.id,
            "parentSpanId": self.parent,
            "name": f"{c.INVOKE_AGENT} {name}",
            "kind": _INTERNAL,
            "startTimeUnixNano": str(self.started),
            "endTimeUnixNano": str(time.time_ns()),
            "attributes": _attributes(attributes | ({c.ERROR_TYPE: error} if error else {})),
            "status": {"code": _ERROR} if error else {},
        }
        scoped = {"scope": {"name": "bedplate.agent"}, "spans": [span]}
        return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scoped]}]}


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
