"""The agent's tools: listed, checked, decided and recorded by the gateway; MCP as the official client speaks it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bedplate.access import Grant, Never, ScopeSet
from bedplate.blueprint.model import Limits
from bedplate.problems import BedplateError
from bedplate.runtime.gateway.schemas import Schemas
from gateway_support import Desk, Job, Running, blueprint, running

RPC = {"jsonrpc": "2.0", "id": 1}


@asynccontextmanager
async def working(folder: Path, desk: Desk | None = None, **changes: Any) -> AsyncIterator[tuple[Running, Job]]:
    """A turn in the middle: the gateway, and the job of its agent."""
    async with running(folder, blueprint(**changes), desk) as run:
        asking = asyncio.create_task(run.ask("x", userId="ann"))
        job = await run.take()
        yield run, job
        asking.cancel()


async def _rpc(job: Job, method: str, **params: Any) -> Any:
    return (await job.post("/mcp", {**RPC, "method": method, "params": params})).json()


async def test_only_granted_operations_are_listed(tmp_path: Path) -> None:
    """The list holds what some scope grants, and nothing else."""
    async with working(tmp_path) as (run, job):
        listed = (await _rpc(job, "tools/list"))["result"]["tools"]
        names = {t["name"] for t in listed}
        assert names == {"desk___look", "desk___send", "desk___boom", "memory___recall", "memory___remember"}
        look = next(t for t in listed if t["name"] == "desk___look")
        assert look["inputSchema"]["required"] == ["path"]
        assert look["annotations"] == {"readOnlyHint": True}
        assert run.gateway.dispatch.search_tools() == {"desk___look"}


async def test_never_hides_and_forbids(tmp_path: Path) -> None:
    """What `never` names is not listed and cannot be called, whatever the grants say."""
    scopes = ScopeSet((Grant("g", "desk", "call", "*"),), (Never("desk.send"),))
    async with working(tmp_path, scopes=scopes) as (run, job):
        assert (await _rpc(job, "tools/list"))["result"]["tools"] == []
        assert (await job.tool("desk___send", text="x"))["isError"]
        assert run.desk.sent == []


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("desk___drop", {}, "there is no tool desk.drop"),
        ("desk___nothing", {}, "there is no tool desk.nothing"),
        ("nothing", {}, "there is no tool nothing."),
        ("desk___look", {"path": "secret/a"}, "no scope of desk grants read on secret/a"),
        ("desk___look", {}, "'path' is a required property"),
        ("desk___look", {"path": 5}, "path: 5 is not of type 'string'"),
        ("desk___look", {"path": "docs/a", "more": 1}, "Additional properties"),
        ("desk___send", {"text": "x", "__extn": {}}, "reserved"),
        ("desk___boom", {"a": [{"__entity": 1}]}, "reserved"),
        ("desk___boom", {}, "desk.boom failed (ValueError)"),
    ],
)
async def test_refusals(tmp_path: Path, name: str, arguments: dict[str, Any], says: str) -> None:
    """A call that may not be made, or fails, is an error result that says why, and the tool is not reached."""
    async with working(tmp_path) as (run, job):
        result = await job.tool(name, **arguments)
        assert result["isError"]
        assert says in result["content"][0]["text"]
        assert run.desk.sent == []


async def test_calls_are_recorded_and_audited(tmp_path: Path) -> None:
    """Each call leaves a row with its decision and grant, and an audit line; arguments are redacted there."""
    async with working(tmp_path) as (run, job):
        await job.tool("desk___look", path="docs/a")
        await job.tool("desk___look", path="secret/a")
        await job.tool("desk___send", text="mail ann@example.com")
        calls = run.store.calls(job.document["turn"])
        assert [(c.operation, c.status, c.decision, c.grant, c.effect) for c in calls] == [
            ("look", "completed", "allow", "g-look", False),
            ("look", "denied", "deny", "", False),
            ("send", "completed", "allow", "g-send", True),
        ]
        lines = run.store.db.rows("SELECT * FROM audit ORDER BY seq")
        assert [line["effect"] for line in lines] == ["allow", "deny", "allow"]
        assert "ann@example.com" not in str([dict(line) for line in lines])


class _Listless(Desk):
    async def operations(self) -> Any:
        raise ValueError("what?")


class _Confused(Desk):
    def question(self, operation: str, arguments: Any) -> Any:
        raise KeyError(f"{operation} {arguments}")


async def test_tool_that_breaks_its_promise(tmp_path: Path) -> None:
    """A toolset that raises where it should not takes neither the other tools nor the turn with it."""
    async with working(tmp_path / "a", _Listless()) as (_, job):
        names = [t["name"] for t in (await _rpc(job, "tools/list"))["result"]["tools"]]
        assert names == ["memory___recall", "memory___remember"]
    async with working(tmp_path / "b", _Confused()) as (_, job):
        result = await job.tool("desk___look", path="docs/a")
        assert "desk.look failed (KeyError)" in result["content"][0]["text"]
        assert (await job.answer("still here")).status_code == 200


async def test_call_id_of_the_model(tmp_path: Path) -> None:
    """The model's id of a call is kept where the agent names it, and made unique where it comes twice."""
    async with working(tmp_path) as (run, job):
        meta = {"bedplate/toolCallId": "toolu_1"}
        for _ in range(2):
            await _rpc(job, "tools/call", name="desk___look", arguments={"path": "docs/a"}, _meta=meta)
        ids = [c.call_id for c in run.store.calls(job.document["turn"])]
        assert ids[0] == "toolu_1"
        assert len(set(ids)) == 2


