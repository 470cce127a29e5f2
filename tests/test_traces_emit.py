"""The gateway's tracer against a real sink: a turn's trace, what an agent may not forge, what gets lost."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from bedplate.access import Decision, Effect
from bedplate.problems import BedplateError
from bedplate.traces import conventions as c
from bedplate.traces.emit import GatewayTracer, TraceResource
from bedplate.traces.outbox import MAX_QUEUE, Outbox
from bedplate.traces.query import get_trace, list_traces
from bedplate.traces.redact import Content, Redactor
from traces_support import CANARY, TOKEN, SinkProcess, all_bytes, message, request, sink, span_id, trace_id

RESOURCE = TraceResource("support", "prototype", "sha256:b", "sha256:h", "team-support", "0.1.0")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SinkProcess]:
    with sink(tmp_path) as process:
        yield process


def tracer(running: SinkProcess, content: Content = "redacted", sample_ratio: float = 1.0) -> GatewayTracer:
    redactor = Redactor(content=content, secrets=[CANARY])
    return GatewayTracer(
        RESOURCE, running.url, TOKEN, sample_ratio=sample_ratio, content=content, redactor=redactor
    )  # fmt: skip


def a_turn(tracer: GatewayTracer, user: str = "ada") -> str:
    """A turn with everything in it; returns its trace id."""
    with tracer.turn(
        agent="support", session="s1", user=user, turn_id="t1", input=f"I am ada@example.org {CANARY}"
    ) as turn:
        with tracer.memory(turn.traceparent, operation="search_memory") as memory:
            memory.count(2)
        with tracer.model(turn.traceparent, requested="m-1", provider="openai") as model:
            model.input([{"role": "user", "content": f"hello {CANARY}"}])
            model.response("m-1-2026", "stop", 100, 20, 0.0012, "an answer")
        with tracer.tool(
            turn.traceparent, tool="docs", operation="search", call_id="c1", arguments={"q": CANARY, "password": "x"}
        ) as tool:
            tool.decided(Decision(Effect.ALLOW, "g1", "agent.yaml:12"))
            tool.result("found")
        with tracer.tool(turn.traceparent, tool="mail", operation="send", call_id="c2", arguments={}) as tool:
            tool.decided(Decision(Effect.DENY, reason="no scope of mail grants call on send"))
            tool.fail("BP431", "denied")
        turn.output("an answer")
    return turn.trace_id


def test_a_turn_is_one_trace_of_the_conventions(running: SinkProcess) -> None:
    """A turn's spans arrive as one tree with the names, decisions, tokens and digests that were given."""
    writing = tracer(running)
    written = a_turn(writing)
    assert writing.flush()
    trace = get_trace(running.folder, written[:8])
    assert [(span.depth, span.name) for span in trace.spans] == [
        (0, "invoke_agent support"),
        (1, "search_memory"),
        (1, "chat m-1"),
        (1, "execute_tool docs.search"),
        (1, "execute_tool mail.send"),
    ]
    root, memory, model, tool, denied = trace.spans
    assert trace.resource == {
        "service.name": "support", "service.version": "0.1.0", "bedplate.stage": "prototype",
        "bedplate.owner": "team-support",
        "bedplate.build.digest": "sha256:b", "bedplate.behaviour.digest": "sha256:h",
    }  # fmt: skip
    assert root.attributes[c.TURN] == "t1"
    assert memory.attributes[c.COUNT] == 2
    assert (model.model, model.input_tokens, model.output_tokens, model.cost) == ("m-1-2026", 100, 20, 0.0012)
    assert (tool.decision, tool.attributes[c.GRANT], tool.attributes[c.GRANT_WHERE]) == ("allow", "g1", "agent.yaml:12")
    assert json.loads(tool.content[c.TOOL_ARGUMENTS]) == {"q": "[redacted]", "password": "[redacted]"}
    assert (denied.decision, denied.failed, denied.message) == ("deny", True, "denied")
    (summary,) = list_traces(running.folder)
    assert summary == trace.summary
    assert (summary.status, summary.agent, summary.stage, summary.session) == ("ok", "support", "prototype", "s1")
    assert (summary.tool_calls, summary.denials, summary.input_tokens, summary.cost) == (2, 1, 100, 0.0012)
    assert summary.input == "I am [email] [redacted]"
    assert writing.dropped == 0
    writing.close()


