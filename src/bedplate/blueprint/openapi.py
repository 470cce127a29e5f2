"""An OpenAPI 3.0 or 3.1 document to operations: names, addresses, parameters, bodies, and where a credential goes.

Source of the format: https://spec.openapis.org/oas/v3.1.0 and v3.0.3. Goes in: the document. Comes out:
`ApiOperation`s. Only references inside the document are followed. Nothing is sent from here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from bedplate.access import UrlRefused, normalise_url
from bedplate.blueprint.apidocument import Broken, Document
from bedplate.blueprint.described import Described

METHODS = ("get", "head", "options", "put", "post", "patch", "delete", "trace")
SAFE_METHODS = frozenset(("get", "head", "options"))
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_OWN_HEADERS = frozenset(("accept", "content-type", "authorization", "host", "content-length", "cookie"))
_HOLE = "bedplateparameter"  # stands for a path parameter while a template is normalised
_IN_PATH = re.compile(r"\{([^{}/]+)\}")
WIRE_LIMIT = 64
"""Characters of a name on the wire, `tool___operation`: what model providers accept."""
WIRE_GLUE = "___"
Wanted = Callable[[str, str], bool]
"""Whether an operation is wanted, by its method and the pattern of its addresses."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: `argument` is its name among the arguments of a call, `name` the one on the wire."""

    argument: str
    name: str
    place: Literal["path", "query", "header"]
    required: bool
    schema: Mapping[str, Any]
    style: str
    explode: bool


@dataclass(frozen=True)
class Security:
    """Where the credential goes: `kind` is bearer, basic, header, query, cookie or none, `name` what carries it."""

    kind: str = "bearer"
    name: str = ""


@dataclass(frozen=True)
class ApiOperation:
    """One method on one path, ready to be called. `base` is the server's address without a slash at its end."""

    method: str
    base: str
    path: str
    parameters: tuple[Parameter, ...]
    body: str | None
    """Media type of the body, None where there is none."""
    security: Security
    described: Described

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.described.name


@dataclass(frozen=True)
class Api:
    """What a document describes, and in one sentence each what of it cannot be called."""

    operations: tuple[ApiOperation, ...]
    left_out: tuple[str, ...]


def read_api(tool: str, document: Document, base_url: str | None, wanted: Wanted = lambda *_: True) -> Api:
    """The wanted operations of a document; a name does not depend on which are. Raises Broken.

    Left out is what needs something that is not supported: a cookie parameter, a multipart body.
    """
    names: set[str] = set()
    left_out: list[str] = []
    found: list[ApiOperation] = []
    for path, method, item in _items(document):
        try:
            spec = document.resolve(item[method])
            name = _name(tool, spec.get("operationId"), method, path, names)
            base = _base(document, base_url, (spec, item))
            if wanted(method, _pattern(base, path)):
                found.append(_operation(document, base, path, method, item, name))
        except (_Unsupported, UrlRefused) as error:
            left_out.append(f"{method.upper()} {path} is left out: {error}")
    return Api(tuple(found), tuple(left_out))


def _items(document: Document) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, raw in document.paths().items():
        item = document.resolve(raw)
        yield from ((path, method, item) for method in METHODS if method in item)


def _pattern(base: str, path: str) -> str:
    """The addresses that it can call, as a glob. Raises UrlRefused for a template that names no address."""
    return normalise_url(base + _IN_PATH.sub(_HOLE, path)).replace(_HOLE, "*")


def _template(base: str, path: str, parameters: Sequence[Parameter]) -> str:
    """The address with the name of an argument in braces for each that stands in the path."""
    held = {f"{_HOLE}{number}x": p for number, p in enumerate(parameters) if p.place == "path"}
    for hole, parameter in held.items():
        path = path.replace(f"{{{parameter.name}}}", hole)
    url = normalise_url(base + path)
    for hole, parameter in held.items():
        url = url.replace(hole, f"{{{parameter.argument}}}")
    return url


class _Unsupported(Exception):
    """An operation that needs something that is not supported."""


def _operation(
    document: Document, base: str, path: str, method: str, item: Mapping[str, Any], name: str
) -> ApiOperation:
    spec = document.resolve(item[method])
    parameters = _parameters(document, path, [*item.get("parameters", ()), *spec.get("parameters", ())])
    media, body, body_required = _body(document, spec)
    schema = _input_schema(parameters, body, body_required)
    about = "\n".join(text for text in (spec.get("summary", ""), spec.get("description", "")) if text).strip()
    said = about or f"{method.upper()} {path}"
    described = Described(name, said, schema, method=method, url=_template(base, path, parameters))
    return ApiOperation(method, base, path, parameters, media, _security(document, spec), described)


