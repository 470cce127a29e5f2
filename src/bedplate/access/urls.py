"""URLs in the one form in which scopes are matched against them."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/:@!$&'()*+,;=~-._"


class UrlRefused(ValueError):
    """A URL that has no single meaning, so that no scope can speak of it. The message says why."""


def normalise_url(url: str) -> str:
    """`scheme://host[:port]/path` with scheme and host in lower case, IDNA names, decoded path, dot segments removed.

    The query and fragment are dropped: callers decide on those apart. Raises `UrlRefused` for anything but http(s),
    for user information, control characters, backslashes, an encoded slash or percent sign (which servers read in
    different ways), or dot segments that leave the root.
    """
    if any(ord(ch) <= 0x20 or ord(ch) == 0x7F or ch == "\\" for ch in url):
        raise UrlRefused("control characters, spaces and backslashes are refused")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise UrlRefused(f"scheme {parts.scheme or 'none'} is not http or https")
    if "@" in parts.netloc:
        raise UrlRefused("user information in a URL is refused")
    return f"{parts.scheme}://{_host(parts.hostname or '')}{_port(url)}{_path(parts.path)}"


def _host(host: str) -> str:
    if not host:
        raise UrlRefused("the URL has no host")
    if ":" in host:
        return f"[{host.lower()}]"
    if host.isascii():
        return host.lower().rstrip(".")
    import idna

    try:
        return idna.encode(host.rstrip("."), uts46=True).decode()
    except idna.IDNAError as error:
        raise UrlRefused(f"the host name is not valid IDNA: {error}") from error


def _port(url: str) -> str:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise UrlRefused("the port is not a number up to 65535") from error
    return "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"


def _path(path: str) -> str:
    lowered = path.lower()
    if "%2f" in lowered or "%5c" in lowered or "%25" in lowered or "%00" in lowered:
        raise UrlRefused("an encoded slash, backslash, percent sign or zero byte in the path is refused")
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UrlRefused("the path is not valid UTF-8") from error
    kept: list[str] = []
    for segment in decoded.split("/")[1:]:
        match segment:
            case ".":
                continue
            case "..":
                if not kept:
                    raise UrlRefused("the path leaves the root")
                kept.pop()
            case _:
                kept.append(segment)
    if decoded.endswith(("/.", "/..")):
        kept.append("")
    return quote("/" + "/".join(kept), safe=_PATH_SAFE)
