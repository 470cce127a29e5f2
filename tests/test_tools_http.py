"""Tools of type http: a real API on loopback, honest and hostile documents, credentials that stay inside."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from bedplate.access import Grant
from bedplate.blueprint.model import HttpTool
from bedplate.problems import BedplateError
from bedplate.runtime.tools.http import HttpToolset
from bedplate.runtime.tools.openapi import overlaps
from tools_support import context, served

SECRET = "sk-very-secret/42"
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "{base}", "variables": {"base": {"default": "http://127.0.0.1:1"}}}],
    "paths": {
        "/items": {
            "get": {
                "operationId": "listItems",
                "summary": "List items.",
                "parameters": [
                    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "ids", "in": "query", "explode": False, "schema": {"type": "array"}},
                    {"name": "page", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "post": {
                "operationId": "create item!",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
                },
            },
        },
        "/items/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {},
            "delete": {"operationId": "deleteItem"},
        },
        "/redirect/{to}": {"get": {"operationId": "redirect"}},
        "/big": {"get": {"operationId": "big"}},
        "/slow": {"get": {"operationId": "slow"}},
        "/echo": {"get": {"operationId": "echo"}},
        "/fails": {"get": {"operationId": "fails"}},
        "/upload": {
            "post": {
                "operationId": "upload",
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {}}}},
            }
        },
    },
    "components": {
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Item": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "example": "tea"},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                },
            }
        },
    },
}


async def _items(request: Request) -> Response:
    if request.method == "POST":
        return JSONResponse({"created": await request.json(), "type": request.headers["content-type"]}, 201)
    query = sorted(request.query_params.multi_items())
    return JSONResponse({"query": query, "trace": request.headers.get("x-trace")})


async def _item(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["id"], "method": request.method})


async def _redirect(request: Request) -> Response:
    targets = {
        "same": "/items/7",
        "other": "http://127.0.0.2:9/items/7",
        "denied": "/secret/area",
        "circle": "/redirect/circle",
    }
    return RedirectResponse(targets[request.path_params["to"]])


async def _big(request: Request) -> Response:
    return PlainTextResponse("x" * 3_000_000)


async def _slow(request: Request) -> Response:

    await asyncio.sleep(20)
    return PlainTextResponse("late")


async def _echo(request: Request) -> Response:
    return JSONResponse({"headers": dict(request.headers), "url": str(request.url)})


async def _fails(request: Request) -> Response:
    body = f"no: {request.headers.get('authorization')} " + "y" * 10_000
    return PlainTextResponse(body, 418)


APP = Starlette(
    routes=[
        Route("/items", _items, methods=["GET", "POST"]),
        Route("/items/{id}", _item, methods=["GET", "DELETE"]),
        Route("/redirect/{to}", _redirect),
        Route("/big", _big),
        Route("/slow", _slow),
        Route("/echo", _echo),
        Route("/fails", _fails),
    ]
)


def grants(*scopes: tuple[str, str]) -> list[Grant]:
    return [Grant(f"g{n}", "shop", verb, pattern) for n, (verb, pattern) in enumerate(scopes)]


def toolset(folder: Path, base: str | None, document: Any = DOCUMENT, **changes: Any) -> HttpToolset:
    file = folder / "api.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    everything = grants(*((verb, "*") for verb in ("get", "post", "put", "delete")))
    settings = {"grants": everything, "credential": SECRET, **changes}
    return HttpToolset(HttpTool("shop", "api.yaml", base_url=base), document=file, **settings)


@asynccontextmanager
async def shop(folder: Path, **changes: Any) -> AsyncIterator[tuple[HttpToolset, str]]:
    async with served(APP) as url:
        tools = toolset(folder, url, **changes)
        await tools.start()
        try:
            yield tools, url
        finally:
            await tools.close()


async def test_the_document_becomes_operations(tmp_path: Path) -> None:
    """Names, verbs, effects and schemas come from the document; what needs an upload is left out."""
    async with shop(tmp_path) as (tools, _):
        operations = {operation.name: operation for operation in await tools.operations()}
    assert {"listItems", "create_item", "get_items_id", "deleteItem"} <= set(operations)
    assert "upload" not in operations
    assert operations["listItems"].effect is False
    assert operations["deleteItem"].verb == "delete"
    assert operations["deleteItem"].effect is True
    assert operations["get_items_id"].input_schema["required"] == ["id"]
    item = operations["create_item"].input_schema["properties"]["body"]
    assert item["required"] == ["name"]
    assert "example" not in item["properties"]["name"]
    assert item["properties"]["parts"]["items"] == {"description": "again Item"}


async def test_a_call_sends_query_header_and_body_as_declared(tmp_path: Path) -> None:
    """Lists explode or join as the document says, objects go deep, JSON is the body."""
    arguments = {"tag": ["a b", "c&d"], "ids": [1, 2], "page": {"size": 5}, "X-Trace": "abc"}
    async with shop(tmp_path) as (tools, _):
        listed = await tools.call("listItems", arguments, context())
        created = await tools.call("create_item", {"body": {"name": "tëa"}}, context())
    assert listed.data["query"] == [["ids", "1,2"], ["page[size]", "5"], ["tag", "a b"], ["tag", "c&d"]]
    assert listed.data["trace"] == "abc"
    assert created.data == {"created": {"name": "tëa"}, "type": "application/json"}


async def test_the_question_is_the_address_that_is_called(tmp_path: Path) -> None:
    """The object of a question is the normalised address, and the server gets just that path."""
    async with shop(tmp_path) as (tools, url):
        question = tools.question("get_items_id", {"id": "a b?c#d"})
        result = await tools.call("get_items_id", {"id": "a b?c#d"}, context())
    assert (question.verb, question.object) == ("get", f"{url}/items/a%20b%3Fc%23d")
    assert result.data["id"] == "a b?c#d"


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a/b", "../x", "a%2fb", "%2e%2e", "a\\b", "a\nb", "a\0b", None, {}, ["..", "/"]]
)
async def test_a_path_parameter_cannot_lead_elsewhere(tmp_path: Path, value: object) -> None:
    """Slashes, dot segments, encodings and control characters in a path parameter are BP453 before access is asked."""
    async with shop(tmp_path) as (tools, _):
        with pytest.raises(BedplateError) as caught:
            tools.question("get_items_id", {"id": value})
        assert caught.value.problems[0].code == "BP453"


async def test_undeclared_arguments_are_not_sent(tmp_path: Path) -> None:
    """A query parameter that the document does not declare makes the call fail, it is not dropped or sent."""
    async with shop(tmp_path) as (tools, _):
        result = await tools.call("listItems", {"admin": "true"}, context())
    assert result.error
    assert "admin" in result.text


async def test_only_operations_that_a_grant_can_meet_are_listed(tmp_path: Path) -> None:
    """A scope on one item's address and verb leaves just the operation that can reach it."""
    scopes = grants(("get", "https://shop.example/items/7"), ("post", "https://other.example/*"))
    tools = toolset(tmp_path, "https://shop.example", grants=scopes)
    await tools.start()
    assert [operation.name for operation in await tools.operations()] == ["get_items_id"]


