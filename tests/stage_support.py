"""What tests of a whole stage share: a project on disk, its processes, a scripted model and a counting service."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from cli_support import Ran, bedplate, ok, pids_of

STAGE = "prototype"
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: faulty}
intent: script
instructions: Answer.
stages:
  prototype: {target: local}
"""


@dataclass(frozen=True)
class Stage:
    """A project folder and the stage that stands in it."""

    folder: Path

    @property
    def home(self) -> Path:
        """The stage's folder."""
        return self.folder / ".bedplate" / STAGE

    @property
    def url(self) -> str:
        return str(self.status()["url"])

    @property
    def headers(self) -> dict[str, str]:
        """The header that every request needs."""
        return {"Authorization": f"Bearer {(self.home / 'secrets/api-key').read_text().strip()}"}

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = bedplate(self.folder, "status", "--json").json
        return found

    def pid(self, name: str) -> int:
        return next(int(p["pid"]) for p in self.status()["processes"] if p["name"] == name)

    def ask(self, question: str, *options: str) -> Ran:
        return bedplate(self.folder, "ask", question, "--json", *options)

    def answer(self, question: str, *options: str) -> str:
        """The text of an answer that must come."""
        return str(ok(self.folder, "ask", question, "--json", *options).json["output"])

    def client(self, **options: Any) -> httpx2.Client:
        """An HTTP client of a caller that has the key."""
        return httpx2.Client(base_url=self.url, headers=self.headers, trust_env=False, timeout=60, **options)

    def write(self, manifest: str) -> None:
        (self.folder / "agent.yaml").write_text(manifest)

    def destroy(self) -> None:
        """Take it away; nothing may be left."""
        ok(self.folder, "destroy", "--yes")
        wait_for(lambda: not pids_of(self.folder), "processes are left")
        assert not (self.folder / ".bedplate").exists()


@contextmanager
def stage(folder: Path, manifest: str = MANIFEST, **files: str) -> Iterator[Stage]:
    """A stage that is up, and is away afterwards, whatever happened in between."""
    for name, text in files.items():
        (folder / name).write_text(text)
    found = Stage(folder)
    found.write(manifest)
    try:
        ok(folder, "up")
        yield found
    finally:
        bedplate(folder, "destroy", "--yes")


def code_of(ran: Ran) -> str:
    """The code of the error that a command with `--json` printed."""
    assert ran.code != 0, ran.out
    assert "Traceback" not in ran.err, ran.err
    found = re.search(r"BP\d{3}", ran.out + ran.err)
    assert found, ran.out + ran.err
    return found.group()


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class _Handler(BaseHTTPRequestHandler):
    """One request: gives its JSON to `owner.answer`, which writes the reply."""

    protocol_version = "HTTP/1.1"
    owner: Served

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(size) or b"null")
        # who asked may be dead by now: that is what these tests are about
        with contextlib.suppress(OSError):
            self.owner.answer(self, body)

    def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Served:
    """An HTTP server on a free loopback port, in threads of its own."""

    def __init__(self) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: _Handler, body: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Model(Served):
    """An OpenAI-compatible model that does what the question says. The model named `good` always answers.

    `say TEXT` answers, `call TOOL JSON` calls a tool and then says what it returned (`then-slow` waits in between),
    `slow TEXT` waits for `release`, `history` repeats the conversation. The rest are faults: `hang`, `status 500`,
    `rubbish`, `not-json`, `break` (the stream ends early), `empty`, `close` (the connection, without an answer).
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.release = threading.Event()
        self.waiting = threading.Event()

    def answer(self, request: _Handler, body: Any) -> None:
        last = body["messages"][-1]
        text = _text(last["content"])
        if body["model"] == "good":
            return _stream(request, {"content": f"the other model: {text}"})
        if last["role"] == "tool":
            if "then-slow" in json.dumps(body["messages"]):
                self._wait()
            return _stream(request, {"content": f"the tool said: {text}"})
        self.seen.append(text)
        if "return text" in text:  # pydantic-ai asks again after an empty answer
            text = "empty"
        if text == "history":
            return _stream(request, {"content": "|".join(_said(body["messages"]))})
        self._do(request, *text.partition(" ")[::2])
        return None

    def _do(self, request: _Handler, word: str, rest: str) -> None:
        match word:
            case "call" | "then-slow":
                name, _, arguments = rest.partition(" ")
                call = {"index": 0, "id": f"c{len(self.seen)}", "type": "function"}
                _stream(request, {"tool_calls": [{**call, "function": {"name": name, "arguments": arguments or "{}"}}]})
            case "slow":
                self._wait()
                _stream(request, {"content": rest})
            case "hang":
                time.sleep(float(rest))
            case "status":
                request.reply(int(rest), b'{"error": {"message": "scripted"}}')
            case "rubbish":
                request.reply(200, b'{"colour": "green", "choices": [7]}')
            case "not-json":
                request.reply(200, b"<html>a proxy's page</html>", "text/event-stream")
            case "break":
                _stream(request, {"content": "half an ans"}, done=False)
            case "empty":
                _stream(request, {"content": ""})
            case "close":
                request.close_connection = True
            case _:
                _stream(request, {"content": rest or word})

    def _wait(self) -> None:
        self.waiting.set()
        self.release.wait(30)
        self.waiting.clear()


def _said(messages: list[Any]) -> list[str]:
    return [_text(m["content"]) for m in messages if m["role"] in ("user", "assistant")]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _stream(request: _Handler, delta: Mapping[str, Any], *, done: bool = True) -> None:
    reason = "tool_calls" if "tool_calls" in delta else "stop"
    deltas = [({"role": "assistant", **delta}, None), *([({}, reason)] if done else [])]
    chunks = [
        {"id": "x", "model": "m", "choices": [{"index": 0, "delta": d, "finish_reason": finish}]}
        for d, finish in deltas
    ]
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + ("data: [DONE]\n\n" if done else "")
    size = len(text) + (0 if done else 100)  # a promise that is not kept: the connection breaks
    request.send_response(200)
    request.send_header("Content-Type", "text/event-stream")
    request.send_header("Content-Length", str(size))
    request.end_headers()
    request.wfile.write(text.encode())
    request.wfile.flush()
    if not done:
        request.close_connection = True


@dataclass
class _Held:
    """What a service was asked, and whether it may answer."""

    bookings: list[Any] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


class Bookings(Served):
    """A service with one effect: each POST is a booking, answered when `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.held = _Held()

    def answer(self, request: _Handler, body: Any) -> None:
        self.held.bookings.append(body)
        self.held.release.wait(30)
        request.reply(200, json.dumps({"number": len(self.held.bookings)}).encode())

    def openapi(self) -> str:
        """Its OpenAPI document, which JSON makes YAML as well."""
        schema = {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}
        content = {"application/json": {"schema": schema}}
        post = {
            "operationId": "book",
            "requestBody": {"required": True, "content": content},
            "responses": {"200": {"description": "booked"}},
        }
        head = {"openapi": "3.1.0", "info": {"title": "bookings", "version": "1"}, "servers": [{"url": self.url}]}
        return json.dumps({**head, "paths": {"/bookings": {"post": post}}})


def start_time(pid: int) -> str:
    """When a process began, to tell it from another with the same id; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def kill(pid: int, signal_number: int) -> None:
    os.kill(pid, signal_number)
