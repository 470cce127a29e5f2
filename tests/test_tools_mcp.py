"""Tools of type mcp: real servers over stdio and HTTP, good ones, dead ones and liars."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bedplate.blueprint.model import McpTool
from bedplate.problems import BedplateError
from bedplate.runtime.sandbox import best_backend
from bedplate.runtime.tools.child import sandboxed
from bedplate.runtime.tools.mcp import McpToolset, Patience
from tools_support import alive, context, plain, served, until

SERVER = '''
import os, sys, time, asyncio
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("own")

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(left: int, right: int) -> int:
    """Add two numbers."""
    return left + right

@server.tool()
def environment() -> dict[str, str]:
    return {**os.environ, "cwd": os.getcwd(), "pid": str(os.getpid()), "reversed": os.environ.get("TOKEN", "")[::-1]}

@server.tool()
def fails() -> str:
    raise ValueError("the shop is closed")

@server.tool()
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"

@server.tool()
def dies() -> str:
    os._exit(4)

@server.tool()
def big() -> str:
    return "x" * 3_000_000

@server.tool()
async def more(ctx: Context) -> str:
    server.add_tool(lambda: "late", name="late")
    await ctx.notify_tools_changed()
    return "added"

if __name__ == "__main__":
    print("noise", file=sys.stderr)
    server.run("stdio")
'''
# Answers the handshake, then lists whatever the file beside it holds.
LIAR = """
import json, sys
tools = json.load(open(sys.argv[1]))
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    match request["method"]:
        case "initialize":
            reply["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                               "serverInfo": {"name": "liar", "version": "1"}}
        case "tools/list":
            print("this is not JSON", flush=True)
            reply["result"] = {"tools": tools}
        case "tools/call" if request["params"]["name"] == "rubbish":
            reply["result"] = {"content": [{"type": "text"}], "isError": "perhaps"}
        case "tools/call":
            reply["error"] = {"code": -32000, "message": "not today"}
        case _:
            reply["error"] = {"code": -32601, "message": "unknown method"}
    print(json.dumps(reply), flush=True)
"""
QUICK = Patience(connect=8.0, first=0.05, last=0.2, call=3.0)


def toolset(project: Path, command: Sequence[str] = (), **changes: Any) -> McpToolset:
    tool = McpTool(changes.pop("name", "own"), command=tuple(command), url=changes.pop("url", None))
    settings = {"readable": [project / "server.py"], "launcher": plain, "patience": QUICK, **changes}
    return McpToolset(tool, project=project, **settings)


@asynccontextmanager
async def stdio(project: Path, text: str = SERVER, *words: str, **changes: Any) -> AsyncIterator[McpToolset]:
    (project / "server.py").write_text(text)
    (project / "agent.yaml").write_text("kind: Agent\n")
    tools = toolset(project, ("python", "server.py", *words), **changes)
    try:
        await tools.start()
        yield tools
    finally:
        await tools.close()


async def test_a_stdio_server_is_listed_and_called(tmp_path: Path) -> None:
    """Operations carry schema and effect, and a call gives text and data."""
    async with stdio(tmp_path) as tools:
        operations = {operation.name: operation for operation in await tools.operations()}
        result = await tools.call("add", {"left": 40, "right": 2}, context())
    assert operations["add"].effect is False
    assert operations["environment"].effect is True
    assert operations["add"].input_schema["required"] == ["left", "right"]
    assert operations["add"].description == "Add two numbers."
    assert not result.error, result.text
    assert result.text == "42"


async def test_a_server_sees_declared_variables_only(tmp_path: Path) -> None:
    """The gateway's environment stays outside; the folder is the project's."""
    os.environ["BEDPLATE_TEST_UNDECLARED"] = "leak"
    try:
        async with stdio(tmp_path, env={"TOKEN": "t0ken-value"}) as tools:
            seen = json.loads((await tools.call("environment", {}, context())).text)
    finally:
        del os.environ["BEDPLATE_TEST_UNDECLARED"]
    assert seen["reversed"] == "eulav-nek0t"
    assert "BEDPLATE_TEST_UNDECLARED" not in seen
    assert seen["cwd"] == str(tmp_path)


async def test_an_error_of_the_server_is_a_result(tmp_path: Path) -> None:
    """A tool that raises comes back as an error that the model can read; the connection stays."""
    async with stdio(tmp_path) as tools:
        failed = await tools.call("fails", {}, context())
        works = await tools.call("add", {"left": 1, "right": 1}, context())
    assert failed.error
    assert works.text == "2"


async def test_a_hanging_call_ends_at_its_deadline(tmp_path: Path) -> None:
    """A call gives up when the turn does; others go on meanwhile and after."""
    async with stdio(tmp_path) as tools, asyncio.timeout(6):
        hang, quick = await asyncio.gather(
            tools.call("slow", {"seconds": 30}, context(seconds=0.6)),
            tools.call("slow", {"seconds": 0.1}, context()),
        )
    assert hang.error
    assert "did not answer" in hang.text
    assert quick.text == "done"


async def test_a_server_that_dies_in_a_call_is_started_again(tmp_path: Path) -> None:
    """The call says that its outcome is unknown and is not repeated; the next call works."""
    async with stdio(tmp_path) as tools, asyncio.timeout(15):
        died = await tools.call("dies", {}, context())
        again = await tools.call("add", {"left": 2, "right": 2}, context())
    assert died.error
    assert "unknown" in died.text
    assert again.text == "4"


async def test_a_server_killed_between_calls_is_started_again(tmp_path: Path) -> None:
    """SIGKILL costs the next call a short wait and nothing else."""
    async with stdio(tmp_path) as tools, asyncio.timeout(15):
        pid = int(json.loads((await tools.call("environment", {}, context())).text)["pid"])
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not alive(pid))
        await asyncio.sleep(0.1)
        again = await tools.call("add", {"left": 2, "right": 3}, context())
    assert again.text == "5"


async def test_a_huge_answer_is_refused_and_the_tool_goes_on(tmp_path: Path) -> None:
    """Three megabytes end the connection, not the gateway; the next call has a new one."""
    async with stdio(tmp_path) as tools, asyncio.timeout(15):
        big = await tools.call("big", {}, context())
        again = await tools.call("add", {"left": 2, "right": 4}, context())
    assert big.error
    assert again.text == "6"


async def test_a_changed_list_is_read_again(tmp_path: Path) -> None:
    """After the server's notification the new operation is there, and may be asked about."""
    async with stdio(tmp_path) as tools:
        with pytest.raises(BedplateError):
            tools.question("late", {})
        await tools.call("more", {}, context())
        async with asyncio.timeout(5):
            while "late" not in {operation.name for operation in await tools.operations()}:
                await asyncio.sleep(0.05)
        assert tools.question("late", {}).object == "late"


async def test_closing_ends_the_server(tmp_path: Path) -> None:
    """After close, also a second one, no process is left."""
    async with stdio(tmp_path) as tools:
        pid = int(json.loads((await tools.call("environment", {}, context())).text)["pid"])
        await tools.close()
        assert not alive(pid)
        await tools.close()


async def test_lies_are_refused_one_by_one(tmp_path: Path) -> None:
    """Bad names, bad schemas and doubles are left out; the good tool of the same server is offered."""
    good = {"type": "object", "properties": {}}
    names = ["good", "white space", "über", "n" * 65, "m" * 60, "twice", "twice", ""]
    lies = [{"name": name, "inputSchema": good} for name in names]
    lies += [{"name": "invalid", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}}]
    lies += [{"name": "huge", "inputSchema": good, "description": "x" * 200_000}]
    (tmp_path / "tools.json").write_text(json.dumps(lies))
    async with stdio(tmp_path, LIAR, str(tmp_path / "tools.json")) as tools:
        assert [operation.name for operation in await tools.operations()] == ["good"]
        assert tools.trouble == ""
        assert "'twice' (the server lists it twice)" in tools.left_out
        assert tools.left_out.endswith("and 3 more")
        result = await tools.call("good", {}, context())
    assert result.error
    assert "not today" in result.text