@pytest.mark.parametrize(
    ("scheme", "where", "expected"),
    [
        (None, "authorization", f"Bearer {SECRET}"),
        ({"type": "http", "scheme": "bearer"}, "authorization", f"Bearer {SECRET}"),
        ({"type": "http", "scheme": "basic"}, "authorization", "Basic c2stdmVyeS1zZWNyZXQvNDI="),
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, "x-key", SECRET),
        ({"type": "apiKey", "in": "query", "name": "key"}, "url", "key=sk-very-secret%2F42"),
    ],
)
async def test_the_credential_goes_where_the_document_says(
    tmp_path: Path, scheme: dict[str, str] | None, where: str, expected: str
) -> None:
    """The server receives the credential in the declared place, and the result that echoes it shows none of it."""
    seen: list[dict[str, str]] = []

    async def record(request: Request) -> Response:
        seen.append({**request.headers, "url": str(request.url)})
        return await _echo(request)

    document = {**DOCUMENT}
    if scheme:
        components = {**DOCUMENT["components"], "securitySchemes": {"own": scheme}}
        document = {**DOCUMENT, "components": components, "security": [{"own": []}]}
    async with served(Starlette(routes=[Route("/echo", record)])) as url:
        tools = toolset(tmp_path, url, document)
        await tools.start()
        result = await tools.call("echo", {}, context())
        await tools.close()
    assert expected in seen[0][where]
    assert "very-secret" not in result.text
    assert "very-secret" not in json.dumps(result.data)
    assert "c2stdmVyeS1zZWNyZXQvNDI=" not in result.text


