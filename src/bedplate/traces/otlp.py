"""OTLP requests: decoding them within bounds, walking their records, redacting them in place.

Goes in: bytes of an HTTP body. Comes out: protobuf messages and plain values. Format: OTLP 1.x over HTTP
(opentelemetry-proto); in its JSON form trace and span ids are hexadecimal, which protobuf's own JSON does not know.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bedplate.traces.redact import Redactor

Signal = Literal["traces", "logs"]
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MAX_DEPTH = 32


class OtlpError(ValueError):
    """The body is no OTLP request."""


class TooLarge(OtlpError):
    """The body is larger than allowed, before or after decompression."""


class UnknownEncoding(OtlpError):
    """A content type or content encoding that is not read here."""


def decode(body: bytes, content_type: str, encoding: str, signal: Signal, limit: int) -> Any:
    """The request message in `body`. Raises TooLarge, UnknownEncoding or OtlpError."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    data = inflate(body, encoding, limit)
    request = _request_type(signal)()
    match content_type.partition(";")[0].strip().lower():
        case "application/x-protobuf" | "application/protobuf":
            try:
                request.ParseFromString(data)
            except DecodeError as error:
                raise OtlpError(f"the protobuf cannot be read: {error}") from error
        case "application/json":
            _from_json(data, request)
        case other:
            raise UnknownEncoding(f"content type {other[:80] or 'none'} is not read; use {PROTOBUF} or {JSON}")
    return request


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding (none or gzip), never more than `limit` bytes of it in memory."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        data = body
    elif name == "gzip":
        data = _gunzip(body, limit)
    else:
        raise UnknownEncoding(f"content encoding {name[:40]} is not read; use gzip or none")
    if len(data) > limit:
        raise TooLarge(f"more than {limit} bytes")
    return data


def _gunzip(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        data = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise OtlpError(f"the gzip data is damaged: {error}") from error
    if len(data) <= limit and not stream.eof:
        raise OtlpError("the gzip data ends too early")
    return data


def _request_type(signal: Signal) -> Any:
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return ExportTraceServiceRequest
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return ExportLogsServiceRequest


def _from_json(data: bytes, request: Any) -> None:
    from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]

    try:
        document = _with_base64_ids(json.loads(data), 0)
        ParseDict(document, request, ignore_unknown_fields=True)
    except (ParseError, ValueError, RecursionError) as error:
        raise OtlpError(f"the JSON cannot be read: {str(error)[:200]}") from error


_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


def _with_base64_ids(node: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    match node:
        case dict():
            return {k: _base64(v) if k in _IDS else _with_base64_ids(v, depth + 1) for k, v in node.items()}
        case list():
            return [_with_base64_ids(item, depth + 1) for item in node]
        case _:
            return node


def _base64(hexadecimal: Any) -> str:
    return base64.b64encode(bytes.fromhex(str(hexadecimal))).decode()


def scopes(request: Any, signal: Signal) -> Iterator[tuple[Any, Any]]:
    """Each (resource, scope group) of a request."""
    for group in request.resource_spans if signal == "traces" else request.resource_logs:
        for scope in group.scope_spans if signal == "traces" else group.scope_logs:
            yield group.resource, scope


def records(request: Any, signal: Signal) -> Iterator[Any]:
    """Every span, or log record, of a request."""
    for _, scope in scopes(request, signal):
        yield from scope.spans if signal == "traces" else scope.log_records


def plain(value: Any, depth: int = 0) -> Any:
    """An AnyValue as a Python value. Nesting beyond MAX_DEPTH is cut."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item, depth + 1) for item in value.array_value.values] if depth < MAX_DEPTH else []
    if kind == "kvlist_value":
        return {kv.key: plain(kv.value, depth + 1) for kv in value.kvlist_value.values} if depth < MAX_DEPTH else {}
    if kind == "bytes_value":
        return value.bytes_value.decode("utf-8", "replace")
    return getattr(value, kind) if kind else None


def attributes_of(pairs: Any) -> dict[str, Any]:
    """A repeated KeyValue as a dictionary; of doubles the last one stays."""
    return {pair.key: plain(pair.value) for pair in pairs}


def set_attributes(pairs: Any, values: Mapping[str, Any]) -> None:
    """Replace a repeated KeyValue."""
    del pairs[:]
    for name, value in values.items():
        _set(pairs.add(key=name).value, value)


def _set(target: Any, value: Any) -> None:
    match value:
        case bool():
            target.bool_value = value
        case int():
            target.int_value = value
        case float():
            target.double_value = value
        case str():
            target.string_value = value
        case list():
            target.array_value.SetInParent()
            for item in value:
                _set(target.array_value.values.add(), item)
        case dict():
            target.kvlist_value.SetInParent()
            set_attributes(target.kvlist_value.values, value)
        case _:
            pass


def redact_request(request: Any, signal: Signal, redactor: Redactor) -> None:
    """Redact everything in a request that can hold text, in place."""
    for resource, scope in scopes(request, signal):
        for holder in (resource, scope.scope):
            _redact_attributes(holder.attributes, redactor)
    for record in records(request, signal):
        _redact_attributes(record.attributes, redactor)
        if signal == "traces":
            _redact_span(record, redactor)
        else:
            _redact_log(record, redactor)


def _redact_attributes(pairs: Any, redactor: Redactor) -> None:
    set_attributes(pairs, redactor.attributes(attributes_of(pairs)))


def _redact_span(span: Any, redactor: Redactor) -> None:
    span.name = redactor.text(span.name)
    span.status.message = redactor.message(span.status.message)
    for event in span.events:
        event.name = redactor.text(event.name)
        _redact_attributes(event.attributes, redactor)


def _redact_log(record: Any, redactor: Redactor) -> None:
    body = redactor.body(plain(record.body))
    record.body.Clear()
    _set(record.body, body)


def response(signal: Signal, partial: Mapping[str, Any] | None) -> bytes:
    """The protobuf answer to an export; `partial` holds the fields of its partial success."""
    if not partial:
        return b""
    answer: Any = _response_type(signal)(partial_success=dict(partial))
    encoded: bytes = answer.SerializeToString()
    return encoded


def _response_type(signal: Signal) -> Any:
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

        return ExportTraceServiceResponse
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    return ExportLogsServiceResponse
