"""Commands and manifests in Markdown: goes in a page, come out the blocks that tests run or check."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """The page's code blocks in one language, without the indent that a list gives them."""
    found = _BLOCK.findall(page.read_text())
    return [textwrap.dedent(text) for _, name, text in found if name == language]


def commands(page: Path) -> list[str]:
    """Every line of the page's bash blocks, without comments."""
    lines = [line.split(" #")[0].strip() for block in blocks(page, "bash") for line in block.splitlines()]
    return [line for line in lines if line]
