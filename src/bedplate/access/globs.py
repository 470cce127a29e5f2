"""Globs whose only wildcard is `*`. It matches any run of characters, `/` included, and also nothing."""

from __future__ import annotations

_FRESH = "\ue000"  # a private-use character: no pattern of a manifest contains it (loading refuses it)


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` matches the whole of `text`. Linear in practice: greedy with one point of return."""
    p = t = 0
    star = resume = -1
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, resume = p, t
            p += 1
        elif p < len(pattern) and pattern[p] == text[t]:
            p += 1
            t += 1
        elif star >= 0:
            resume += 1
            p, t = star + 1, resume
        else:
            return False
    return pattern[p:].strip("*") == ""


def covers(wide: str, narrow: str) -> bool:
    """Whether every text that `narrow` matches is matched by `wide`. Exact for a pair of patterns.

    A character that `wide` cannot name stands for each `*` of `narrow`: only a `*` of `wide` can take it, and then any
    text in its place is taken as well; if `wide` does not match it, that text is itself the counterexample.
    """
    # What stands before the first `*` of `wide` decides most pairs at once.
    return narrow.startswith(wide.partition("*")[0]) and matches(wide, narrow.replace("*", _FRESH))
