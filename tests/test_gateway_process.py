"""The gateway as a process: started with descriptors as the supervisor gives them, restarted, told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bedplate.access import Grant, ScopeSet
from bedplate.blueprint.model import DataSource, FileRef, Limits, SearchTool
from bedplate.blueprint.paths import StagePaths
from bedplate.runtime.gateway.config import GatewayConfig, load_config
from bedplate.search import build_index
from gateway_support import KEY, Job, blueprint, listener

AUTH = {"Authorization": f"Bearer {KEY}"}


class Process:
    """A gateway process with its sockets, which outlive it as the supervisor's do."""

    def __init__(self, folder: Path) -> None:
        self.paths = StagePaths(folder / "stage")
        for needed in (self.paths.secrets, self.paths.run):
            needed.mkdir(parents=True)
        docs = folder / "docs"
        docs.mkdir()
        (docs / "returns.md").write_text("# Returns\n\nAn order can be returned within 30 days.\n")
        index = self.paths.index("docs")
        index.parent.mkdir()
        build_index(docs, [FileRef("returns.md", "", 0)], index)
        self.paths.secret("api-key").write_text(KEY + "\n")
        self.paths.secret("sink-token").write_text("sink\n")
        plan = blueprint(
            data=(DataSource("docs", str(docs), (), "d"),),
            tools=(SearchTool("docs", "docs"),),
            scopes=ScopeSet((Grant("g", "docs", "read", "*"),)),
            limits=Limits(timeout=20),
        )
        config = GatewayConfig(plan, self.paths, "http://127.0.0.1:9", "none")
        self.config = self.paths.config("gateway")
        self.config.write_text(json.dumps(config.to_json()))
        self.outer, self.inner = listener(), listener()
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self.told = b""

    def start(self, descriptors: tuple[int, int] | None = None) -> float:
        """Start it and hand it the agent's listener; seconds until `/ping` answers.

        `descriptors`: how many it may have open, the soft and the hard limit.
        """
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = (self.outer.fileno(), theirs.fileno())
        environment = {
            "PATH": os.environ["PATH"],
            "BEDPLATE_LISTEN_FD": str(given[0]),
            "BEDPLATE_AGENT_FD": str(given[1]),
        }
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-m", "bedplate.runtime.gateway", str(self.config)],
            env=environment, pass_fds=given, stderr=subprocess.PIPE,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)) if descriptors else None,
        )  # fmt: skip
        theirs.close()
        socket.send_fds(self.channel, [json.dumps({"agent": 1}).encode() + b"\n"], [self.inner.fileno()])
        assert httpx2.get(self.url(self.outer) + "/ping", trust_env=False, timeout=15).status_code == 200
        return time.monotonic() - began

    @staticmethod
    def url(face: socket.socket) -> str:
        """A face's address."""
        return f"http://127.0.0.1:{face.getsockname()[1]}"

    def stop(self, how: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        _, self.told = self.process.communicate(timeout=15)
        if self.channel:
            self.channel.close()
        return self.process.returncode

    def rss(self) -> int:
        """Resident memory in KiB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.stop(signal.SIGKILL)
    made.outer.close()
    made.inner.close()


async def _take(agent: httpx2.AsyncClient) -> Job:
    while True:
        reply = await agent.post("/agent/next")
        if reply.status_code == 200:
            return Job(agent, reply.json())


def _client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=20, headers=AUTH)


async def test_answer_restart_and_stop(process: Process) -> None:
    """With real parts a search is answered; killed it runs the turn again, within its limits; SIGTERM ends it clean."""
    ready = await asyncio.to_thread(process.start)
    async with _client(process.url(process.outer)) as caller, _client(process.url(process.inner)) as agent:
        question: Any = {"json": {"input": "How long can I return an order?"}, "headers": {"Idempotency-Key": "k"}}
        asking = asyncio.create_task(caller.post("/invocations", **question))
        job = await _take(agent)
        found = await job.tool("docs___search", query="return an order")
        assert "30 days" in found["content"][0]["text"]
        await job.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
        rss = process.rss()
        process.stop(signal.SIGKILL)
        with pytest.raises(httpx2.TransportError):
            await asking
        await asyncio.to_thread(process.start)
    async with _client(process.url(process.outer)) as caller, _client(process.url(process.inner)) as agent:
        asking = asyncio.create_task(caller.post("/invocations", **question))
        again = await _take(agent)
        assert (await Job(agent, job.document).tool_status()) == 401
        assert again.document["deadline"] == job.document["deadline"]
        used = {name: job.document[name] - again.document[name] for name in ("requests", "tool_calls")}
        assert used == {"requests": 1, "tool_calls": 1}
        await again.tool("docs___search", query="return an order")
        await again.answer("30 days, see returns.md#returns")
        answer = (await asking).json()
        assert answer["output"].startswith("30 days")
        assert answer["sources"] == ["returns.md#returns"]
        assert answer["turnId"] == job.document["turn"]
        assert await asyncio.to_thread(process.stop, signal.SIGTERM) == 0
    print(f"ready {ready:.2f} s, RSS {rss / 1024:.0f} MiB")  # noqa: T201 - read by whoever runs with -s


async def test_agent_gone_over_the_socket_pair(process: Process) -> None:
    """Told that the agent died, the gateway gives its turn to the next agent, on that one's listener."""
    await asyncio.to_thread(process.start)
    assert process.channel is not None
    async with _client(process.url(process.outer)) as caller, _client(process.url(process.inner)) as first:
        asking = asyncio.create_task(caller.post("/invocations", json={"input": "x"}))
        job = await _take(first)
        process.channel.send(json.dumps({"agent_gone": 1}).encode() + b"\n")
        with listener() as other:
            socket.send_fds(process.channel, [json.dumps({"agent": 2}).encode() + b"\n"], [other.fileno()])
            async with _client(process.url(other)) as second:
                again = await _take(second)
                assert again.document["turn"] == job.document["turn"]
                await again.answer("y")
                assert (await asking).json()["output"] == "y"


def test_config_round_trip(process: Process) -> None:
    """The configuration reads back as it was written."""
    config = load_config(process.config)
    assert GatewayConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(("broken", "code"), [("config", b"BP449"), ("secret", b"BP448")])
def test_cannot_start(process: Process, broken: str, code: bytes) -> None:
    """A gateway that cannot start says why with its code, and exits with 1."""
    if broken == "config":
        process.config.write_text("{")
    else:
        process.paths.secret("api-key").unlink()
    done = subprocess.run(
        [sys.executable, "-I", "-m", "bedplate.runtime.gateway", str(process.config)],
        env={"PATH": os.environ["PATH"], "BEDPLATE_LISTEN_FD": str(process.outer.fileno())},
        pass_fds=(process.outer.fileno(),), capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert code in done.stderr