async def test_memory_tool_is_the_users_own(tmp_path: Path) -> None:
    """`memory` remembers and recalls for the user of the turn, through the decider."""
    async with working(tmp_path) as (run, job):
        await job.tool("memory___remember", fact="I prefer tea.")
        found = await job.tool("memory___recall", query="tea")
        assert found["structuredContent"] == {"facts": ["I prefer tea."]}
        assert [c.grant for c in run.store.calls(job.document["turn"])] == ["g-write", "g-read"]


async def test_tool_that_takes_too_long(tmp_path: Path) -> None:
    """A call ends with the turn's deadline, with its outcome on record."""
    async with working(tmp_path, limits=Limits(timeout=0.4)) as (run, job):
        run.desk.hold = asyncio.Event()
        result = await job.tool("desk___send", text="x")
        assert "did not answer in time" in result["content"][0]["text"]
        assert run.store.calls(job.document["turn"])[0].status == "failed"


async def test_call_that_is_still_being_looked_up_when_its_turn_ends(tmp_path: Path) -> None:
    """No call begins after its turn has ended."""
    desk = Desk()
    desk.hidden = {"send"}
    async with working(tmp_path, desk) as (run, job):
        desk.hidden, desk.listing = set(), asyncio.Event()
        calling = asyncio.create_task(job.tool("desk___send", text="x"))
        await asyncio.sleep(0.1)
        await job.answer("done")
        desk.listing.set()
        assert "the turn is over" in (await calling)["content"][0]["text"]
        assert run.desk.sent == []


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_official_client(tmp_path: Path, mode: str) -> None:
    """The official MCP client lists and calls tools, by handshake and by self-contained requests."""
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    logging.getLogger("httpx2").setLevel(logging.WARNING)
    async with working(tmp_path) as (run, job), httpx2.AsyncClient(headers=job.auth, trust_env=False) as http:
        transport = streamable_http_client(f"{run.inner}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            listed = await client.list_tools()
            assert "desk___look" in {t.name for t in listed.tools}
            result = await client.call_tool("desk___look", {"path": "docs/a"})
            assert (result.is_error, result.content[0].text) == (False, "text of docs/a")
            denied = await client.call_tool("desk___look", {"path": "secret"})
            assert denied.is_error


@pytest.mark.parametrize("wanted", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "1999-01-01"])
async def test_initialize(tmp_path: Path, wanted: str) -> None:
    """`initialize` agrees to a version that it knows, and offers its newest for any other."""
    async with working(tmp_path) as (_, job):
        result = (await _rpc(job, "initialize", protocolVersion=wanted, capabilities={}, clientInfo={}))["result"]
        assert result["protocolVersion"] == ("2025-11-25" if wanted.startswith("1999") else wanted)
        assert result["serverInfo"]["name"] == "bedplate"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, -32700),
        (b"[" * 100_000, 400, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}', 400, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\uD800"}}', 400, -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, -32600),
        (b'{"id":1,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}', 200, -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[1]}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}', 200, -32602),
    ],
)
async def test_malformed_mcp(tmp_path: Path, body: bytes, status: int, code: int) -> None:
    """What is no proper request gets the JSON-RPC error that the specification names."""
    async with working(tmp_path) as (run, job):
        headers = {**job.auth, "Content-Type": "application/json"}
        reply = await run.agent.post("/mcp", content=body, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


async def test_mcp_over_http(tmp_path: Path) -> None:
    """Notifications get 202, other methods and content types are refused, and a large body is not read."""
    async with working(tmp_path) as (run, job):
        json_type = {**job.auth, "Content-Type": "application/json"}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await job.post("/mcp", note)).status_code == 202
        assert (await _rpc(job, "ping"))["result"] == {}
        assert (await run.agent.get("/mcp", headers=job.auth)).status_code == 405
        assert (await run.agent.delete("/mcp", headers=job.auth)).status_code == 405
        plain = {**job.auth, "Content-Type": "text/plain"}
        assert (await run.agent.post("/mcp", content=b"{}", headers=plain)).status_code == 415
        assert (await job.post("/mcp", note, headers={"Accept": "text/html"})).status_code == 406
        assert (await job.post("/mcp", note, headers={"Origin": "http://evil.example"})).status_code == 403
        assert (await job.post("/mcp", note, headers={"MCP-Protocol-Version": "1999-01-01"})).status_code == 400
        large = await run.agent.post("/mcp", content=b" " * 2_000_000, headers=json_type)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "BP402")