@pytest.mark.parametrize(
    "arguments",
    [{"key": "mine"}, {"filter": {"key": "mine"}}, {"filter": {"size": 1, "KEY": "mine"}}, {"Key": ["a", "b"]}],
)
async def test_a_query_cannot_name_the_credential(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """No argument sets the field of the query that carries the credential: an error, and nothing is sent."""
    seen: list[str] = []

    async def record(request: Request) -> Response:
        seen.append(request.url.query)
        return PlainTextResponse("found")

    fields = [{"name": n, "in": "query", "schema": {}} for n in ("key", "Key")]
    fields.append({"name": "filter", "in": "query", "schema": {"type": "object"}})
    scheme = {"own": {"type": "apiKey", "in": "query", "name": "key"}}
    document = {
        **DOCUMENT,
        "components": {"securitySchemes": scheme},
        "security": [{"own": []}],
        "paths": {"/find": {"get": {"operationId": "find", "parameters": fields}}},
    }
    async with served(Starlette(routes=[Route("/find", record)])) as url:
        tools = toolset(tmp_path, url, document)
        await tools.start()
        refused = await tools.call("find", arguments, context())
        allowed = await tools.call("find", {"filter": {"size": 1}}, context())
        await tools.close()
    assert (refused.error, allowed.error) == (True, False)
    assert "carries the credential" in refused.text
    assert seen == ["size=1&key=sk-very-secret%2F42"]


async def test_an_operation_without_security_gets_no_credential(tmp_path: Path) -> None:
    """`security: []` on an operation means that the credential is not sent to it."""
    paths = {**DOCUMENT["paths"], "/echo": {"get": {"operationId": "echo", "security": []}}}
    async with shop(tmp_path, document={**DOCUMENT, "paths": paths}) as (tools, _):
        result = await tools.call("echo", {}, context())
    assert "authorization" not in result.data["headers"]


async def test_an_error_status_is_an_error_result(tmp_path: Path) -> None:
    """Status and the start of the body come back, trimmed and without the credential that the API repeats."""
    async with shop(tmp_path) as (tools, _):
        result = await tools.call("fails", {}, context())
    assert result.error
    assert result.text.startswith("HTTP 418: no: Bearer [secret]")
    assert len(result.text) < 2200


async def test_large_slow_and_absent_answers_are_errors(tmp_path: Path) -> None:
    """Over 1 MiB, over the deadline, or nobody there: an error result each, in time."""
    async with shop(tmp_path) as (tools, _):
        big = await tools.call("big", {}, context())
        slow = await tools.call("slow", {}, context(seconds=0.4))
    nobody = toolset(tmp_path, "http://127.0.0.1:9")
    await nobody.start()
    absent = await nobody.call("echo", {}, context())
    await nobody.close()
    assert "larger" in big.text
    assert "did not answer" in slow.text
    assert "could not be asked" in absent.text
    assert big.error
    assert slow.error
    assert absent.error


async def test_redirects_are_followed_only_where_access_allows(tmp_path: Path) -> None:
    """The same origin with a scope is followed; another origin, a denied address and a circle are not."""

    def allowed(question: Any) -> bool:
        return "/secret/" not in question.object

    async with shop(tmp_path) as (tools, _):
        results = {
            to: await tools.call("redirect", {"to": to}, context(allowed))
            for to in ("same", "other", "denied", "circle")
        }
    assert results["same"].data["id"] == "7"
    assert "another origin" in results["other"].text
    assert "no scope" in results["denied"].text
    assert "more than" in results["circle"].text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("swagger: '2.0'", "no OpenAPI 3"),
        ("openapi: 3.1.0", "no paths"),
        ("[1, 2", "YAML"),
        ("{", "JSON"),
        ("openapi: 3.0.0\npaths: {/a: {get: {}}}", "no server"),
        ("openapi: 3.0.0\nservers: [{url: /v1}]\npaths: {/a: {get: {}}}", "not absolute"),
        ("openapi: 3.0.0\nservers: [{url: 'http://x'}]\npaths: {/a: {$ref: 'other.yaml'}}", "out of the document"),
        ("openapi: 3.0.0\nservers: [{url: 'http://x'}]\npaths: {/a: {$ref: '#/nowhere'}}", "nowhere"),
        ("openapi: 3.0.0\nservers: [{url: 'http://x'}]\npaths: {/a: {$ref: '#/paths/~1a'}}", "circle"),
        ("openapi: 3.0.0\nservers: [{url: 'http://x'}]\npaths: {/a: 7}", "object is expected"),
    ],
)
async def test_documents_that_cannot_be_used_say_why(tmp_path: Path, text: str, said: str) -> None:
    """Each broken document is BP452 with its own reason."""
    tools = toolset(tmp_path, None, text)
    with pytest.raises(BedplateError) as caught:
        await tools.start()
    assert caught.value.problems[0].code == "BP452"
    assert said in caught.value.problems[0].detail


