"""The sink as a process: what it takes, what it refuses, what it keeps when things go wrong."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bedplate.problems import BedplateError
from bedplate.traces.emit import pseudonym
from bedplate.traces.erasure import erase_person
from bedplate.traces.query import count_traces, get_trace, list_traces
from bedplate.traces.segments import expire, segments
from bedplate.traces.sink import MAX_BODY, SinkConfig
from traces_support import CANARY, TOKEN, SinkProcess, all_bytes, message, request, sink, span_id, trace_id


def spans_stored(folder: Path) -> int:
    total = 0
    for path in segments(folder):
        with sqlite3.connect(path) as connection:
            total += connection.execute("SELECT count(*) FROM spans").fetchone()[0]
        connection.close()
    return total


def simple(number: int = 1, **attributes: object) -> bytes:
    return request({"trace": trace_id(number), "span": span_id(number), "name": "invoke_agent support", **attributes})


def test_protobuf_json_and_gzip_are_the_same_span(tmp_path: Path) -> None:
    """One span sent as protobuf, as JSON (hexadecimal ids) and gzipped is stored once, and read as it was."""
    made = message(
        {
            "trace": trace_id(0xABC),
            "span": span_id(7),
            "name": "n",
            "gen_ai.usage.input_tokens": 5,
            "l": ["a", 1.5, True],
        }
    )
    document = MessageToDict(made)
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span |= {"traceId": trace_id(0xABC).hex(), "spanId": span_id(7).hex(), "unknownField": 1}
    as_json = json.dumps(document).encode()
    with sink(tmp_path) as running:
        answers = [
            running.post("/v1/traces", made.SerializeToString()),
            running.post("/v1/traces", as_json, Content_Type="application/json; charset=utf-8"),
            running.post(
                "/v1/traces", gzip.compress(as_json), Content_Type="application/json", Content_Encoding="gzip"
            ),
        ]
        assert [a.status_code for a in answers] == [200, 200, 200]
        assert answers[0].headers["content-type"] == "application/x-protobuf"
        assert answers[1].json() == {}
        (only,) = get_trace(running.folder, "0" * 20).spans
        assert (only.name, only.input_tokens, only.attributes["l"]) == ("n", 5, ["a", 1.5, True])
        assert spans_stored(running.folder) == 1


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/traces", b"\xff\xff\xff", {}, 400),
        ("/v1/traces", b"{", {"Content_Type": "application/json"}, 400),
        ("/v1/traces", b'{"resourceSpans": 3}', {"Content_Type": "application/json"}, 400),
        ("/v1/traces", b"[" * 100_000, {"Content_Type": "application/json"}, 400),
        ("/v1/traces", b"x", {"Content_Encoding": "gzip"}, 400),
        ("/v1/traces", gzip.compress(simple())[:-9], {"Content_Encoding": "gzip"}, 400),
        ("/v1/traces", b"", {"Content_Encoding": "br"}, 415),
        ("/v1/traces", b"", {"Content_Type": "text/plain"}, 415),
        ("/v1/traces", gzip.compress(b"\0" * (MAX_BODY + 1)), {"Content_Encoding": "gzip"}, 413),
        ("/v1/traces", b"\0" * (MAX_BODY + 1), {}, 413),
        ("/v1/metrics", b"", {}, 404),
        ("/", b"", {}, 404),
        ("/v1/traces", b"", {"Authorization": "Bearer wrong"}, 401),
        ("/v1/traces", b"", {"Authorization": ""}, 401),
        ("/v1/traces", b"", {"Authorization": f"bearer {TOKEN}"}, 401),
    ],
)
def test_bad_requests_are_refused_and_harm_nothing(
    sink_process: SinkProcess, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Each bad request gets its status and a reason, stores nothing, and the next good one is taken."""
    before = spans_stored(sink_process.folder)
    try:
        answer = sink_process.post(path, body, **headers)
        assert answer.status_code == status
        assert answer.json()["message"]
    except httpx2.TransportError:
        # A body over the bound is not read; the client may see the connection close before the answer.
        assert status == 413
    assert spans_stored(sink_process.folder) == before
    assert sink_process.post("/v1/traces", b"").status_code == 200


@pytest.fixture(scope="module")
def sink_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SinkProcess]:
    with sink(tmp_path_factory.mktemp("sink")) as running:
        yield running


