"""The values that pass between reading, indexing and searching. Frozen, without behaviour.

Text of blocks and passages is in one form whatever the file was written in: paragraphs, lists and tables separated by
a blank line, code between lines of three backticks.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENT = 0.5
"""`Hit.confidence` from which a passage may be quoted as an answer. Measured by `bench/search_cpython.py`."""


@dataclass(frozen=True)
class Block:
    """A paragraph, list, table or piece of code. `whole` blocks are not cut at sentences."""

    text: str
    whole: bool = False


@dataclass(frozen=True)
class Section:
    """What stands under one heading, up to the next. `path` holds the headings above it, outermost first, and its own.

    `anchor` is the fragment that leads to it in the rendered document, empty where there is none.
    """

    path: tuple[str, ...]
    anchor: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """One file, read: its title and sections in order."""

    path: str
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Passage:
    """A part of one section, about 80 to 250 words unless a list or code is longer."""

    heading: str
    anchor: str
    text: str
    part: int = 0
    """Its place among the passages of its section, from 0."""


@dataclass(frozen=True)
class Unread:
    """A document that could not be read, and why in one clause."""

    path: str
    reason: str


@dataclass(frozen=True)
class IndexStats:
    """What `build_index` did. `skipped` counts files with a suffix that it does not read; `seconds` is wall time."""

    documents: int
    passages: int
    seconds: float
    skipped: int = 0
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A passage that a search found.

    `score` orders hits of one search, higher is better, and means nothing across searches. `confidence` is 0 to 1: how
    much of what the query asks for stands in this passage, rare words counting more; compare it with `CONFIDENT`.
    """

    path: str
    heading: str
    anchor: str
    text: str
    score: float = 0.0
    title: str = ""
    confidence: float = 0.0
