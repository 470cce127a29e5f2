"""From the events of a reader (headings, blocks) to sections, and from sections to passages of a sensible length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bedplate.search.model import Block, Document, Passage, Section

TARGET = 140  # words after which a passage is closed at the next block
TAIL = 50  # words under which a section's last passage joins the one before
LIMIT = 250  # words that a passage only exceeds for one whole block
WHOLE_LIMIT = 900  # words after which even code and tables are cut, at lines
SEPARATOR = " › "  # between the headings of a path
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[A-Z0-9`*])")


class Sections:
    """Collects what a reader meets, in order."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str, str]] = []  # level, heading, anchor
        self._blocks: list[Block] = []
        self._done: list[Section] = []

    def heading(self, level: int, text: str, anchor: str = "") -> None:
        """A heading: everything that follows belongs to it, until one of the same or a higher level."""
        self.leave(level)
        self._open.append((level, " ".join(text.split()), anchor))

    def leave(self, level: int) -> None:
        """End the sections of `level` and below without opening another."""
        self._flush()
        while self._open and self._open[-1][0] >= level:
            self._open.pop()

    def block(self, text: str, whole: bool = False) -> None:
        """A paragraph, or with `whole` a list, table or code that should stay together."""
        if text.strip():
            self._blocks.append(Block(text.strip("\n") if whole else text.strip(), whole))

    def finish(self) -> tuple[Section, ...]:
        """Everything collected; sections without text of their own are left out."""
        self.leave(0)
        return tuple(self._done)

    def _flush(self) -> None:
        if self._blocks:
            anchor = next((a for _, _, a in reversed(self._open) if a), "")
            self._done.append(Section(tuple(h for _, h, _ in self._open), anchor, tuple(self._blocks)))
        self._blocks = []


def fence(code: str, language: str = "") -> str:
    """`code` as a fenced block; a fence inside it is lengthened around."""
    longest = max((len(run) for run in re.findall(r"^\s*(`{3,})", code, re.M)), default=2)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{code.strip(chr(10))}\n{marks}"


def passages(document: Document) -> Iterator[Passage]:
    """The passages of a document, in order. No passage spans two headings: a heading is what is cited."""
    for section in document.sections:
        path = section.path[1:] if section.path[:1] == (document.title,) and len(section.path) > 1 else section.path
        for part, blocks in enumerate(_joined(_grouped(_cut(section.blocks)))):
            yield Passage(SEPARATOR.join(path), section.anchor, "\n\n".join(blocks), part)


def sentences(text: str) -> list[str]:
    """A paragraph's sentences. Plain rules: an end mark, white space, then something that starts a sentence."""
    return [part for part in _SENTENCE.split(text) if part.strip()]


def _cut(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        words = len(block.text.split())
        if words <= (WHOLE_LIMIT if block.whole else LIMIT):
            yield block.text
        elif block.whole:
            yield from _runs(block.text.splitlines(), "\n")
        else:
            yield from _runs(sentences(block.text), " ")


def _runs(parts: list[str], glue: str) -> Iterator[str]:
    run: list[str] = []
    size = 0
    for part in _no_giants(parts):
        words = len(part.split())
        if run and size + words > LIMIT:
            yield glue.join(run)
            run, size = [], 0
        run.append(part)
        size += words
    yield glue.join(run)


def _no_giants(parts: list[str]) -> Iterator[str]:
    """Cut even what has no sentence or line ends, so that a file of one line becomes passages too."""
    for part in parts:
        words = part.split()
        if len(words) <= LIMIT:
            yield part
        else:
            yield from (" ".join(words[i : i + LIMIT]) for i in range(0, len(words), LIMIT))


def _grouped(texts: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for text in texts:
        words = len(text.split())
        # A sentence that announces a list or code ("as follows:") stays with it.
        announced = bool(group) and group[-1].endswith(":")
        if group and not announced and (size >= TARGET or size + words > LIMIT):
            yield group
            group, size = [], 0
        group.append(text)
        size += words
    if group:
        yield group


def _joined(groups: Iterable[list[str]]) -> list[list[str]]:
    """The groups, the last one joined to the one before where it is too short to say anything alone."""
    found = list(groups)
    if len(found) > 1 and sum(len(text.split()) for text in found[-1]) < TAIL:
        found[-2:] = [found[-2] + found[-1]]
    return found