@pytest.mark.parametrize(("content", "kept", "gone"), [
    ("none", b"", b"answer"), ("redacted", b"an answer", b"ada@example"),
    ("full", b"ada@example.org", b"nothing of it"),
])  # fmt: skip
def test_content_is_kept_as_the_manifest_says(tmp_path: Path, content: Content, kept: bytes, gone: bytes) -> None:
    """Message text is dropped, masked or whole; a secret passes in no case; users are named only in `full`."""
    with sink(tmp_path, content=content) as running:
        writing = tracer(running, content)
        a_turn(writing, user="the-user-zoe")
        writing.close()
        stored = all_bytes(running.folder)
    assert (b"the-user-zoe" in stored) == (content == "full")
    assert kept in stored
    assert gone not in stored
    assert CANARY.encode() not in stored


def test_an_ended_turn_does_not_wait_for_company(running: SinkProcess) -> None:
    """The trace of a turn goes out when the turn ends, not when a batch is full or its wait is over."""
    found = GatewayTracer(
        RESOURCE, running.url, TOKEN, sample_ratio=1.0, content="redacted", redactor=Redactor("redacted"), delay=60.0
    )
    ended = a_turn(found)
    deadline = time.monotonic() + 5
    while not list_traces(running.folder, limit=5):
        assert time.monotonic() < deadline, "the trace did not arrive"
        time.sleep(0.02)
    assert get_trace(running.folder, ended)
    found.close()


def test_users_are_pseudonyms_that_stay_the_same(running: SinkProcess) -> None:
    """One user has one pseudonym per stage, another user another, and it cannot be had from the name alone."""
    writing = tracer(running)
    assert writing.person("ada") == writing.person("ada") != writing.person("bob")
    assert GatewayTracer(RESOURCE, running.url, "another-token").person("ada") != writing.person("ada")
    writing.close()


def test_an_unsampled_turn_has_ids_and_no_spans(running: SinkProcess) -> None:
    """With sampleRatio 0 nothing is written, and the turn still has a trace id to give to the caller."""
    writing = tracer(running, sample_ratio=0.0)
    written = a_turn(writing)
    assert len(written) == 32
    assert int(written, 16) > 0
    writing.close()
    assert list_traces(running.folder) == []


def test_the_share_of_sampled_turns_is_the_ratio(running: SinkProcess) -> None:
    """A ratio of 0.3 traces about 30 of 100 turns, whole turns only."""
    writing = tracer(running, sample_ratio=0.3)
    for _ in range(300):
        a_turn(writing)
    writing.close()
    traces = list_traces(running.folder, limit=1000)
    assert 50 < len(traces) < 135
    assert {t.tool_calls for t in traces} == {2}


def test_a_turn_that_runs_again_keeps_its_trace(running: SinkProcess) -> None:
    """A turn taken up by another gateway is written under the trace id that its caller has; the next gets its own."""
    writing = tracer(running)
    given = {"agent": "support", "session": "s", "user": "u", "turn_id": "t", "input": "x"}
    again, other = writing.turn(**given, trace_id="ab" * 16), writing.turn(**given)
    memory = writing.memory(again.traceparent, operation="search_memory")
    for span in (memory, again, other):
        span.end()
    writing.close()
    assert again.trace_id == memory.trace_id == "ab" * 16 != other.trace_id
    assert [span.depth for span in get_trace(running.folder, "abab").spans] == [0, 1]
    assert get_trace(running.folder, "abab").summary.status == "ok"


def test_an_agents_traceparent_cannot_leave_its_turn(running: SinkProcess) -> None:
    """A child of a span that the agent names lies in the turn's trace, whatever trace the agent claims."""
    writing = tracer(running)
    with writing.turn(agent="support", session="s", user="u", turn_id="t", input="") as turn:
        own = f"00-{turn.trace_id}-{'ab' * 8}-00"
        assert turn.child(own).split("-")[1:3] == [turn.trace_id, "ab" * 8]
        assert turn.child(own).endswith(turn.traceparent[-2:])
        foreign = f"00-{'1' * 32}-{'ab' * 8}-01"
        for claimed in (None, "", "x", foreign, f"00-{turn.trace_id}-{'0' * 16}-01", f"00-{turn.trace_id}-zz-01"):
            assert turn.child(claimed) == turn.traceparent
    writing.close()


