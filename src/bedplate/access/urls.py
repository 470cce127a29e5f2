"""URLs in the one form in which scopes are matched against them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/:@!$&'()*+,;=~-._"
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AMBIGUOUS = re.compile(r"%(2f|5c|25|00)", re.IGNORECASE)


class UrlRefused(ValueError):
    """A URL that has no single meaning, so that no scope can speak of it. The message says why."""


def normalise_url(url: str) -> str:
    """`scheme://host[:port]/path` with scheme and host in lower case, IDNA names, decoded path, dot segments removed.

    The query and fragment are dropped: callers decide on those apart. Normalising twice changes nothing. Raises
    `UrlRefused` for anything but http(s), for user information, control characters, backslashes, an encoded slash or
    percent sign (which servers read in different ways), malformed escapes, or dot segments that leave the root.
    """
    if any(ord(ch) <= 0x20 or ord(ch) == 0x7F or ch == "\\" or "\ud800" <= ch <= "\udfff" for ch in url):
        raise UrlRefused("control characters, spaces, surrogates and backslashes are refused")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefused(f"it cannot be read: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise UrlRefused(f"scheme {parts.scheme or 'none'} is not http or https")
    if "@" in parts.netloc:
        raise UrlRefused("user information in a URL is refused")
    shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{_host(parts.hostname or '')}{shown}{_path(parts.path)}"


def _host(host: str) -> str:
    host = host.removesuffix(".")
    if not host:
        raise UrlRefused("the URL has no host")
    if ":" in host:
        return _ipv6(host)
    if not host.isascii():
        host = _idna(host)
    if not _HOST.fullmatch(host):
        raise UrlRefused("the host name holds characters that host names do not have, or empty labels")
    return host.lower()


def _ipv6(host: str) -> str:
    """One spelling for each address; a zone is refused, since it means something on one machine only."""
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise UrlRefused("the host is not an IPv6 address") from error
    if address.scope_id is not None:
        raise UrlRefused("an IPv6 zone in a URL is refused")
    return f"[{address.compressed}]"


def _idna(host: str) -> str:
    import idna

    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise UrlRefused(f"the host name is not valid IDNA: {error}") from error


def _path(path: str) -> str:
    if _MALFORMED.search(path):
        raise UrlRefused("a percent sign in the path is not followed by two hexadecimal digits")
    if _AMBIGUOUS.search(path):
        raise UrlRefused("an encoded slash, backslash, percent sign or zero byte in the path is refused")
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UrlRefused("the path is not valid UTF-8") from error
    return quote(_without_dots(decoded), safe=_PATH_SAFE)


def _without_dots(path: str) -> str:
    """Dot segments removed (RFC 3986, 5.2.4), but for those that leave the root, which are refused."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        match segment:
            case ".":
                continue
            case "..":
                if not kept:
                    raise UrlRefused("the path leaves the root")
                kept.pop()
            case _:
                kept.append(segment)
    if path.endswith(("/.", "/..")):
        kept.append("")
    return "/" + "/".join(kept)
