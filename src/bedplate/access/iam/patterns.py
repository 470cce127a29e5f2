"""Reads texts of policies: wildcards, policy variables and escapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from bedplate.access.iam.document import Pattern, Unreadable, Variable, Wild

_ESCAPE = re.compile(r"\$\{([^}]*)\}|(\*)|(\?)")
_VARIABLE = re.compile(r"\s*([A-Za-z0-9_./:=+@ -]+?)\s*(?:,\s*'([^']*)'\s*)?")


@lru_cache(maxsize=65536)
def read_pattern(text: str, with_variables: bool = True, with_wildcards: bool = True) -> Pattern:
    """Read a text with `*`, `?`, `${variables}` and the escapes `${*}`, `${?}` and `${$}`. Raises Unreadable.

    Policies older than version 2012-10-17 have no variables: there `${` is text.
    """
    if not (("${" in text and with_variables) or (with_wildcards and ("*" in text or "?" in text))):
        return Pattern(text, (text,) if text else ())
    parts: list[str | Wild | Variable] = []
    at = 0
    for found in _ESCAPE.finditer(text):
        part = _part(found, with_variables, with_wildcards)
        parts += [text[at : found.start()], part]
        at = found.end()
    return Pattern(text, _joined([*parts, text[at:]]))


def _part(found: re.Match[str], with_variables: bool, with_wildcards: bool) -> str | Wild | Variable:
    if found[1] is None:
        return Wild(found[0]) if with_wildcards else found[0]
    if not with_variables:
        if with_wildcards and ("*" in found[0] or "?" in found[0]):
            raise Unreadable("", f"{found[0]!r} needs Version 2012-10-17")
        return found[0]
    if found[1] in ("*", "?", "$"):
        return found[1]
    variable = _VARIABLE.fullmatch(found[1])
    if variable is None:
        raise Unreadable("", f"{found[0]!r} is no policy variable")
    return Variable(variable[1].lower(), variable[2])


def _joined(parts: Iterable[str | Wild | Variable]) -> tuple[str | Wild | Variable, ...]:
    """Without empty texts, neighbouring texts and runs in a row made one."""
    joined: list[str | Wild | Variable] = []
    for part in parts:
        if part == "" or (part is Wild.RUN and joined and joined[-1] is Wild.RUN):
            continue
        last = joined[-1] if joined else None
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        else:
            joined.append(part)
    return tuple(joined)