def forged(**more: object) -> bytes:
    return request(
        {
            "trace": trace_id(0xBAD), "span": span_id(5), "name": f"invoke_agent {CANARY}",
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 10**6, c.DECISION: "allow", c.GRANT: "forged", c.SOURCE: "", c.TURN: "other",
            c.USER: "someone", c.COST: 99.0, **more,
        },
        resource={"service.name": "agent", c.BUILD: "sha256:forged", c.STAGE: "prod"},
    )  # fmt: skip


def test_an_agent_cannot_forge_what_the_gateway_says(running: SinkProcess) -> None:
    """Spans from the agent end in its turn's trace, marked, without our attributes, and count for nothing."""
    writing = tracer(running)
    written = a_turn(writing)
    assert writing.forward(forged(), "application/x-protobuf", "t1", written) == 1
    assert writing.flush()
    trace = get_trace(running.folder, written)
    agents = [span for span in trace.spans if span.source]
    (span,) = agents
    assert (span.source, span.attributes[c.TURN], span.decision, span.stage, span.cost) == ("agent", "t1", "", "", None)
    assert not {c.GRANT, c.USER, c.COST} & set(span.attributes)
    assert trace.resource[c.BUILD] == "sha256:b"
    assert trace.summary.input_tokens == 100
    with pytest.raises(BedplateError):
        get_trace(running.folder, trace_id(0xBAD).hex())
    writing.close()
    assert CANARY.encode() not in all_bytes(running.folder)


def test_an_agent_cannot_displace_the_gateways_span(running: SinkProcess) -> None:
    """An agent that sends a span under the id of the open root first does not keep the root out of the trace."""
    writing = tracer(running)
    with writing.turn(agent="support", session="s", user="u", turn_id="t", input="the question") as turn:
        root = bytes.fromhex(turn.traceparent.split("-")[2])
        writing.forward(
            request({"trace": trace_id(1), "span": root, "name": "fake"}), "application/x-protobuf", "t", turn.trace_id
        )
        assert writing.flush()
    writing.close()
    trace = get_trace(running.folder, turn.trace_id)
    assert [(span.name, span.source) for span in trace.spans] == [("invoke_agent support", "")]
    assert trace.summary.input == "the question"


def test_agents_send_json_gzip_and_logs(running: SinkProcess) -> None:
    """JSON and gzip are read from agents too, and log records are stamped like spans."""
    writing = tracer(running)
    written = a_turn(writing)
    made = message({"trace": trace_id(3), "span": span_id(9), "name": "from json"})
    document = MessageToDict(made)
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0] |= {"traceId": "ab" * 16, "spanId": "cd" * 8}
    body = gzip.compress(json.dumps(document).encode())
    assert writing.forward(body, "application/json", "t1", written, encoding="gzip") == 1
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(event_name="note").body.string_value = f"see {CANARY}"
    assert writing.forward(logs.SerializeToString(), "application/x-protobuf", "t1", written, signal="logs") == 1
    writing.close()
    trace = get_trace(running.folder, written)
    assert trace.spans[-1].name == "from json"
    assert trace.logs[0].body == "see [redacted]"
    assert trace.logs[0].attributes[c.SOURCE] == "agent"


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"\xff\xff", "application/x-protobuf", "BP606"),
        (b"{}", "text/html", "BP606"),
        (b"\0" * 2_000_000, "application/x-protobuf", "BP607"),
        (
            request(*({"trace": trace_id(1), "span": span_id(n + 1)} for n in range(2001))),
            "application/x-protobuf",
            "BP607",
        ),
    ],
)
def test_what_an_agent_sends_is_bounded(running: SinkProcess, body: bytes, kind: str, code: str) -> None:
    """A body that is no OTLP, or too large, is an error for the agent and nothing for the trace."""
    writing = tracer(running)
    with pytest.raises(BedplateError, match=code):
        writing.forward(body, kind, "t1", "ab" * 16)
    writing.close()


