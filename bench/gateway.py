"""What the gateway adds to a tool call, against calling the same MCP server directly. Prints JSON.

    python bench/gateway.py [--rounds 10] [--calls 100]

One MCP server, made with the official SDK, has the one tool `echo`; it runs over streamable HTTP and, again, as a
command over stdio. It is called by three ways in turns, in one run, so that noise of the machine meets all of them:

- `direct`: the official client, connected once and held open.
- `gateway`: the running gateway's inner `/mcp`, as Bedplate's own agent calls it: JSON-RPC over a small HTTP client.
- `gateway_official`: the same with the official client.

The gateway is the real process with its sandboxed tool, a store on disk and the real trace sink; this script holds the
agent's listener and acts as the agent of a long turn. So each call through the gateway is authenticated, validated,
decided, written to the audit trail and the store, and traced. `added_median_ms` is the difference of the medians to
`direct`; with several clients every way is limited by the processors that all of these processes share.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.resolve import resolve
from bedplate.manifest.load import load
from bedplate.runtime.gateway.config import GatewayConfig
from bedplate.runtime.sandbox import best_backend

SERVER = """\
import sys
from mcp.server.mcpserver import MCPServer

server = MCPServer("bench", log_level="WARNING")

@server.tool()
async def echo(text: str) -> str:
    "The text."
    return text

server.run("streamable-http", port=int(sys.argv[1])) if sys.argv[1:] else server.run("stdio")
"""
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {{name: bench}}
intent: script
instructions: Answer.
model: {{id: "bedplate:extractive"}}
tools:
  - {{name: http, type: mcp, url: "http://127.0.0.1:{port}/mcp", scopes: [{{call: echo}}]}}
  - {{name: stdio, type: mcp, command: [python, server.py], scopes: [{{call: echo}}]}}
limits: {{toolCalls: 10000, timeout: 1h}}
stages:
  prototype: {{target: local}}
"""
TEXT = "How long do I have to return an order? " * 5
KEY = "bench-key-0123456789"
WAYS = ("direct", "gateway", "gateway_official")
CLIENTS = (1, 16)
WARM_UP = 20

Call = Callable[[], Awaitable[object]]


@dataclass
class Figures:
    """What one way took: seconds of each call, wall seconds of its bursts, processor seconds of the gateway."""

    times: list[float] = field(default_factory=list)
    wall: float = 0.0
    gateway_cpu: float = 0.0

    def report(self) -> dict[str, float]:
        """Milliseconds and calls a second."""
        calls = len(self.times)
        return {
            "median_ms": round(statistics.median(self.times) * 1000, 3),
            "p99_ms": round(statistics.quantiles(self.times, n=100)[-1] * 1000, 3),
            "calls_per_second": round(calls / self.wall, 1),
            "gateway_cpu_ms_per_call": round(self.gateway_cpu / calls * 1000, 2),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=100, help="of each way in each round, over all clients")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as bench:
        report = asyncio.run(bench.measure(given.rounds, given.calls))
    print(json.dumps(report, indent=2))


class Bench:
    """A gateway that runs, and what is needed to reach it and the MCP server."""

    def __init__(self, folder: Path, gateway: int, outer: int, inner: int, server: int) -> None:
        self._server_file = folder / "server.py"
        self._gateway = gateway
        self._outer, self._inner = f"http://127.0.0.1:{outer}", f"http://127.0.0.1:{inner}"
        self._server = f"http://127.0.0.1:{server}/mcp"

    async def measure(self, rounds: int, calls: int) -> dict[str, Any]:
        """Every transport with every number of clients."""
        report: dict[str, Any] = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "sandbox": best_backend().backend,
            "rounds": rounds,
            "calls_per_round": calls,
        }
        for transport in ("http", "stdio"):
            report[transport] = {
                f"clients_{clients}": await self._compare(transport, clients, rounds, calls) for clients in CLIENTS
            }
        return report

    async def _compare(self, transport: str, clients: int, rounds: int, calls: int) -> dict[str, Any]:
        """One cell: the three ways in turns, each round in another order."""
        figures = {way: Figures() for way in WAYS}
        async with self._turn() as capability, AsyncExitStack() as stack:
            callers = {
                "direct": await self._direct(stack, transport, clients),
                "gateway": [await self._small(stack, transport, capability) for _ in range(clients)],
                "gateway_official": [await self._official(stack, transport, capability) for _ in range(clients)],
            }
            for way in WAYS:
                await self._burst(callers[way], WARM_UP, Figures())
            for number in range(rounds):
                for place in range(len(WAYS)):
                    way = WAYS[(number + place) % len(WAYS)]
                    await self._burst(callers[way], calls, figures[way])
        return compared({way: each.report() for way, each in figures.items()})

    async def _burst(self, callers: list[Call], calls: int, figures: Figures) -> None:
        """`calls` calls, shared out to the callers, each of which makes one after the other."""

        async def work(call: Call, count: int) -> None:
            for _ in range(count):
                began = time.perf_counter()
                await call()
                figures.times.append(time.perf_counter() - began)

        began, used = time.perf_counter(), cpu(self._gateway)
        each = max(1, calls // len(callers))
        await asyncio.gather(*(work(call, each) for call in callers))
        figures.wall += time.perf_counter() - began
        figures.gateway_cpu += cpu(self._gateway) - used

    async def _direct(self, stack: AsyncExitStack, transport: str, clients: int) -> list[Call]:
        """Over HTTP a client each; over stdio there is one server and so one client, which all of them share."""
        if transport == "stdio":
            parameters = StdioServerParameters(command=sys.executable, args=[str(self._server_file)])
            shared = await stack.enter_async_context(Client(stdio_client(parameters), cache=None))
            return [caller(shared, "echo")] * clients
        made = [Client(self._server, cache=None) for _ in range(clients)]
        return [caller(await stack.enter_async_context(each), "echo") for each in made]

    async def _official(self, stack: AsyncExitStack, transport: str, capability: str) -> Call:
        headers = {"Authorization": f"Bearer {capability}"}
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30))
        transport_to = streamable_http_client(f"{self._inner}/mcp", http_client=http)
        client = await stack.enter_async_context(Client(transport_to, cache=None))
        return caller(client, f"{transport}___echo")

    async def _small(self, stack: AsyncExitStack, transport: str, capability: str) -> Call:
        headers = {"Authorization": f"Bearer {capability}", "Accept": "application/json, text/event-stream"}
        client = httpx2.AsyncClient(base_url=self._inner, headers=headers, trust_env=False, timeout=30)
        http = await stack.enter_async_context(client)
        params = {"name": f"{transport}___echo", "arguments": {"text": TEXT}}

        async def call() -> None:
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            answer = await http.post("/mcp", json=message)
            assert answer.json()["result"]["content"][0]["text"] == TEXT, answer.text

        return call

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[str]:
        """Ask the agent something, take the job as the agent, and answer at the end; gives the job's capability."""
        async with httpx2.AsyncClient(trust_env=False, timeout=3600) as http:
            key = {"Authorization": f"Bearer {KEY}"}
            asking = asyncio.create_task(http.post(f"{self._outer}/invocations", json={"input": "bench"}, headers=key))
            job = (await http.post(f"{self._inner}/agent/next")).raise_for_status().json()
            over = asyncio.Event()

            async def report() -> AsyncIterator[bytes]:
                yield b'{"type": "text", "delta": "d"}\n'  # begins the report, which says that the agent is alive
                await over.wait()
                yield b'{"type": "result", "output": "done", "messages": []}\n'

            auth = {"Authorization": f"Bearer {job['capability']}"}
            path = f"{self._inner}/agent/turns/{job['turn']}"
            reporting = asyncio.create_task(http.post(path, content=report(), headers=auth))
            try:
                yield job["capability"]
            finally:
                over.set()
                (await reporting).raise_for_status()
                (await asking).raise_for_status()


