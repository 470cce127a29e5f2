"""A secret that an MCP server is given does not come back from it, whatever it puts it in."""

from __future__ import annotations

import base64
import json
import logging
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import Response

from bedplate.access import Grant
from bedplate.blueprint.model import HttpTool
from bedplate.runtime.masking import Mask, MaskedLog
from bedplate.runtime.tools.http import HttpToolset
from test_tools_mcp import QUICK, stdio, toolset
from tools_support import context, served

TOKEN = 'sesam-"öffne" dich/42'
# Sends its token back in every place of the protocol that a server writes.
TELLTALE = """
import base64, json, os, sys
token = os.environ["TOKEN"]
print("started with", token, file=sys.stderr, flush=True)
schema = {"type": "object", "title": token, "properties": {"a": {"description": token, "enum": [token]}}}
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    print("no message:", "x" * 80, token, flush=True)
    match request["method"], (request.get("params") or {}).get("name"):
        case "initialize", _:
            reply["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "instructions": token,
                               "serverInfo": {"name": token, "version": "1"}}
        case "tools/list", _:
            reply["result"] = {"tools": [{"name": name, "title": token, "description": "uses " + token,
                                          "inputSchema": schema} for name in ("env", "error", "raises", "dies")]}
        case "tools/call", "env":
            content = [{"type": "text", "text": str(os.environ)},
                       {"type": "text", "text": json.dumps(dict(os.environ))},
                       {"type": "text", "text": base64.b64encode(token.encode()).decode()},
                       {"type": "resource", "resource": {"uri": "a://b", "text": token}},
                       {"type": "resource_link", "uri": "a://" + "b", "name": token}]
            reply["result"] = {"content": content, "structuredContent": {"env": [{token: {"deep": token}}]}}
        case "tools/call", "raises":
            reply["result"] = {"content": [{"type": "text", "text": "KeyError: " + token}], "isError": True}
        case "tools/call", "dies":
            sys.exit("died of " + token)
        case _:
            reply["error"] = {"code": -32000, "message": "y" * 1990 + token, "data": {"key": token}}
    print(json.dumps(reply), flush=True)
"""


def spelled(token: str) -> tuple[str, ...]:
    return token, json.dumps(token)[1:-1], quote(token, safe=""), base64.b64encode(token.encode()).decode()


def shown(*things: Any) -> str:
    """All that somebody could read of some values; their raw texts, and as JSON."""
    return "\n".join([*map(str, things), *(json.dumps(t, default=vars, ensure_ascii=False) for t in things)])


async def test_no_message_of_a_server_brings_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results of all kinds, errors, the list of tools, bad lines and standard error come with `[secret]` instead."""
    caplog.set_level(logging.INFO)
    async with stdio(tmp_path, TELLTALE, env={"TOKEN": TOKEN}) as tools:
        listed = await tools.operations()
        results = [await tools.call(name, {}, context()) for name in ("env", "error", "raises", "dies")]
        seen = shown(tools.trouble, *listed, *results)
    seen += caplog.text + capsys.readouterr().err
    assert [spelling for spelling in (*spelled(TOKEN), "sesam") if spelling in seen] == []
    assert listed[0].description == "uses [secret]"
    assert results[0].data == {"env": [{"[secret]": {"deep": "[secret]"}}]}
    assert [result.error for result in results] == [False, True, True, True]
    assert "started with [secret]" in seen


async def test_the_reason_of_a_failed_start_has_no_secret(tmp_path: Path) -> None:
    """A server that dies with its key as last words is told without the key."""
    dies = "import os, sys; sys.exit('bad key ' + os.environ['TOKEN'])"
    async with stdio(tmp_path, dies, env={"TOKEN": TOKEN}) as tools:
        assert "bad key [secret]" in tools.trouble


@pytest.mark.parametrize("json_response", [True, False])
async def test_an_http_server_cannot_return_its_credential(tmp_path: Path, json_response: bool) -> None:
    """What a server at an address does with its bearer token, it does not come back with it."""
    server = MCPServer("web")
    heard: list[str] = []

    @server.tool(description="the key is s3cret-token")
    def key() -> dict[str, list[str]]:
        return {"heard": heard}

    class Hears:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                heard.append(Request(scope).headers["authorization"])
            await self.app(scope, receive, send)

    async with served(Hears(server.streamable_http_app(json_response=json_response))) as url:
        tools = toolset(tmp_path, url=f"{url}/mcp", credential="s3cret-token")
        await tools.start()
        listed = await tools.operations()
        result = await tools.call("key", {}, context())
        await tools.close()
    assert heard[0] == "Bearer s3cret-token"
    assert listed[0].description == "the key is [secret]"
    assert result.data["heard"][0] == "Bearer [secret]"
    assert "s3cret-token" not in shown(result, *listed)


async def test_a_redirect_that_holds_the_credential_is_told_without_it(tmp_path: Path) -> None:
    """The address in the error of a refused redirect is masked too."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            location = f"http://127.0.0.2:9/?key={Request(scope).headers['authorization'].split()[1]}"
            await Response(status_code=307, headers={"location": location})(scope, receive, send)

    async with served(app) as url:
        tools = toolset(tmp_path, url=url, credential="s3cret-token", patience=QUICK)
        await tools.start()
        result = await tools.call("x", {}, context())
        trouble = tools.trouble
        await tools.close()
    assert trouble
    assert "s3cret-token" not in shown(result, trouble)