def test_a_sink_that_is_away_for_a_moment_loses_nothing(tmp_path: Path) -> None:
    """Spans written while the sink restarts are sent when it is back."""
    with sink(tmp_path) as first:
        port = int(first.url.rpartition(":")[2])
        writing = tracer(first)
        first.stop()
        written = a_turn(writing)
        time.sleep(0.3)
    with sink(tmp_path, port=port) as again:
        assert writing.flush(10)
        assert get_trace(again.folder, written).summary.tool_calls == 2
        assert writing.dropped == 0
    writing.close()


def test_a_dead_sink_neither_blocks_nor_breaks_a_turn(caplog: pytest.LogCaptureFixture) -> None:
    """With no sink a turn takes no longer, and what was lost is counted and logged."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    writing = GatewayTracer(RESOURCE, url, TOKEN)
    began = time.perf_counter()
    for _ in range(20):
        a_turn(writing)
    assert time.perf_counter() - began < 1.0
    writing.close()
    assert writing.dropped == 100
    assert "spans dropped (100 in all)" in caplog.text


TRUSTED = """
import gc, ssl, sys
from bedplate.traces.outbox import Outbox
outbox = Outbox(sys.argv[1], "token")
print(sum(found.cert_store_stats()["x509_ca"] for found in gc.get_objects() if isinstance(found, ssl.SSLContext)))
"""


@pytest.mark.parametrize(("url", "reads"), [("http://127.0.0.1:9", False), ("https://127.0.0.1:9", True)])
def test_plain_http_reads_no_certificates(url: str, reads: bool) -> None:
    """Towards a sink on plain HTTP no certificates are read, which would slow the gateway's start; TLS has them."""
    done = subprocess.run([sys.executable, "-c", TRUSTED, url], capture_output=True, text=True, timeout=60, check=True)
    assert (int(done.stdout) > 0) == reads


def test_the_queue_is_bounded(running: SinkProcess) -> None:
    """More spans than the queue holds, while the sink hangs, are dropped and counted; memory does not grow."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        outbox = Outbox(f"http://127.0.0.1:{hanging.getsockname()[1]}", TOKEN, timeout=0.5, retries=(0.01,))
        writing = GatewayTracer(RESOURCE, running.url, TOKEN)
        with writing.turn(agent="a", session="s", user="u", turn_id="t", input="x") as turn:
            pass
        sent = [outbox.put(turn._span) for _ in range(MAX_QUEUE + 1000)]  # type: ignore[arg-type]
        assert sent.count(False) >= 1000 - 512
        assert outbox.dropped == sent.count(False)
        outbox.close(timeout=0.1)
        assert outbox.dropped >= MAX_QUEUE
        writing.close()


def test_a_failure_inside_a_span_is_recorded(running: SinkProcess) -> None:
    """An exception that leaves a span marks it as failed, with its type, and goes on."""
    writing = tracer(running)

    def fails() -> None:
        with writing.turn(agent="support", session="s", user="u", turn_id="t", input="x") as turn:
            seen.append(turn.trace_id)
            raise ValueError(f"broken {CANARY}")

    seen: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        fails()
    writing.close()
    summary = get_trace(running.folder, seen[0]).summary
    assert (summary.status, summary.error) == ("error", "ValueError: broken [redacted]")


def test_a_span_that_ended_keeps_how_it_failed(running: SinkProcess, caplog: pytest.LogCaptureFixture) -> None:
    """A span ended with a code keeps it when the exception leaves its block, and nothing is logged of that."""
    writing = tracer(running)
    turn = writing.turn(agent="support", session="s", user="ada", turn_id="t", input="x")
    with pytest.raises(ValueError), writing.model(turn.traceparent, requested="m", provider="p") as model:  # noqa: PT012
        model.fail("BP470", "no answer")
        model.end()
        model.set({c.COUNT: 1})
        raise ValueError
    turn.end()
    assert writing.flush()
    assert caplog.messages == []
    span = get_trace(running.folder, turn.trace_id).spans[1]
    assert span.attributes[c.ERROR_TYPE] == "BP470"
