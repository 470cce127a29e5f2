"""Globs whose only wildcard is `*`. It matches any run of characters, `/` included, and also nothing."""

from __future__ import annotations

_FRESH = "\ue000"  # a private-use character: no pattern of a manifest contains it (loading refuses it)


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` matches the whole of `text`: what stands between stars, each at its first place, in order."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first):
        return False
    *between, last = rest
    at = len(first)
    for part in between:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)


def covers(wide: str, narrow: str) -> bool:
    """Whether every text that `narrow` matches is matched by `wide`. Exact for a pair of patterns.

    A character that `wide` cannot name stands for each `*` of `narrow`: only a `*` of `wide` can take it, and then any
    text in its place is taken as well; if `wide` does not match it, that text is itself the counterexample.
    """
    return matches(wide, narrow.replace("*", _FRESH))
