"""URL patterns of scopes and the addresses of operations: which grant may meet which operation. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bedplate.access import Grant, UrlRefused, matches, normalise_url
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.model import Operation


def speaks_of(grant: Grant, operation: Operation) -> bool:
    """Whether a grant of the operation's tool is about it."""
    if not operation.method:
        return grant.verb == "call" and matches(grant.pattern, operation.name)
    return grant.verb == operation.method and overlap(grant.pattern, address(operation.url))


def address(url: str) -> str:
    """The addresses of an operation's template, as a glob."""
    return re.sub(r"\{[^{}/]+\}", "*", url)


def overlap(left: str, right: str) -> bool:
    """Whether some text matches both globs; True where that is not known."""
    try:
        return witness((left, right), ()) is not None
    except TooManyStates:
        return True


def normalise_pattern(pattern: str) -> str:
    """A URL pattern in the form in which requests are matched. Raises UrlRefused where it could mean several things."""
    scheme, separator, rest = pattern.partition("://")
    if not separator or "*" in scheme:
        raise UrlRefused("the pattern does not start with https:// or http://")
    host, slash, path = rest.partition("/")
    if "*" in host:
        raise UrlRefused("a wildcard in the host is refused; name each host")
    if "?" in rest or "#" in rest:
        raise UrlRefused("a pattern has no query or fragment")
    if any(segment in {".", ".."} for segment in urlsplit(pattern).path.lower().replace("%2e", ".").split("/")):
        raise UrlRefused("dot segments are refused in a pattern")
    return normalise_url(f"{scheme.lower()}://{host}{slash or '/'}{path}")
