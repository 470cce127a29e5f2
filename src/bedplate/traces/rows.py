"""From OTLP messages to rows of a segment, redacted on the way.

Goes in: an export request and a redactor. Comes out: rows, and how many records were refused. It writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from bedplate.traces import conventions as c
from bedplate.traces.otlp import attributes_of, plain, scopes
from bedplate.traces.redact import Redactor
from bedplate.traces.segments import LogRow, SpanRow

MAX_TEXT = 64 * 1024
"""Characters kept of one attribute's text."""
MAX_EVENTS = 128
MAX_INT = 2**63 - 1


def span_rows(request: Any, redactor: Redactor) -> tuple[list[SpanRow], int]:
    """The spans of a trace request, and how many were refused for lack of proper ids."""
    rows: list[SpanRow] = []
    refused = 0
    for resource, scope in scopes(request, "traces"):
        about = redactor.attributes(attributes_of(resource.attributes))
        body = _json(about)
        for span in scope.spans:
            if len(span.trace_id) == 16 and len(span.span_id) == 8 and any(span.trace_id) and any(span.span_id):
                rows.append(_span_row(span, about, body, redactor))
            else:
                refused += 1
    return rows, refused


def _span_row(span: Any, about: Mapping[str, Any], resource: str, redactor: Redactor) -> SpanRow:
    given = redactor.attributes(attributes_of(span.attributes))
    content = {name: given.pop(name) for name in [n for n in given if c.is_content(n)]}
    return SpanRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=redactor.text(span.name[:MAX_TEXT]),
        kind=span.kind,
        operation=_text(given.get(c.OPERATION)),
        source=_text(given.get(c.SOURCE)),
        started=min(span.start_time_unix_nano, MAX_INT),
        ended=min(span.end_time_unix_nano, MAX_INT),
        status=span.status.code,
        message=redactor.message(span.status.message[:MAX_TEXT]),
        agent=_text(given.get(c.AGENT_NAME) or about.get(c.SERVICE_NAME)),
        stage=_text(about.get(c.STAGE)),
        session=_text(given.get(c.CONVERSATION)),
        model=_text(given.get(c.RESPONSE_MODEL) or given.get(c.REQUEST_MODEL)),
        tool=_text(given.get(c.TOOL_NAME)),
        decision=_text(given.get(c.DECISION)),
        input_tokens=_whole(given.get(c.INPUT_TOKENS)),
        output_tokens=_whole(given.get(c.OUTPUT_TOKENS)),
        cost=_number(given.get(c.COST)),
        resource=resource,
        attributes=_json(given),
        events=_json([_event(event, redactor) for event in span.events[:MAX_EVENTS]]) if span.events else "[]",
        content=_json(content) if content else "",
    )


def _event(event: Any, redactor: Redactor) -> dict[str, Any]:
    attributes = redactor.attributes(attributes_of(event.attributes))
    return {"name": redactor.text(event.name), "at": event.time_unix_nano, "attributes": attributes}


def log_rows(request: Any, redactor: Redactor) -> tuple[list[LogRow], int]:
    """The records of a log request; none is refused."""
    rows = []
    for resource, scope in scopes(request, "logs"):
        about = _json(redactor.attributes(attributes_of(resource.attributes)))
        rows += [_log_row(record, about, redactor) for record in scope.log_records]
    return rows, 0


def _log_row(record: Any, resource: str, redactor: Redactor) -> LogRow:
    body = _json(redactor.body(plain(record.body)))
    attributes = _json(redactor.attributes(attributes_of(record.attributes)))
    at = min(record.time_unix_nano or record.observed_time_unix_nano, MAX_INT)
    name = redactor.text(record.event_name[:MAX_TEXT])
    identity = "\0".join((record.trace_id.hex(), record.span_id.hex(), str(at), name, body, attributes, resource))
    return LogRow(
        digest=hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()[:16],
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        at=at,
        severity=record.severity_number,
        name=name,
        body=body,
        attributes=attributes,
        resource=resource,
    )


def _json(value: Any) -> str:
    return json.dumps(_cut(value), ensure_ascii=False, separators=(",", ":"))


def _cut(value: Any) -> Any:
    match value:
        case str() if len(value) > MAX_TEXT:
            return f"{value[:MAX_TEXT]}… [{len(value) - MAX_TEXT} characters cut]"
        case float() if not math.isfinite(value):
            return str(value)  # JSON has no such numbers
        case dict():
            return {name: _cut(item) for name, item in value.items()}
        case list():
            return [_cut(item) for item in value]
        case _:
            return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
