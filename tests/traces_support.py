"""A real sink process for tests, and OTLP requests made by hand."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

TOKEN = "sink-token-0123456789"
CANARY = "canary-Secret/42+x"


@dataclass
class SinkProcess:
    """A running sink: its process, address and folder."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log: Path

    def post(self, path: str, content: bytes, **headers: str) -> httpx2.Response:
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-protobuf"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.post(f"{self.url}{path}", content=content, headers=given, timeout=20)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@contextmanager
def sink(tmp_path: Path, port: int = 0, **config: Any) -> Iterator[SinkProcess]:
    """Start a sink as the supervisor does, wait until it answers, end it."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "sink-token").write_text(TOKEN + "\n")
    (secrets / "crm-key").write_text(CANARY + "\n")
    folder = tmp_path / "traces"
    settings = {"folder": str(folder), "retention": 86400, "content": "redacted", "secretsFolder": str(secrets)}
    path = tmp_path / "sink.json"
    path.write_text(json.dumps(settings | config))
    with socket.create_server(("127.0.0.1", port)) as listener, (tmp_path / "sink.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "bedplate.traces.sink", str(path)],
            pass_fds=[listener.fileno()],
            env={"PATH": os.environ["PATH"], "BEDPLATE_LISTEN_FD": str(listener.fileno())},
            stderr=log,
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        assert httpx2.get(f"{url}/ping", timeout=20).json() == {"status": "Healthy"}
        yield SinkProcess(process, url, folder, tmp_path / "sink.log")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def request(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> bytes:
    """A trace request in protobuf. Keys of a span that `message` does not know are attributes."""
    return message(*spans, resource=resource).SerializeToString()


def message(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> Any:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from bedplate.traces.otlp import set_attributes

    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    set_attributes(group.resource.attributes, resource or {"service.name": "support", "bedplate.stage": "prototype"})
    scope = group.scope_spans.add()
    for given in spans:
        fields = dict(given)
        span = scope.spans.add(
            trace_id=fields.pop("trace"),
            span_id=fields.pop("span"),
            parent_span_id=fields.pop("parent", b""),
            name=fields.pop("name", "work"),
            start_time_unix_nano=fields.pop("start", time.time_ns()),
            end_time_unix_nano=fields.pop("end", time.time_ns()),
        )
        span.status.code = fields.pop("status", 0)
        span.status.message = fields.pop("message", "")
        set_attributes(span.attributes, fields)
    return made


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def all_bytes(folder: Path) -> bytes:
    """Every byte of every file below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