def caller(client: Client, name: str) -> Call:
    """A call of the tool with the official client, checked."""

    async def call() -> None:
        result = await client.call_tool(name, {"text": TEXT})
        assert result.content[0].text == TEXT, result  # type: ignore[union-attr] # an echo is text

    return call


def compared(ways: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The ways with what the gateway adds to the direct call at the median, and the ratio of the medians."""
    direct = ways["direct"]
    del direct["gateway_cpu_ms_per_call"]
    for way in WAYS[1:]:
        ways[way]["added_median_ms"] = round(ways[way]["median_ms"] - direct["median_ms"], 3)
        ways[way]["ratio"] = round(ways[way]["median_ms"] / direct["median_ms"], 2)
    return dict(ways)


def cpu(pid: int) -> float:
    """Processor seconds that a process used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def stage(folder: Path) -> Iterator[Bench]:
    """Server, sink and gateway, each a process of its own, ended afterwards."""
    with contextlib.ExitStack() as stack:
        server = free_port()
        (folder / "server.py").write_text(SERVER)
        (folder / "agent.yaml").write_text(MANIFEST.format(port=server))
        run(stack, [str(folder / "server.py"), str(server)], {})
        reachable(server)
        paths = StagePaths(folder / "stage")
        for needed in (paths.secrets, paths.run):
            needed.mkdir(parents=True)
        for name in ("api-key", "sink-token"):
            paths.secret(name).write_text(KEY)
        sink, _ = serving(stack, "bedplate.traces.sink", sink_config(paths))
        blueprint = resolve(load(folder / "agent.yaml"), "prototype")
        config = GatewayConfig(blueprint, paths, f"http://127.0.0.1:{sink}", best_backend().backend)
        inner = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        outer, gateway = serving(stack, "bedplate.runtime.gateway", config.to_json(), inner)
        httpx2.get(f"http://127.0.0.1:{outer}/ping", trust_env=False, timeout=30).raise_for_status()
        yield Bench(folder, gateway, outer, int(inner.getsockname()[1]), server)


def sink_config(paths: StagePaths) -> dict[str, Any]:
    """The trace sink's configuration."""
    traces, secrets = str(paths.folder / "traces"), str(paths.secrets)
    return {"folder": traces, "retention": 86400, "content": "redacted", "secretsFolder": secrets}


def serving(
    stack: contextlib.ExitStack, module: str, config: dict[str, Any], agent: socket.socket | None = None
) -> tuple[int, int]:
    """Start one of the stage's processes as the supervisor does; its port and pid. `agent`: the agent's listener."""
    with contextlib.ExitStack() as given:
        listener = given.enter_context(socket.create_server(("127.0.0.1", 0)))
        descriptors = {"BEDPLATE_LISTEN_FD": listener.fileno()}
        if agent is not None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(ours)
            descriptors["BEDPLATE_AGENT_FD"] = given.enter_context(theirs).fileno()
            socket.send_fds(ours, [b'{"agent": 1}\n'], [agent.fileno()])
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(config, file)
        stack.callback(os.unlink, file.name)
        return int(listener.getsockname()[1]), run(stack, ["-I", "-m", module, file.name], descriptors)


def run(stack: contextlib.ExitStack, arguments: list[str], descriptors: dict[str, int]) -> int:
    """Start a Python process that inherits the descriptors; it ends with the stack. Its pid."""
    environment = {**os.environ, **{name: str(number) for name, number in descriptors.items()}}
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, pass_fds=tuple(descriptors.values()),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    return process.pid


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def reachable(port: int) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit("the MCP server did not start")


if __name__ == "__main__":
    main()