async def test_modern_headers_must_agree(tmp_path: Path) -> None:
    """A self-contained request whose headers and body disagree is refused, as is a version that does not exist."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    body = {**RPC, "method": "tools/list", "params": {"_meta": meta}}
    good = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
    async with working(tmp_path) as (_, job):
        assert (await job.post("/mcp", body, headers=good)).json()["result"]["resultType"] == "complete"
        for bad in ({**good, "Mcp-Method": "ping"}, {"Mcp-Method": "tools/list"}):
            reply = await job.post("/mcp", body, headers=bad)
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32020)
        unknown = await job.post("/mcp", {**body, "method": "x"}, headers={**good, "Mcp-Method": "x"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, -32601)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
    ],
)
def test_schemas_of_others(schema: dict[str, Any]) -> None:
    """A schema that cannot be used refuses the call, and no reference is ever fetched."""
    with pytest.raises(BedplateError) as error:
        Schemas().check("a.b", schema, {"a": "x"})
    assert error.value.problems[0].code == "BP441"


def test_deep_arguments() -> None:
    """Arguments nested without end are refused before anything looks at them."""
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    with pytest.raises(BedplateError):
        Schemas().check("a.b", {"type": "object"}, {"a": deep})


async def test_the_state_of_tools_stands_in_a_file(tmp_path: Path) -> None:
    """Who looks at the stage reads which tools work and why one does not, as it changes; the file goes at the end."""
    desk, file = Troubled(), tmp_path / "tools.json"
    desk.trouble = "the server cannot be reached"

    async def told(**state: Any) -> None:
        async with asyncio.timeout(5):
            while json.loads(file.read_text()) != {"desk": state}:
                await asyncio.sleep(0.05)

    async with running(tmp_path, desk=desk):
        first = json.loads(file.read_text())
        assert first == {"desk": {"state": "failed", "reason": "the server cannot be reached", "operations": 4}}
        desk.trouble = ""
        await told(state="ready", reason="", operations=4)
        desk.hidden = {"drop"}
        await told(state="ready", reason="", operations=3)
        desk.left_out = "refused: drop"
        await told(state="ready", reason="refused: drop", operations=3)
    assert not file.exists()


class Troubled(Desk):
    """A tool whose connection can be down."""

    trouble = ""
    left_out = ""
