"""The trace sink: OTLP over HTTP in, daily SQLite segments out. `python -I -m bedplate.traces.sink CONFIG.json`.

Goes in: POST /v1/traces and /v1/logs (protobuf or JSON, gzip or not, bearer token). Comes out: redacted rows, written
before the answer is sent. GET /ping answers while it lives. It knows nothing of the gateway and trusts nobody's
redaction but its own.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from bedplate.problems import BedplateError, Problem
from bedplate.traces import otlp, rows
from bedplate.traces.redact import Content, Redactor
from bedplate.traces.segments import Writer, expire

log = logging.getLogger("bedplate.traces.sink")

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a request, also after decompression."""
IDLE = 60.0
"""Seconds until a silent connection is closed."""
MAX_CONNECTIONS = 64
SWEEP = 3600.0
TOKEN_FILE = "sink-token"


@dataclass(frozen=True)
class SinkConfig:
    """What the sink is told: where segments go, how many seconds they are kept, what becomes of content."""

    folder: Path
    retention: int
    content: Content
    secrets: Path

    @classmethod
    def load(cls, path: Path) -> SinkConfig:
        """Read the configuration file. Raises BP604 where it is unusable."""
        try:
            raw: dict[str, Any] = json.loads(path.read_text("utf-8"))
            content: Content = raw["content"]
            if content not in ("none", "redacted", "full"):
                raise ValueError(f"content is {content!r}")
            return cls(Path(raw["folder"]), int(raw["retention"]), content, Path(raw["secretsFolder"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BedplateError(_bad_config(path, error)) from error


class Secrets:
    """The values in the secrets folder, read again when a file there changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self.values: dict[str, str] = {}

    def refresh(self) -> bool:
        """Read what changed; True where something did. Costs one `stat` a file."""
        found = sorted((entry for entry in os.scandir(self._folder) if entry.is_file()), key=lambda e: e.name)
        seen = tuple((e.name, e.stat().st_mtime_ns, e.stat().st_size) for e in found)
        if seen == self._seen:
            return False
        self.values = {e.name: Path(e.path).read_text("utf-8", "replace").strip() for e in found}
        self._seen = seen
        return True


class Sink:
    """Takes request bodies and writes their rows. Safe for several threads; one body is worked on at a time."""

    def __init__(self, config: SinkConfig, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.clock = clock
        self._secrets = Secrets(config.secrets)
        self._writer = Writer(config.folder, clock)
        self._lock = threading.Lock()
        self._full = False
        self._redactor = Redactor(config.content)
        self._refresh()

    def authorised(self, header: str) -> bool:
        """Whether an Authorization header carries the sink's token. Takes the same time for any wrong one."""
        with self._lock:
            self._refresh()
            token = self._secrets.values.get(TOKEN_FILE, "")
        return bool(token) and hmac.compare_digest(header.encode("utf-8", "replace"), f"Bearer {token}".encode())

    def take(self, body: bytes, content_type: str, encoding: str, what: otlp.Signal) -> int:
        """Store a request; returns how many records were refused. Raises OtlpError, or sqlite3.Error when it cannot."""
        with self._lock:
            request = otlp.decode(body, content_type, encoding, what, MAX_BODY)
            if what == "traces":
                spans, refused = rows.span_rows(request, self._redactor)
                self._write(spans, [])
            else:
                records, refused = rows.log_rows(request, self._redactor)
                self._write([], records)
        return refused

    def _write(self, spans: list[Any], logs: list[Any]) -> None:
        try:
            self._writer.write(spans, logs)
        except (sqlite3.Error, OSError) as error:
            # A handle may be spoilt by the failure; the next request opens the segment anew.
            self._writer.close()
            if not self._full:
                log.error("BP605 traces cannot be written, refusing them until it works again: %s", error)
            self._full = True
            raise
        if self._full:
            log.warning("traces are written again")
            self._full = False

    def sweep(self) -> None:
        """Unlink segments that are past their retention."""
        with self._lock:
            for path in expire(self.config.folder, self.config.retention, self.clock()):
                log.info("removed %s, past its retention", path.name)

    def close(self) -> None:
        """Finish the request at hand and close the segment."""
        with self._lock:
            self._writer.close()

    def _refresh(self) -> None:
        if self._secrets.refresh():
            self._redactor = Redactor(self.config.content, tuple(self._secrets.values.values()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, sink: Sink) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.sink = sink
        self.stopping = False
        self._active = 0
        self._idle = threading.Condition()
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; beyond MAX_CONNECTIONS close it, so that no one waits for it."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class names them
        """A connection that broke concerns only its client."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("a connection failed", exc_info=error)

    def begin(self) -> bool:
        """Count a request as begun; False once the server is stopping."""
        with self._idle:
            self._active += not self.stopping
            return not self.stopping

    def done(self) -> None:
        """Count a request as answered."""
        with self._idle:
            self._active -= 1
            self._idle.notify_all()

    def drain(self, timeout: float) -> None:
        """Take no more requests and wait for those at hand."""
        with self._idle:
            self.stopping = True
            self._idle.wait_for(lambda: self._active == 0, timeout)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bedplate-sink"
    sys_version = ""
    timeout = IDLE
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """`/ping`, and nothing else."""
        if self.path == "/ping":
            self._answer(HTTPStatus.OK, b'{"status": "Healthy"}', otlp.JSON)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        """`/v1/traces` and `/v1/logs`."""
        if not self.server.begin():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the sink is stopping")
            return
        try:
            self._post()
        finally:
            self.server.done()

    def _post(self) -> None:
        try:
            authorised = self.server.sink.authorised(self.headers.get("Authorization", ""))
        except OSError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the secrets cannot be read now: {error.strerror}")
            return
        if not authorised:
            self._refuse(HTTPStatus.UNAUTHORIZED, "this needs the sink's token")
            return
        what = self.path.removeprefix("/v1/")
        if what not in ("traces", "logs") or what == self.path:
            self._refuse(HTTPStatus.NOT_FOUND, "post to /v1/traces or /v1/logs")
            return
        size = self.headers.get("Content-Length", "")
        if not size.isascii() or not size.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "this needs a Content-Length")
        elif len(size) > 12 or int(size) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY} bytes")
        else:
            self._take(what, self.rfile.read(int(size)), int(size))  # type: ignore[arg-type] # checked above

    def _take(self, what: otlp.Signal, body: bytes, size: int) -> None:
        if len(body) < size:
            self.close_connection = True
            return
        kind, encoding = self.headers.get("Content-Type", ""), self.headers.get("Content-Encoding", "")
        try:
            refused = self.server.sink.take(body, kind, encoding, what)
        except otlp.TooLarge as error:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        except otlp.UnknownEncoding as error:
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error))
        except otlp.OtlpError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except (sqlite3.Error, OSError) as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"traces cannot be written now: {error}")
        else:
            self._accepted(what, refused, "json" in kind.lower())

    def _accepted(self, what: otlp.Signal, refused: int, as_json: bool) -> None:
        field = "rejected_spans" if what == "traces" else "rejected_log_records"
        partial = {field: refused, "error_message": "ids must be 16 and 8 bytes, not all zero"} if refused else None
        if as_json:
            named = {"rejected_spans": "rejectedSpans", "rejected_log_records": "rejectedLogRecords"}[field]
            document = (
                {"partialSuccess": {named: str(refused), "errorMessage": partial["error_message"]}} if partial else {}
            )
            self._answer(HTTPStatus.OK, json.dumps(document).encode(), otlp.JSON)
        else:
            self._answer(HTTPStatus.OK, otlp.response(what, partial), otlp.PROTOBUF)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        # What was not read of the body would be taken for the next request.
        self.close_connection = True
        self._answer(status, json.dumps({"code": status.value, "message": message}).encode(), otlp.JSON)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """No line a request."""


def serve(config: SinkConfig, listener: socket.socket, stop: threading.Event) -> None:
    """Serve until `stop` is set; then answer what is at hand and close the segment."""
    sink = Sink(config)
    server = _Server(listener, sink)
    sink.sweep()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="accept", daemon=True)
    thread.start()
    while not stop.wait(SWEEP):
        sink.sweep()
    server.shutdown()
    server.drain(timeout=8)
    sink.close()


def main(argv: list[str]) -> int:
    """Run the sink as a process. The listening socket is inherited as `BEDPLATE_LISTEN_FD`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        config = SinkConfig.load(Path(argv[1]))
        listener = socket.socket(fileno=int(os.environ["BEDPLATE_LISTEN_FD"]))
        serve(config, listener, stop)
    except (BedplateError, KeyError, IndexError, OSError) as error:
        log.error("the trace sink cannot start: %s", error)
        return 1
    return 0


def _bad_config(path: Path, error: Exception) -> Problem:
    return Problem(
        "BP604",
        f"the trace sink's configuration {path.name} is unusable",
        detail=repr(error),
        fix="Run `bedplate up` again; it writes this file.",
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
