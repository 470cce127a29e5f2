"""URLs of HTTP operations and the arguments that stand in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from bedplate.access.model import Operation, Request

_HOLE = re.compile(r"\{([^}]*)\}")


def in_url(operation: Operation, url: str) -> dict[str, Any]:
    """The arguments that stand in a URL of the operation; none where it is another URL."""
    pieces = _HOLE.split(operation.url)
    found = re.fullmatch("([^/]+)".join(map(re.escape, pieces[::2])), url)
    kinds = {argument.path: argument.kind for argument in operation.arguments}
    texts = zip(pieces[1::2], map(unquote, found.groups() if found else ()), strict=False)
    return {n: int(t) if kinds.get((n,)) == "integer" and t.isdecimal() else t for n, t in texts}


def alike(operation: Operation, request: Request) -> Iterator[Request]:
    """The request with the arguments that its URL names, and with the URL that its arguments make."""
    if held := in_url(operation, request.object):
        yield replace(request, args={**request.args, **held})
    names = _HOLE.findall(operation.url)
    if names and all(isinstance(request.args.get(name), str | int) for name in names):
        url = _HOLE.sub(lambda hole: quote(str(request.args[hole[1]]), safe=""), operation.url)
        yield replace(request, object=url)
