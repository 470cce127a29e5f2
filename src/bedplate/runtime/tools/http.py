"""Tools of type http: operations of an OpenAPI document, one HTTP request a call.

The address that was decided is the address that is called. Credentials go out in the place that the document names and
come back in no result, error or log.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from bedplate.access import Grant, UrlRefused, normalise_url
from bedplate.blueprint.model import HttpTool
from bedplate.blueprint.openapi import FORM, SAFE_METHODS, ApiOperation, Parameter
from bedplate.problems import BedplateError
from bedplate.runtime.masking import Mask
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, ToolResult
from bedplate.runtime.tools.common import MAX_RESULT, as_text, bad_argument, failed, no_operation, remaining
from bedplate.runtime.tools.openapi import read_openapi

if TYPE_CHECKING:
    import httpx2

MAX_REDIRECTS = 5
MAX_ERROR = 2000  # characters of an error's body that the model sees


class TooLarge(Exception):
    """An answer over the limit."""


class HttpToolset:
    """One API. `credential` is the secret itself; `http` a client to use instead of an own one (it is not closed)."""

    def __init__(
        self,
        tool: HttpTool,
        *,
        document: Path,
        grants: Sequence[Grant],
        credential: str | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self.name = tool.name
        self._tool = tool
        self._document = document
        self._grants = tuple(grants)
        self._credential = credential
        self._mask = Mask(credential)
        self._given = http
        self._http: httpx2.AsyncClient | None = http
        self._operations: dict[str, ApiOperation] = {}

    async def start(self) -> None:
        """Read the document. Raises BedplateError BP452. The API is not called."""
        found = await asyncio.to_thread(
            read_openapi, self.name, self._document, base_url=self._tool.base_url, grants=self._grants
        )
        self._operations = {api.name: api for api in found}

    async def operations(self) -> tuple[Operation, ...]:
        """Those of the document that a grant can meet."""
        return tuple(map(_offered, self._operations.values()))

    def question(self, operation: str, arguments: Arguments) -> Question:
        """The method on the normalised address. Raises BedplateError (BP453, BP454)."""
        api = self._api(operation)
        return Question(api.method, self._url(api, arguments))

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        """Send it. An answer outside 200 to 299 is an error result with status and the start of the body."""
        import httpx2

        api = self._api(operation)
        url = self._url(api, arguments)
        seconds = remaining(context)
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(api, url, arguments, context)
        except BedplateError as error:
            return failed(error.problems[0].summary)
        except TimeoutError:
            return failed(f"{url} did not answer within {seconds:.0f} seconds")
        except TooLarge:
            return failed(f"the answer of {url} is larger than {MAX_RESULT} bytes")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # Not the error's own words: they may hold the address with a credential in its query.
            return failed(f"{url} could not be asked: {type(error).__name__}")

    async def close(self) -> None:
        """Close connections."""
        client, self._http = self._http, self._given
        if client and client is not self._given:
            await client.aclose()

    def _api(self, operation: str) -> ApiOperation:
        api = self._operations.get(operation)
        if api is None:
            raise no_operation(self.name, operation)
        return api

    def _url(self, api: ApiOperation, arguments: Arguments) -> str:
        path = api.path
        for parameter in (p for p in api.parameters if p.place == "path"):
            path = path.replace(f"{{{parameter.name}}}", self._segment(api, parameter, arguments))
        try:
            return normalise_url(api.base + path)
        except UrlRefused as error:
            raise bad_argument(self.name, api.name, str(error)) from error

    def _segment(self, api: ApiOperation, parameter: Parameter, arguments: Arguments) -> str:
        """A value as one piece of a path: it may not become another path."""
        value = arguments.get(parameter.argument)
        if value is None or isinstance(value, dict):
            raise bad_argument(self.name, api.name, f"`{parameter.argument}` needs a value for the path")
        text = ",".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
        bad = text in ("", ".", "..") or any(ch in "/\\%" or ord(ch) < 32 or ord(ch) == 127 for ch in text)
        if bad:
            raise bad_argument(self.name, api.name, f"`{parameter.argument}` cannot stand in a path")
        return quote(text, safe="")

    async def _exchange(self, api: ApiOperation, url: str, arguments: Arguments, context: CallContext) -> ToolResult:
        declared = {p.argument for p in api.parameters} | ({"body"} if api.body else set())
        if unknown := sorted(set(arguments) - declared):
            raise bad_argument(self.name, api.name, f"{', '.join(unknown)}: not declared by the document")
        headers, query = self._credentials(api)
        headers |= _headers(self.name, api, arguments)
        content = _content(api, arguments, headers)
        target = _with_query(url, [*_asked(self.name, api, arguments, query), *query])
        for _ in range(MAX_REDIRECTS):
            status, answer, body = await self._send(api.method, target, headers, content)
            location = answer.get("location", "")
            if status not in (301, 302, 303, 307, 308) or not location:
                return self._result(status, answer, body)
            refused = _redirect_refused(api.method, url, urljoin(target, location), context)
            if refused:  # with the address that the API named
                return failed(self._mask.text(f"{url} redirects, and that was not followed: {refused}"))
            target = _with_query(urljoin(target, location), query)
        return failed(f"{url} redirects more than {MAX_REDIRECTS} times")

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        client = self._client()
        async with client.stream(
            method.upper(), url, headers=dict(headers), content=content, follow_redirects=False
        ) as response:
            body = bytearray()
            async for piece in response.aiter_bytes(65536):
                body += piece
                if len(body) > MAX_RESULT:
                    raise TooLarge
            return response.status_code, response.headers, bytes(body)

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:
            import httpx2

            self._http = httpx2.AsyncClient(timeout=httpx2.Timeout(60.0, connect=10.0), trust_env=False)
        return self._http

    def _credentials(self, api: ApiOperation) -> tuple[dict[str, str], list[tuple[str, str]]]:
        secret = self._credential
        if secret is None:
            return {}, []
        match api.security.kind:
            case "bearer":
                return {"authorization": f"Bearer {secret}"}, []
            case "basic":
                return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}, []
            case "header":
                return {api.security.name.lower(): secret}, []
            case "cookie":
                return {"cookie": f"{api.security.name}={secret}"}, []
            case "query":
                return {}, [(api.security.name, secret)]
            case _:
                return {}, []

    def _result(self, status: int, headers: Mapping[str, str], body: bytes) -> ToolResult:
        text = self._mask.text(_decoded(body, headers))
        if not 200 <= status < 300:
            return failed(f"HTTP {status}: {text[:MAX_ERROR]}".rstrip(": "))
        if "\0" in text:
            return failed(f"the answer is no text but {headers.get('content-type', 'of no named type')}")
        if "json" not in headers.get("content-type", ""):
            return ToolResult(text or f"HTTP {status}, no content")
        try:
            data = json.loads(text) if text else None
        except ValueError:
            return ToolResult(text)
        clean = self._mask.value(data)  # JSON can spell one text in many ways
        return ToolResult(text if clean == data else as_text(clean), data=clean)


def _offered(api: ApiOperation) -> Operation:
    said = api.described
    return Operation(said.name, said.description, said.schema, api.method, effect=api.method not in SAFE_METHODS)


def _redirect_refused(method: str, first: str, target: str, context: CallContext) -> str:
    """Why a redirect is not followed, empty where it may be: same origin, harmless method, allowed address."""
    try:
        url = normalise_url(target)
    except UrlRefused as error:
        return str(error)
    if urlsplit(url)[:2] != urlsplit(first)[:2]:
        return "it leads to another origin"
    if method not in ("get", "head"):
        return f"a {method.upper()} is not repeated elsewhere"
    return "" if context.decide(Question(method, url)).allowed else f"no scope grants {method} on {url}"


def _asked(
    tool: str, api: ApiOperation, arguments: Arguments, credential: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The query of the arguments. Raises BedplateError BP453 where it names what carries the credential."""
    taken = {name.lower() for name, _ in credential}
    pairs = _query(api, arguments)
    for name, _ in pairs:
        if name.lower() in taken:
            raise bad_argument(tool, api.name, f"`{name}` carries the credential, which only Bedplate sets")
    return pairs


