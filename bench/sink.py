"""Spans per second into the trace sink, with redaction, and its memory. Prints JSON.

    python bench/sink.py [--spans 15000] [--batch 500] [--content redacted]

Runs the real process on a loopback port and posts what the OpenTelemetry SDK encodes: turns of six spans with about
0.8 KB of text in each span that has any. `payloads` is made before the clock starts: it measures the sink alone.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_span_in_context

TOKEN = "bench-token-0123456789"
TEXT = (
    "A customer wrote from ada@example.org that the order of 2026-11-21 never came and asked to be called on "
    "+39 011 555 0147. The bedplate holds the engine; a release is a build in a stage, with its receipt. " * 4
)


def spans(count: int) -> list[Any]:
    """Turns of six spans each, as the gateway writes them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "bench", "bedplate.stage": "prototype"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")
    message = json.dumps([{"role": "user", "parts": [{"type": "text", "content": TEXT}]}])
    for number in range(count // 6):
        root = tracer.start_span("invoke_agent bench", attributes={
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bench",
            "gen_ai.conversation.id": f"s{number}",
            "gen_ai.input.messages": message, "gen_ai.output.messages": message, "bedplate.turn": f"t{number}",
        })  # fmt: skip
        context = set_span_in_context(root)
        for step in range(3):
            tracer.start_span("chat model", context, attributes={
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": "p", "gen_ai.request.model": "m",
                "gen_ai.response.model": "m", "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 80 + step,
                "gen_ai.response.finish_reasons": ["stop"], "gen_ai.input.messages": message,
            }).end()  # fmt: skip
        for _ in range(2):
            tracer.start_span("execute_tool docs.search", context, attributes={
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "docs.search", "gen_ai.tool.call.id": "c1",
                "bedplate.decision": "allow", "bedplate.grant": "abc", "bedplate.grant.where": "agent.yaml:12",
                "gen_ai.tool.call.arguments": '{"query": "release"}', "gen_ai.tool.call.result": TEXT,
            }).end()  # fmt: skip
        root.end()
    return list(exporter.get_finished_spans())


def start(folder: Path, content: str) -> tuple[subprocess.Popen[bytes], int]:
    """The sink's process, and its port."""
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "sink-token").write_text(TOKEN)
    config = folder / "sink.json"
    config.write_text(json.dumps({
        "folder": str(folder / "traces"), "retention": 86400, "content": content, "secretsFolder": str(secrets),
    }))  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "bedplate.traces.sink", str(config)],
        pass_fds=[listener.fileno()],
        env={**os.environ, "BEDPLATE_LISTEN_FD": str(listener.fileno())},
    )
    port = int(listener.getsockname()[1])
    listener.close()
    return process, port


def rss(pid: int) -> float:
    """Resident memory in MiB: what the process holds alone and with others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def cpu(pid: int) -> float:
    """Processor seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(count: int, batch: int, content: str, folder: Path) -> dict[str, Any]:
    """Post everything and wait for the last answer; what is answered is stored."""
    made = spans(count)
    payloads = [encode_spans(made[i : i + batch]).SerializeToString() for i in range(0, len(made), batch)]
    began = time.perf_counter()
    process, port = start(folder, content)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-protobuf"}
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            client.get("/ping").raise_for_status()
            ready, before, used = time.perf_counter() - began, rss(process.pid), cpu(process.pid)
            began = time.perf_counter()
            for payload in payloads:
                client.post("/v1/traces", content=payload).raise_for_status()
            seconds = time.perf_counter() - began
            after, used = rss(process.pid), cpu(process.pid) - used
    finally:
        process.terminate()
        process.wait(20)
    size = sum(path.stat().st_size for path in (folder / "traces").iterdir())
    return {
        "spans": len(made),
        "content": content,
        "batch": batch,
        "ready_s": round(ready, 3),
        "seconds": round(seconds, 3),
        "spans_per_second": round(len(made) / seconds),
        "spans_per_cpu_second": round(len(made) / used) if used else None,
        "rss_start_mib": round(before, 1),
        "rss_end_mib": round(after, 1),
        "disk_bytes_per_span": round(size / len(made)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=15_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--content", choices=("none", "redacted", "full"), default="redacted")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.spans, given.batch, given.content, Path(folder)), indent=2))


if __name__ == "__main__":
    main()