def _parameters(document: Document, path: str, raw: Sequence[Any]) -> tuple[Parameter, ...]:
    merged: dict[tuple[str, str], Mapping[str, Any]] = {}
    for one in raw:
        spec = document.resolve(one)
        merged[str(spec.get("in")), str(spec.get("name"))] = spec
    for name in _IN_PATH.findall(path):  # a hole that no parameter declares is filled with text
        merged.setdefault(("path", name), {"in": "path", "name": name, "required": True})
    found: list[Parameter] = []
    for (place, name), spec in merged.items():
        if place == "header" and name.lower() in _OWN_HEADERS:
            continue
        if place not in ("path", "query", "header"):
            if spec.get("required"):
                raise _Unsupported(f"it needs the {place} parameter {name}")
            continue
        taken = {parameter.argument for parameter in found} | {"body"}
        argument = name if name not in taken else f"{place}_{name}"
        found.append(_parameter(document, spec, argument, name, place))
    return tuple(found)


def _parameter(document: Document, spec: Mapping[str, Any], argument: str, name: str, place: Any) -> Parameter:
    schema = dict(document.schema(spec.get("schema") or {"type": "string"}))
    if text := spec.get("description"):
        schema.setdefault("description", text)
    style = spec.get("style") or ("form" if place == "query" else "simple")
    explode = bool(spec.get("explode", style == "form"))
    return Parameter(argument, name, place, place == "path" or bool(spec.get("required")), schema, style, explode)


def _body(document: Document, spec: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any], bool]:
    body = document.resolve(spec.get("requestBody") or {})
    content = body.get("content") or {}
    if not content:
        return None, {}, False
    plain = {key.split(";")[0].strip().lower(): key for key in content}
    chosen = next((m for m in plain if m == JSON or m.endswith("+json")), FORM if FORM in plain else None)
    if chosen is None:
        if body.get("required"):
            raise _Unsupported(f"its body is {', '.join(content)}")
        return None, {}, False
    media = document.resolve(content[plain[chosen]])
    return chosen, document.schema(media.get("schema") or {}), bool(body.get("required"))


def _input_schema(parameters: Sequence[Parameter], body: Mapping[str, Any], body_required: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {p.argument: p.schema for p in parameters}
    required = [p.argument for p in parameters if p.required]
    if body or body_required:
        properties["body"] = body
        required += ["body"] if body_required else []
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _base(document: Document, base_url: str | None, places: Sequence[Mapping[str, Any]]) -> str:
    servers = next((place["servers"] for place in (*places, document.root) if place.get("servers")), None)
    url = base_url or (_filled(servers[0]) if servers else "")
    if not urlsplit(url).netloc:
        raise Broken(f"the server address {url!r} is not absolute" if url else "it names no server address")
    return url.rstrip("/")


def _filled(server: Mapping[str, Any]) -> str:
    variables = server.get("variables") or {}
    return re.sub(r"\{(\w+)\}", lambda m: str(variables.get(m[1], {}).get("default", m[0])), str(server.get("url", "")))


def _security(document: Document, spec: Mapping[str, Any]) -> Security:
    """The first requirement's scheme. Without any declared, a bearer token; an empty list asks for no credential."""
    wanted = spec.get("security", document.root.get("security"))
    if wanted is None:
        return Security()
    names = [name for requirement in wanted for name in requirement]
    if not names:
        return Security("none")
    schemes = (document.root.get("components") or {}).get("securitySchemes") or {}
    if names[0] not in schemes:
        raise Broken(f"the security scheme {names[0]} is not declared")
    scheme = document.resolve(schemes[names[0]])
    match scheme.get("type"), str(scheme.get("scheme", "")).lower():
        case "apiKey", _:
            return Security(str(scheme.get("in")), str(scheme.get("name")))
        case "http", "basic":
            return Security("basic")
        case ("http", "bearer") | ("oauth2" | "openIdConnect", _):
            return Security()
    raise _Unsupported(f"its security scheme {names[0]} is not supported")


def _name(tool: str, given: Any, method: str, path: str, names: set[str]) -> str:
    slug = re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_") or "root"
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(given)).strip("_") if given else f"{method}_{slug}"
    room = WIRE_LIMIT - len(tool) - len(WIRE_GLUE)
    if not name or len(name) > room or name in names:
        tail = hashlib.sha256(f"{method} {path}".encode()).hexdigest()[:6]
        name = f"{name[: room - 7]}_{tail}"
    names.add(name)
    return name