async def test_names_fit_on_the_wire_and_stay_apart(tmp_path: Path) -> None:
    """Names that are too long or used twice become different names of at most 64 characters with the tool's."""
    paths = {f"/{n}": {"get": {"operationId": "same" if n < 2 else f"{'long' * 20}{n}"}} for n in range(4)}
    tools = toolset(tmp_path, "http://127.0.0.1:9", {**DOCUMENT, "paths": paths})
    await tools.start()
    names = [operation.name for operation in await tools.operations()]
    assert len(set(names)) == 4
    assert all(len(f"shop___{name}") <= 64 for name in names)


async def test_words_of_openapi_30_become_json_schema(tmp_path: Path) -> None:
    """`nullable` and boolean exclusive bounds of 3.0 are written as in JSON Schema 2020-12."""
    schema = {"type": "integer", "nullable": True, "minimum": 3, "exclusiveMinimum": True}
    operation = {"parameters": [{"name": "n", "in": "query", "schema": schema}]}
    document = {"openapi": "3.0.3", "servers": [{"url": "http://x.example"}], "paths": {"/a": {"get": operation}}}
    tools = toolset(tmp_path, None, document)
    await tools.start()
    (found,) = await tools.operations()
    assert found.input_schema["properties"]["n"] == {"type": ["integer", "null"], "exclusiveMinimum": 3}


async def test_a_schema_that_explodes_is_bounded(tmp_path: Path) -> None:
    """Schemas that refer to each other in all directions are cut, in a moment and not in an hour."""
    names = [f"S{n}" for n in range(30)]
    schemas = {
        name: {"type": "object", "properties": {m: {"$ref": f"#/components/schemas/{m}"} for m in names}}
        for name in names
    }
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "http://x.example"}],
        "paths": {"/a": {"post": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }
    tools = toolset(tmp_path, None, document)
    await tools.start()
    (found,) = await tools.operations()
    assert len(json.dumps(found.input_schema)) < 2_000_000


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a*", "*b", True),
        ("a/*", "a/b", True),
        ("a", "b", False),
        ("a*c", "a*d", False),
        ("a*", "b*", False),
        ("*", "", True),
        ("a*b*c", "abc", True),
        ("ab*", "a*c*d", True),
        ("", "a", False),
    ],
)
def test_two_globs_overlap_when_one_text_matches_both(left: str, right: str, expected: bool) -> None:
    """`overlaps` answers whether some text is matched by both patterns, in both directions."""
    assert overlaps(left, right) is expected
    assert overlaps(right, left) is expected


def third_party() -> Path | None:
    """A service that this repository did not write: the program `mcpo`, named by `BEDPLATE_TEST_MCPO`."""
    named = Path(os.environ.get("BEDPLATE_TEST_MCPO", str(Path(sys.executable).parent / "mcpo")))
    return named if named.exists() and (named.parent / "mcp-server-time").exists() else None


@asynccontextmanager
async def service(program: Path, key: str) -> AsyncIterator[str]:
    """`mcpo` in front of the reference time server, on a free port; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = (str(program.parent / "mcp-server-time"), "--local-timezone=UTC")
    options = ("--host", "127.0.0.1", "--port", str(port), "--api-key", key)
    process = await asyncio.create_subprocess_exec(
        str(program), *options, "--", *server, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def document_of(url: str) -> str:
    async with asyncio.timeout(30), httpx2.AsyncClient() as client:
        while True:
            try:
                return (await client.get(f"{url}/openapi.json")).text
            except httpx2.TransportError:
                await asyncio.sleep(0.2)


@pytest.mark.third_party
@pytest.mark.skipif(third_party() is None, reason="mcpo and mcp-server-time are not installed; set BEDPLATE_TEST_MCPO")
async def test_a_service_of_other_hands_works_from_its_own_document(tmp_path: Path) -> None:
    """The OpenAPI document that a service serves is enough to call it, behind its API key."""
    program = third_party()
    assert program is not None
    async with service(program, "k3y-of-the-test") as url:
        document = await document_of(url)
        tools = toolset(tmp_path, url, document, credential="k3y-of-the-test")
        await tools.start()
        names = {operation.name for operation in await tools.operations()}
        body = {"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        result = await tools.call("tool_convert_time_post", {"body": body}, context())
        refused = await tools.call("tool_convert_time_post", {"body": {}}, context())
        await tools.close()
    assert "tool_get_current_time_post" in names
    assert result.data["target"]["timezone"] == "Asia/Tokyo"
    assert refused.error
    assert refused.text.startswith("HTTP 422")