def test_a_log_with_a_traceback_is_masked() -> None:
    """The gateway's log hides secrets in messages, arguments and quoted errors."""
    try:
        raise ValueError(f"input was {TOKEN}")
    except ValueError:
        record = logging.LogRecord("mcp", logging.ERROR, "", 1, "of %s", (TOKEN,), sys.exc_info())
    line = MaskedLog(logging.Formatter(), Mask(TOKEN)).format(record)
    assert "sesam" not in line
    assert "input was [secret]" in line


KEY_FILE = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("secret", "said", "kept"),
    [
        (
            "12345678",
            {"n": 12345678, "m": 1.5, "b": True, "x": None},
            {"n": "[secret]", "m": 1.5, "b": True, "x": None},
        ),
        (KEY_FILE, "the line MIIEvQIBADANBgkqhkiG9w0B is it", "the line [secret] is it"),
        ("a\\b'c", repr({"k": "a\\b'c"}), "{'k': \"[secret]\"}"),
        ("no", "no and none", "no and none"),
        (None, ["as it was"], ["as it was"]),
    ],
)
def test_values_are_masked_by_their_spelling(secret: str | None, said: Any, kept: Any) -> None:
    """Numbers, lines of a key file and Python's way to show a text are masked; a word of two letters is no secret."""
    assert Mask(secret).value(said) == kept


@pytest.mark.parametrize("place", ["body", "redirect"])
async def test_an_api_cannot_spell_its_credential_otherwise(tmp_path: Path, place: str) -> None:
    """JSON with escapes for characters, and the address of a refused redirect, are masked as well."""
    escaped = "".join(f"\\u{ord(ch):04x}" for ch in "s3cret-token")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {"location": "/other/s3cret-token"} if place == "redirect" else {}
            answer = Response(f'{{"a": ["{escaped}"]}}', 302 if headers else 200, headers, "application/json")
            await answer(scope, receive, send)

    api = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": {"/key": {"get": {"operationId": "key"}}},
    }
    file = tmp_path / "api.json"
    async with served(app) as url:
        file.write_text(json.dumps({**api, "servers": [{"url": url}]}))
        tool = HttpTool("api", "api.json", base_url=url)
        tools = HttpToolset(
            tool, document=file, grants=[Grant("g", "api", "get", f"{url}/*")], credential="s3cret-token"
        )
        await tools.start()
        result = await tools.call("key", {}, context(lambda question: question.object.endswith("/key")))
        await tools.close()
    assert "[secret]" in result.text
    assert "s3cret-token" not in shown(result)
    assert escaped not in result.text