def test_a_body_of_unknown_length_is_refused(sink_process: SinkProcess) -> None:
    """A chunked body is not read, since nothing bounds it."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-protobuf"}
    answer = httpx2.post(f"{sink_process.url}/v1/traces", content=iter([b"x"]), headers=headers)
    assert answer.status_code == 411


def test_spans_without_proper_ids_are_counted_as_rejected(tmp_path: Path) -> None:
    """A request with good and bad spans stores the good and tells the number of the others."""
    bad = (
        {"trace": b"", "span": span_id(1)},
        {"trace": trace_id(1), "span": b"123"},
        {"trace": bytes(16), "span": span_id(2)},
    )
    body = request({"trace": trace_id(1), "span": span_id(1)}, *bad)
    with sink(tmp_path) as running:
        answer = ExportTraceServiceResponse.FromString(running.post("/v1/traces", body).content)
        assert answer.partial_success.rejected_spans == 3
        assert "ids" in answer.partial_success.error_message
        assert spans_stored(running.folder) == 1


@pytest.mark.parametrize("content", ["none", "redacted", "full"])
def test_a_secret_never_reaches_the_disk(tmp_path: Path, content: str) -> None:
    """The exact value of a stored secret, wherever in a request it stands, is in no file of the sink; nor its token."""
    hiding = {
        "trace": trace_id(1), "span": span_id(1), "name": f"chat {CANARY}", "status": 2, "message": f"failed: {CANARY}",
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": f"key={CANARY} {TOKEN}"}]),
        "list": [CANARY, {"deep": [f"x{CANARY}x"]}], f"name-{CANARY}": 1, "raw": "canary-Secret%2F42%2Bx",
    }  # fmt: skip
    made = message(hiding, resource={"service.name": CANARY, "process.command_args": ["--key", CANARY]})
    event = made.resource_spans[0].scope_spans[0].spans[0].events.add(name=CANARY)
    event.attributes.add(key="exception.message").value.string_value = CANARY
    event.attributes.add(key="b").value.bytes_value = CANARY.encode()
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=trace_id(1), event_name=CANARY)
    record.body.string_value = f"body {CANARY}"
    with sink(tmp_path, content=content) as running:
        assert running.post("/v1/traces", made.SerializeToString()).status_code == 200
        assert running.post("/v1/logs", logs.SerializeToString()).status_code == 200
        assert running.stop() == 0
    stored = all_bytes(tmp_path / "traces") + running.log.read_bytes()
    assert spans_stored(running.folder) == 1
    assert CANARY.encode() not in stored
    assert b"canary-Secret" not in stored
    assert TOKEN.encode() not in stored


def test_a_secret_made_later_is_known_too(tmp_path: Path) -> None:
    """A secret that is written while the sink runs is masked from the next request on; so is a new token taken."""
    with sink(tmp_path) as running:
        assert running.post("/v1/traces", simple(1)).status_code == 200
        (tmp_path / "secrets" / "new").write_text("a-later-secret")
        (tmp_path / "secrets" / "sink-token").write_text("another-token")
        assert running.post("/v1/traces", simple(2)).status_code == 401
        answer = running.post("/v1/traces", simple(3, x="a-later-secret"), Authorization="Bearer another-token")
        assert answer.status_code == 200
    assert b"a-later-secret" not in all_bytes(running.folder)


def test_content_none_keeps_no_words(tmp_path: Path) -> None:
    """With `content: none` nothing that was said is on disk, the text of errors included."""
    said = {"gen_ai.input.messages": "private words", "input.value": "private words", "message": "private words"}
    with sink(tmp_path, content="none") as running:
        running.post("/v1/traces", simple(1, **said))
        (summary,) = list_traces(running.folder)
        assert summary.input == ""
    assert b"private words" not in all_bytes(running.folder)


def test_logs_are_kept_with_their_trace(tmp_path: Path) -> None:
    """Log records, as eval results are, come back with the trace, once although they were sent twice."""
    logs = ExportLogsServiceRequest()
    record = (
        logs.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            trace_id=trace_id(1), span_id=span_id(1), time_unix_nano=5, event_name="gen_ai.evaluation.result"
        )
    )
    record.attributes.add(key="gen_ai.evaluation.score.value").value.double_value = 0.5
    with sink(tmp_path) as running:
        running.post("/v1/traces", simple())
        for _ in range(2):
            assert running.post("/v1/logs", logs.SerializeToString()).status_code == 200
        (log,) = get_trace(running.folder, "0").logs
        assert (log.name, log.attributes) == ("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 0.5})


def test_kill_9_loses_no_answered_batch(tmp_path: Path) -> None:
    """What was answered with 200 is there after kill -9, and the segment is taken up again by the next sink."""
    with sink(tmp_path) as running:
        for number in range(1, 21):
            assert running.post("/v1/traces", simple(number)).status_code == 200
        running.process.kill()
        running.process.wait()
        assert spans_stored(running.folder) == 20
    with sink(tmp_path) as again:
        assert again.post("/v1/traces", simple(21)).status_code == 200
        assert len(list_traces(again.folder, limit=50)) == 21


def test_sigterm_loses_nothing(tmp_path: Path) -> None:
    """While several clients post, SIGTERM ends the sink cleanly: all that was answered 200 is stored."""
    accepted: list[int] = []

    def post_on(url: str, first: int) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-protobuf"}
        with httpx2.Client(headers=headers, timeout=10) as client:
            for number in range(first, first + 10_000):
                try:
                    if client.post(f"{url}/v1/traces", content=simple(number)).status_code != 200:
                        return
                except httpx2.HTTPError:
                    return
                accepted.append(number)

    with sink(tmp_path) as running:
        threads = [threading.Thread(target=post_on, args=(running.url, n * 100_000 + 1)) for n in range(3)]
        for thread in threads:
            thread.start()
        while len(accepted) < 60:
            time.sleep(0.01)
        assert running.stop() == 0
        for thread in threads:
            thread.join(20)
        assert list(running.folder.glob("*-wal")) == []
        assert spans_stored(running.folder) >= len(accepted)
        stored = {s.trace_id for s in list_traces(running.folder, limit=1_000_000)}
        assert {trace_id(number).hex() for number in accepted} <= stored


def test_a_full_disk_is_a_503_and_passes(tmp_path: Path) -> None:
    """When files may not grow, the sink answers 503, says so once in its log, and goes on when there is room."""
    with sink(tmp_path) as running:
        assert running.post("/v1/traces", simple(1)).status_code == 200
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        answers = [running.post("/v1/traces", simple(2, x="y" * 200_000)) for _ in range(3)]
        assert [a.status_code for a in answers] == [503] * 3
        assert answers[0].headers["retry-after"] == "1"
        assert httpx2.get(f"{running.url}/ping").status_code == 200
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert running.post("/v1/traces", simple(2)).status_code == 200
        assert spans_stored(running.folder) == 2
        assert running.log.read_text().count("BP605") == 1


def test_silent_and_broken_connections_hold_nothing_up(tmp_path: Path) -> None:
    """Connections that send nothing, or half a request, do not hold up others, nor the end of the sink."""
    with sink(tmp_path) as running:
        port = int(running.url.rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for number, connection in enumerate(idle):
            if number % 2:
                connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-")
        assert running.post("/v1/traces", simple()).status_code == 200
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5
        for connection in idle:
            connection.close()


def test_old_segments_are_unlinked(tmp_path: Path) -> None:
    """At its start the sink removes days that are past their retention, with their side files, and nothing else."""
    folder = tmp_path / "traces"
    folder.mkdir()
    today = datetime.now(UTC).date()
    days = {n: (today - timedelta(days=n)).isoformat() for n in (0, 1, 2, 3, 30)}
    for day in days.values():
        for ending in (".db", ".db-wal", ".db-shm"):
            (folder / f"{day}{ending}").touch()
    (folder / "notes.db").touch()
    with sink(tmp_path, retention=2 * 86_400):
        kept = {path.name for path in folder.glob("*.db")}
    assert kept == {f"{days[n]}.db" for n in (0, 1, 2)} | {"notes.db"}
    assert not (folder / f"{days[30]}.db-wal").exists()


@pytest.mark.parametrize(("hours", "kept"), [(23, 2), (25, 2), (47, 2), (48, 1), (72, 0)])
def test_a_day_goes_when_its_last_moment_is_past(tmp_path: Path, hours: int, kept: int) -> None:
    """A segment stays until everything in it is older than the retention."""
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / f"{day}.db").touch()
    expire(tmp_path, 86_400, datetime(2026, 1, 1, tzinfo=UTC).timestamp() + hours * 3600)
    assert len(segments(tmp_path)) == kept


def test_erasing_a_person_takes_the_words_not_the_record(tmp_path: Path) -> None:
    """A person's words are gone from the bytes, however their traces are found; spans and others' traces stay."""
    asked, user, session = "gen_ai.input.messages", "enduser.id", "gen_ai.conversation.id"
    said = [
        {asked: "zebrawords", user: pseudonym(TOKEN, "support", "zebrauser"), session: "zebra-1"},
        {asked: "zebrawords", user: "zebrauser"},
        {asked: "zebrawords", session: "zebra-2"},
        {asked: "zebrawords"},
        {asked: "other words", user: "bob", session: "s"},
    ]
    with sink(tmp_path) as running:
        for number, attributes in enumerate(said, 1):
            running.post("/v1/traces", simple(number, **attributes))
        erased = erase_person(
            running.folder, "support", "zebrauser", token=TOKEN, sessions=["zebra-2"], traces=[trace_id(4).hex()]
        )
        assert erased == 4
        assert b"zebra" not in all_bytes(running.folder)
        assert count_traces(running.folder) == 5
        assert {s.input for s in list_traces(running.folder)} == {"other words", ""}
        assert erase_person(running.folder, "support", "bob", token=TOKEN) == 1
        assert b"other words" not in all_bytes(running.folder)


COMPLETE = {"folder": "x", "retention": 1, "content": "redacted", "secretsFolder": "y"}
BAD_CONFIGS = [
    "",
    "{}",
    "[]",
    json.dumps(COMPLETE | {"retention": "no"}),
    json.dumps(COMPLETE | {"content": "some"}),
    json.dumps({name: value for name, value in COMPLETE.items() if name != "folder"}),
]


@pytest.mark.parametrize("text", BAD_CONFIGS)
def test_a_bad_configuration_is_said(tmp_path: Path, text: str) -> None:
    """A configuration that lacks something is an error with the file's name, never a default."""
    (tmp_path / "sink.json").write_text(text)
    with pytest.raises(BedplateError, match=r"BP604.*sink\.json"):
        SinkConfig.load(tmp_path / "sink.json")