async def test_a_list_that_breaks_the_protocol_gives_no_operations(tmp_path: Path) -> None:
    """One tool whose schema is no object breaks the list: nothing of it is offered, and nothing crashes."""
    lies = [{"name": "good", "inputSchema": {"type": "object"}}, {"name": "array", "inputSchema": {"type": "array"}}]
    (tmp_path / "tools.json").write_text(json.dumps(lies))
    patience = Patience(connect=2.0, first=5.0, last=5.0, call=0.2)
    async with stdio(tmp_path, LIAR, str(tmp_path / "tools.json"), patience=patience) as tools:
        assert await tools.operations() == ()
        assert tools.trouble.startswith("the server's list of tools breaks the protocol: tools.1.inputSchema.type: ")
        assert (await tools.call("good", {}, context())).error


@pytest.mark.parametrize(
    ("names", "said"), [([], "the server lists no tool"), (["same", "same"], "'same' (the server lists it twice)")]
)
async def test_a_server_without_a_usable_operation_is_no_good(tmp_path: Path, names: list[str], said: str) -> None:
    """Connected, but with nothing to offer, it is in trouble, and says of which kind."""
    (tmp_path / "tools.json").write_text(json.dumps([{"name": n, "inputSchema": {"type": "object"}} for n in names]))
    async with stdio(tmp_path, LIAR, str(tmp_path / "tools.json")) as tools:
        assert await tools.operations() == ()
        assert said in tools.trouble


