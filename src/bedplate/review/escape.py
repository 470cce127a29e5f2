"""Text of a repository in a comment, made harmless: it is shown, and never read as Markdown, HTML or a mention.

Goes in: any text. Comes out: code spans, fences, cells of tables and a receipt that nothing in them can leave. Code is
the one place where neither CommonMark nor GitHub nor GitLab looks for links, mentions, references or markup. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

LONGEST = 200
"""Characters that are shown of one text."""
MARKER = "bedplate:review"
_RECEIPT = re.compile(rf"\A<!-- {MARKER} (\{{.*\}}) -->$", re.MULTILINE)


@lru_cache(maxsize=4096)
def visible(text: str, most: int = LONGEST) -> str:
    """The text on one line, cut in its middle; control, invisible and direction characters by their number."""
    return _harmless(" ".join(text.split()), most)


def _harmless(text: str, most: int) -> str:
    # Cut before and after: what is shown by its number gets longer.
    return _cut(_plain(_cut(text, most)), most)


def _plain(text: str) -> str:
    return text if text.isprintable() else text.translate(_SHOWN)


class _Shown(dict[int, str]):
    """What stands for a character, worked out once."""

    def __missing__(self, number: int) -> str:
        self[number] = chr(number) if chr(number).isprintable() else f"‹U+{number:04X}›"
        return self[number]


_SHOWN = _Shown()


def _cut(shown: str, most: int) -> str:
    if len(shown) <= most:
        return shown
    return f"{shown[: most // 2]}…{shown[len(shown) - most // 2 + 1 :]}"


def code(text: str, most: int = LONGEST) -> str:
    """A code span; its fence is longer than every run of backticks in it."""
    shown = visible(text, most) or " "
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str, most: int = LONGEST) -> str:
    """A code span for a table. In a text with backslashes `|` is shown as `¦`, since escaping it could undo itself."""
    shown = visible(text, most)
    return code(shown.replace("|", "¦") if "\\" in shown else shown, most).replace("|", "\\|")


def fence(lines: Iterable[str], language: str = "text", most: int = LONGEST * 2) -> list[str]:
    """A block of code. Each line is made harmless and cut in its middle; blanks stay, since they align."""
    shown = [_harmless(re.sub(r"\s", " ", line), most) for line in lines]
    marks = "`" * max(3, _longest_run("\n".join(shown)) + 1)
    return [f"{marks}{language}", *shown, marks]


def receipt(document: Mapping[str, Any]) -> str:
    """A comment of HTML that holds JSON. Nothing in it can end the comment: `<`, `>`, `@` and `--` are escaped."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    for risky, safe in (("<", "\\u003c"), (">", "\\u003e"), ("@", "\\u0040"), ("--", "-\\u002d")):
        text = text.replace(risky, safe)
    return f"<!-- {MARKER} {text} -->"


def read_receipt(comment: str) -> dict[str, Any] | None:
    """The receipt at the head of a comment; None where there is none."""
    found = _RECEIPT.match(comment.replace("\r\n", "\n"))
    try:
        document = json.loads(found.group(1)) if found else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
