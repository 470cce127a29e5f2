"""Comparing texts the way a reader would: what counts as the same, what contains what, which numbers stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

_MARKS = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "‐": "-",
        "‑": "-",
        "–": "-",
        "—": "-",
    }
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")


def normalise(text: str, *, casefold: bool = True) -> str:
    """`text` with white space run together, typographic marks made plain, Markdown's code and bold marks taken off.

    Models set words in bold or as code at will, so neither may decide whether an answer is right.
    """
    plain = " ".join(text.translate(_MARKS).replace("`", "").replace("**", "").split())
    return plain.casefold() if casefold else plain


def contains(text: str, part: str, *, case_sensitive: bool = False) -> bool:
    """Whether `part` stands in `text`, both normalised. A number is never found inside a longer one (`14` in `114`)."""
    whole = normalise(text, casefold=not case_sensitive)
    wanted = normalise(part, casefold=not case_sensitive)
    if not wanted:
        return False
    if not (wanted[0].isdigit() or wanted[-1].isdigit()):
        return wanted in whole
    before = r"(?<!\d)(?<!\d[.,])" if wanted[0].isdigit() else ""
    after = r"(?!\d)(?![.,]\d)" if wanted[-1].isdigit() else ""
    return re.search(before + re.escape(wanted) + after, whole) is not None


def numbers(text: str) -> Iterator[Decimal]:
    """The numbers in `text`, in order. A comma groups thousands, a point begins the decimals."""
    for found in _NUMBER.finditer(text.replace("−", "-")):
        try:
            yield Decimal(found.group().replace(",", ""))
        except InvalidOperation:
            continue


def excerpt(text: str, limit: int = 120) -> str:
    """`text` on one line, cut at `limit` characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