async def test_an_answer_that_breaks_the_protocol_is_an_error(tmp_path: Path) -> None:
    """A result of the wrong shape is an error of this call only."""
    tool = {"name": "rubbish", "inputSchema": {"type": "object"}}
    (tmp_path / "tools.json").write_text(json.dumps([tool]))
    async with stdio(tmp_path, LIAR, str(tmp_path / "tools.json")) as tools:
        result = await tools.call("rubbish", {}, context())
        assert result.error
        assert "protocol" in result.text
        assert tools.question("rubbish", {}).verb == "call"


@pytest.mark.parametrize("text", ["import sys; sys.exit('bad configuration')", "import time; time.sleep(60)"])
async def test_a_dead_or_silent_server_does_not_stop_the_start(tmp_path: Path, text: str) -> None:
    """`start` returns, there are no operations, and a call says that the server cannot be reached."""
    patience = Patience(connect=1.0, first=5.0, last=5.0, call=0.2)
    async with asyncio.timeout(8), stdio(tmp_path, text, patience=patience) as tools:
        assert await tools.operations() == ()
        assert tools.trouble
        result = await tools.call("anything", {}, context())
    assert result.error
    assert "cannot be reached" in result.text


async def test_a_missing_program_is_an_error_at_the_start(tmp_path: Path) -> None:
    """A command that does not exist is BP451 and names the program."""
    tools = toolset(tmp_path, ("no-such-program-anywhere",))
    with pytest.raises(BedplateError) as caught:
        await tools.start()
    assert caught.value.problems[0].code == "BP451"
    assert "no-such-program-anywhere" in caught.value.problems[0].detail


@asynccontextmanager
async def http(token: str, json_response: bool, port: int = 0) -> AsyncIterator[str]:
    from mcp.server.mcpserver import MCPServer
    from starlette.middleware import Middleware

    server = MCPServer("web")

    @server.tool()
    def double(number: int) -> int:
        return 2 * number

    @server.tool()
    def big() -> str:
        return "x" * 3_000_000

    class Guard:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and Request(scope).headers.get("authorization") != f"Bearer {token}":
                await PlainTextResponse("no", 401)(scope, receive, send)
            else:
                await self.app(scope, receive, send)

    app = server.streamable_http_app(json_response=json_response)
    app.user_middleware.insert(0, Middleware(Guard))
    async with served(app, port) as url:
        yield f"{url}/mcp"


@pytest.mark.parametrize("json_response", [True, False])
async def test_an_http_server_is_called_with_its_credential(tmp_path: Path, json_response: bool) -> None:
    """Streamable HTTP works with JSON answers and with event streams, behind a bearer token."""
    async with http("s3cret-token", json_response) as url:
        tools = toolset(tmp_path, url=url, credential="s3cret-token")
        await tools.start()
        result = await tools.call("double", {"number": 21}, context())
        big = await tools.call("big", {}, context(seconds=5))
        after = await tools.call("double", {"number": 4}, context())
        await tools.close()
    assert result.text == "42", result.text
    assert big.error
    assert after.text == "8"