def _query(api: ApiOperation, arguments: Arguments) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for parameter in api.parameters:
        value = arguments.get(parameter.argument)
        if parameter.place != "query" or value is None:
            continue
        match value:
            case dict() if parameter.style == "deepObject":
                pairs += [(f"{parameter.name}[{key}]", _scalar(item)) for key, item in value.items()]
            case dict() if parameter.explode:
                pairs += [(str(key), _scalar(item)) for key, item in value.items()]
            case list() if parameter.explode:
                pairs += [(parameter.name, _scalar(item)) for item in value]
            case list():
                glue = {"spaceDelimited": " ", "pipeDelimited": "|"}.get(parameter.style, ",")
                pairs.append((parameter.name, glue.join(map(_scalar, value))))
            case _:
                pairs.append((parameter.name, _scalar(value)))
    return pairs


def _headers(tool: str, api: ApiOperation, arguments: Arguments) -> dict[str, str]:
    found = {"accept": "application/json, text/*;q=0.8, */*;q=0.1"}
    for parameter in api.parameters:
        value = arguments.get(parameter.argument)
        if parameter.place == "header" and value is not None:
            text = _scalar(value)
            if not text.isprintable() or not text.isascii():
                raise bad_argument(tool, api.name, f"`{parameter.argument}` is no header: printable ASCII only")
            # A declared parameter never stands in for the credential.
            if parameter.name.lower() != api.security.name.lower():
                found[parameter.name.lower()] = text
    return found


def _content(api: ApiOperation, arguments: Arguments, headers: dict[str, str]) -> bytes | None:
    if api.body is None or "body" not in arguments:
        return None
    headers["content-type"] = api.body
    body = arguments["body"]
    if api.body == FORM and isinstance(body, dict):
        return urlencode({key: _scalar(value) for key, value in body.items()}).encode()
    return json.dumps(body, ensure_ascii=False).encode()


def _with_query(url: str, pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(list(pairs))}"


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case _:
            return as_text(value)


def _decoded(body: bytes, headers: Mapping[str, str]) -> str:
    """The body as text by its declared charset, else UTF-8; undecodable bytes show as such."""
    _, _, charset = headers.get("content-type", "").lower().partition("charset=")
    try:
        return body.decode(charset.split(";")[0].strip(" \"'") or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")
