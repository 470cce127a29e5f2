"""`excerpt`: the part of a passage that answers, short enough to quote. Lists and code are kept whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bedplate.search.model import Hit
from bedplate.search.ranking import Term, coverage
from bedplate.search.searcher import SearchIndex
from bedplate.search.sections import sentences

_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s")
_IN_HEADING = 0.4  # of a word's weight, where the heading has it already: then the text under it need not repeat it
_FIRST = 0.25  # of all weight, for opening the passage: what stands under a heading first usually answers it


def excerpt(index: SearchIndex, hit: Hit, query: str, max_chars: int = 600) -> str:
    """The blocks of `hit` that answer `query` best, in at most about `max_chars` characters.

    A short passage comes back whole. Else the best block, with what announces it, and what follows while there is room.
    Only a block that is longer than `max_chars` by itself is cut: a paragraph at its best sentence, others at a line.
    """
    if len(hit.text) <= max_chars:
        return hit.text
    blocks = blocks_of(hit.text)
    best = _best(index.stems([hit.heading, *blocks]), index.terms(query))
    start, end = best, best + 1
    if (
        best
        and (blocks[best - 1].endswith(":") or is_whole(blocks[best]))
        and _size(blocks[best - 1 : end]) <= max_chars
    ):
        start = best - 1
    while end < len(blocks) and _size(blocks[start : end + 1]) <= max_chars:
        end += 1
    chosen = "\n\n".join(blocks[start:end])
    return chosen if len(chosen) <= max_chars else _cut(index, chosen, query, max_chars)


def blocks_of(text: str) -> list[str]:
    """The blocks of a passage's text: separated by blank lines, but not inside of code."""
    blocks: list[list[str]] = [[]]
    fence = ""
    for line in text.split("\n"):
        mark = re.match(r"`{3,}", line)
        if mark and not fence:
            fence = mark[0]
        elif fence and line == fence:
            fence = ""
        if line.strip() or fence:
            blocks[-1].append(line)
        else:
            blocks.append([])
    return ["\n".join(lines) for lines in blocks if lines]


def is_whole(block: str) -> bool:
    """Whether a block is a list, table or code."""
    return block.startswith(("```", "|")) or bool(_ITEM.match(block))


def _best(stems: Sequence[Sequence[str]], terms: Sequence[Term]) -> int:
    heading = frozenset(stems[0])
    weighted = [replace(t, weight=t.weight * (_IN_HEADING if t.within(heading) else 1.0)) for t in terms]
    scores = [coverage(weighted, frozenset(block)) + (_FIRST if not i else 0.0) for i, block in enumerate(stems[1:])]
    return scores.index(max(scores))


def _size(blocks: Sequence[str]) -> int:
    return sum(len(block) + 2 for block in blocks) - 2


def _cut(index: SearchIndex, block: str, query: str, max_chars: int) -> str:
    parts = block.split("\n") if is_whole(block) or "\n" in block else sentences(block)
    glue = "\n" if "\n" in block else " "
    start = 0 if is_whole(block) else _best([[], *index.stems(parts)], index.terms(query))
    end = start + 1
    while end < len(parts) and len(glue.join(parts[start : end + 1])) <= max_chars - 4:
        end += 1
    kept = glue.join(parts[start:end])[: max_chars - 2]
    if kept.startswith("```") and end < len(parts):
        return f"{kept}\n{re.match('`+', kept)[0]}"  # type: ignore[index]
    return kept if end == len(parts) and start == 0 else f"{kept} …"