@pytest.mark.parametrize("json_response", [True, False])
async def test_an_http_server_that_goes_and_comes_back(tmp_path: Path, json_response: bool) -> None:
    """While it is gone calls fail with an error; once it is back the same tool works again."""
    async with http("token", json_response) as url:
        tools = toolset(tmp_path, url=url, credential="token")
        await tools.start()
        assert (await tools.call("double", {"number": 1}, context())).text == "2"
    gone = await tools.call("double", {"number": 1}, context(seconds=2))
    async with http("token", json_response, int(url.split(":")[2].split("/")[0])), asyncio.timeout(20):
        while (again := await tools.call("double", {"number": 2}, context())).error:
            await asyncio.sleep(0.1)
        await tools.close()
    assert gone.error
    assert again.text == "4"


async def test_a_refused_credential_is_told_without_it(tmp_path: Path) -> None:
    """A wrong token leaves the tool without operations; no message holds the token."""
    async with http("right", True) as url:
        tools = toolset(tmp_path, url=url, credential="wrong-token", patience=Patience(2, 5, 5, 0.2))
        await tools.start()
        result = await tools.call("double", {"number": 1}, context())
        await tools.close()
    assert result.error
    assert "wrong-token" not in result.text


async def test_an_http_server_that_is_no_mcp_server(tmp_path: Path) -> None:
    """A web page at the address, or a redirect to another origin, gives no operations and no crash."""

    async def page(_: Request) -> Response:
        return PlainTextResponse("<html>welcome</html>")

    async def away(_: Request) -> Response:
        return JSONResponse({}, 307, headers={"location": "http://127.0.0.2:9/mcp"})

    app = Starlette(routes=[Route("/page", page, methods=["GET", "POST"]), Route("/away", away, methods=["POST"])])
    async with served(app) as url:
        for path in ("/page", "/away"):
            tools = toolset(tmp_path, url=url + path, patience=Patience(2, 5, 5, 0.2))
            await tools.start()
            assert await tools.operations() == ()
            assert (await tools.call("x", {}, context())).error
            await tools.close()


@pytest.mark.skipif(best_backend().backend == "none", reason="no sandbox backend works on this machine")
async def test_a_server_runs_inside_the_sandbox(tmp_path: Path) -> None:
    """In the sandbox the same server answers, in the project's folder, with its own environment only."""
    launcher = sandboxed(best_backend().backend, 512 * 1024 * 1024, 64)
    async with stdio(tmp_path, launcher=launcher, env={"TOKEN": "t0ken-value"}) as tools:
        result = await tools.call("environment", {}, context())
    seen = json.loads(result.text)
    assert seen["reversed"] == "eulav-nek0t"
    assert seen["cwd"] == str(tmp_path)


def third_party() -> Path | None:
    """The program of a server that this repository did not write: `BEDPLATE_TEST_MCP_TIME`, or beside this Python."""
    named = os.environ.get("BEDPLATE_TEST_MCP_TIME", str(Path(sys.executable).parent / "mcp-server-time"))
    return Path(named) if Path(named).exists() else None


@pytest.mark.third_party
@pytest.mark.skipif(third_party() is None, reason="mcp-server-time is not installed; set BEDPLATE_TEST_MCP_TIME")
async def test_a_server_of_other_hands_works_in_the_sandbox(tmp_path: Path) -> None:
    """The reference time server is listed and converts a time, with nothing written for it here."""
    (tmp_path / "agent.yaml").write_text("kind: Agent\n")
    launcher = sandboxed(best_backend().backend, 512 * 1024 * 1024, 64)
    tools = toolset(tmp_path, (str(third_party()), "--local-timezone=UTC"), readable=[], launcher=launcher)
    await tools.start()
    names = {operation.name for operation in await tools.operations()}
    arguments = {"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    result = await tools.call("convert_time", arguments, context())
    await tools.close()
    assert names == {"get_current_time", "convert_time"}
    assert not result.error
    assert "Asia/Tokyo" in result.text
