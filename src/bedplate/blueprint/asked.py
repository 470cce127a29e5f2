"""A request as a person writes it, for `access why`. Pure.

`TOOL.OPERATION [JSON]` for calls, `TOOL VERB OBJECT [JSON]` for everything else; the JSON object holds the arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bedplate.access import Operation, Request, UrlRefused, matches, normalise_url
from bedplate.access.templates import in_url
from bedplate.blueprint.grants import HTTP
from bedplate.blueprint.model import Blueprint, HttpTool, PythonTool, SearchTool
from bedplate.blueprint.reach import documents
from bedplate.problems import BedplateError, ExitCode, Problem

_MEMORY = {"recall": "read", "remember": "write"}
_FORMS = "write TOOL.OPERATION, or TOOL VERB OBJECT, then the arguments as a JSON object"


def request_of(blueprint: Blueprint, words: Sequence[str], claims: Mapping[str, str], user: str = "") -> Request:
    """The request that the words mean. Raises BP872 (exit 64) where they mean none."""
    plain, arguments = _split(" ".join(words).strip())
    session = {**claims, **({"user": user} if user else {})}
    first, _, rest = plain.partition(" ")
    if not rest:
        tool, _, operation = first.partition(".")
        _require(blueprint, tool)
        if not operation:
            raise _refused(f"{first} names no operation", _FORMS)
        return _call(blueprint, tool, operation, arguments, session, user)
    _require(blueprint, first)
    verb, _, object = rest.partition(" ")
    if not object:
        raise _refused(f"{plain} has a verb and no object", _FORMS)
    return _act(blueprint, first, verb.lower(), object.strip(), arguments, session, user)


def absent(blueprint: Blueprint, request: Request) -> str:
    """That the document of the request is none of its source, whatever the scopes say; "" where it is or has none."""
    match next((t for t in blueprint.tools if t.name == request.tool), None):
        case SearchTool(use=source):
            path = request.object
        case PythonTool() if request.verb == "read":
            source, _, path = request.object.partition("/")
        case _:
            return ""
    return "" if path in documents(blueprint).get(source, ()) else f"data source {source} has no document {path} now"


def _split(text: str) -> tuple[str, dict[str, Any]]:
    """The words before the arguments, and the arguments."""
    plain, brace, rest = text.partition("{")
    if not brace:
        return plain.strip(), {}
    try:
        found = json.loads(brace + rest, parse_float=float)
    except ValueError as error:
        raise _refused(f"the arguments are not JSON: {error}", "quote them: '{\"amount\": 100}'") from error
    return plain.strip(), found


def _call(
    blueprint: Blueprint, tool: str, operation: str, arguments: dict[str, Any], session: dict[str, str], user: str
) -> Request:
    if tool == "memory" and operation in _MEMORY:
        verb = _MEMORY[operation]
        return Request(tool, operation, verb, user, user, "memory", arguments, session)
    known = next((o for o in blueprint.scopes.operations if (o.tool, o.name) == (tool, operation)), None)
    if known and known.url:
        url = _filled(known, arguments)
        return Request(tool, operation, known.method.lower(), url, user, "tool", arguments, session)
    if any(t.name == tool and isinstance(t, SearchTool) for t in blueprint.tools):
        raise _refused(f"{tool}.{operation} acts on documents", f"name one: {tool} read guide/install.md")
    return Request(tool, operation, "call", operation, user, "tool", arguments, session)


def _act(
    blueprint: Blueprint,
    tool: str,
    verb: str,
    object: str,
    arguments: dict[str, Any],
    session: dict[str, str],
    user: str,
) -> Request:
    if verb == "call":
        return _call(blueprint, tool, object, arguments, session, user)
    if verb in HTTP and "://" in object:
        object = _url(object)
    kind = "memory" if tool == "memory" else "tool"
    operation = _operation(blueprint, tool, verb, object)
    held = blueprint.scopes.pinned.get(tool, {}).get(operation)
    args = {**in_url(held, object), **arguments} if held else arguments
    return Request(tool, operation, verb, object, user, kind, args, session)


def _operation(blueprint: Blueprint, tool: str, verb: str, object: str) -> str:
    """The operation by which a tool does this: what `never` speaks of."""
    match next((t for t in blueprint.tools if t.name == tool), None):
        case SearchTool():
            return "open"
        case PythonTool(entrypoint=entrypoint):
            return entrypoint.partition(":")[2]
        case HttpTool():
            mine = (o for o in blueprint.scopes.operations if o.tool == tool and o.method.lower() == verb)
            return next((o.name for o in mine if matches(re.sub(r"\{[^}]*\}", "*", o.url), object)), verb)
        case _ if tool == "memory":
            return next((name for name, what in _MEMORY.items() if what == verb), verb)
        case _:
            return verb


def _filled(operation: Operation, arguments: Mapping[str, Any]) -> str:
    """The URL of a call: the template with its arguments in place. Raises BP872 where one is missing."""
    from urllib.parse import quote

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in arguments:
            raise _refused(f"{operation.tool}.{operation.name} needs the argument {name}", f'add {{"{name}": …}}')
        return quote(str(arguments[name]), safe="")

    return _url(re.sub(r"\{([^}]*)\}", value, operation.url))


def _url(text: str) -> str:
    try:
        return normalise_url(text)
    except UrlRefused as error:
        raise _refused(f"{text[:80]}: {error}", "write scheme, host and path") from error


def _require(blueprint: Blueprint, tool: str) -> None:
    known = [*(t.name for t in blueprint.tools), *sorted({g.tool for g in blueprint.scopes.grants})]
    if tool not in known:
        raise _refused(f"there is no tool {tool}", f"one of {', '.join(dict.fromkeys(known)) or 'none'}")


def _refused(what: str, fix: str) -> BedplateError:
    return BedplateError(Problem("BP872", what, fix=fix), exit_code=ExitCode.USAGE)
