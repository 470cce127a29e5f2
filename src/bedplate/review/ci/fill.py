"""Templates of workflows. `@@NAME@@` is replaced; an indented line that is only `@@NAME@@` by a block, or left out.

The marks are none that YAML, a shell or a platform's expressions use, so that templates read as what they become.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from importlib.resources import files

_BLOCK = re.compile(r"^([ ]*)@@([A-Z_]+)@@\n", re.MULTILINE)
_MARK = re.compile(r"@@([A-Z_]+)@@")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template of that file name with its marks replaced. Raises KeyError for a mark without a value."""
    text = (files("bedplate.review.ci") / "templates" / template).read_text("utf-8")
    text = _BLOCK.sub(lambda found: _block(values[found[2]], found[1]), text)
    text = _MARK.sub(lambda found: values[found[1]], text)
    return re.sub(r"\n{3,}", "\n\n", text)


def _block(text: str, indent: str) -> str:
    return textwrap.indent(text.rstrip("\n") + "\n", indent) if text.strip() else ""
