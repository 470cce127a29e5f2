"""What the agent sends over OTLP, made safe to keep: its trace id, its claims and its text are not to be trusted.

Goes in: a request body. Comes out: an OTLP request in protobuf. It sends nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from bedplate.problems import BedplateError, Problem
from bedplate.traces import conventions as c
from bedplate.traces.otlp import OtlpError, TooLarge, decode, records, redact_request
from bedplate.traces.redact import Redactor

MAX_BODY = 1024 * 1024
"""Bytes, also after decompression."""
MAX_RECORDS = 2_000
_TRACE_ID_BYTES = 16


def stamped(
    body: bytes, content_type: str, encoding: str, signal: Literal["traces", "logs"], turn: str, trace_id: str,
    redactor: Redactor,
) -> tuple[bytes, int]:  # fmt: skip
    """The request in protobuf with every record in trace `trace_id`, marked as the agent's, and redacted.

    Returns it with the number of its records. Raises BP606 for a body that is no OTLP, BP607 for one that is too large.
    """
    try:
        request = decode(body, content_type, encoding, signal, MAX_BODY)
    except TooLarge as error:
        raise BedplateError(_too_large(str(error))) from error
    except OtlpError as error:
        raise BedplateError(_unreadable(str(error))) from error
    found = list(records(request, signal))
    if len(found) > MAX_RECORDS:
        raise BedplateError(_too_large(f"{len(found)} records"))
    for record in found:
        _stamp(record, turn, bytes.fromhex(trace_id))
    _strip_resources(request, signal)
    redact_request(request, signal, redactor)
    return request.SerializeToString(), len(found)


def _stamp(record: Any, turn: str, trace_id: bytes) -> None:
    record.trace_id = trace_id
    _strip(record.attributes)
    for name, value in ((c.SOURCE, "agent"), (c.TURN, turn)):
        record.attributes.add(key=name).value.string_value = value
    for event in getattr(record, "events", ()):
        _strip(event.attributes)
    if hasattr(record, "links"):
        del record.links[:]


def _strip_resources(request: Any, signal: str) -> None:
    groups = request.resource_spans if signal == "traces" else request.resource_logs
    for group in groups:
        _strip(group.resource.attributes)
        for scope in group.scope_spans if signal == "traces" else group.scope_logs:
            _strip(scope.scope.attributes)


def _strip(attributes: Any) -> None:
    """Remove what only the gateway may say: decisions, grants, costs, digests, and who the user is."""
    kept = [a for a in attributes if not a.key.startswith(c.OWN_PREFIX) and a.key != c.USER]
    if len(kept) < len(attributes):
        copies = [type(a).FromString(a.SerializeToString()) for a in kept]
        del attributes[:]
        attributes.extend(copies)


def _unreadable(why: str) -> Problem:
    return Problem("BP606", "this is no OTLP request", detail=why, fix="Send OTLP over HTTP, as protobuf or JSON.")


def _too_large(what: str) -> Problem:
    return Problem(
        "BP607",
        "an OTLP request is too large",
        detail=f"It has {what}; an agent may send {MAX_BODY // 1024} KiB and {MAX_RECORDS} records at a time.",
        fix="Export smaller batches (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).",
    )
