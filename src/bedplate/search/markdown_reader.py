"""Markdown (CommonMark with tables and front matter) to sections, with the anchors that GitHub gives to headings."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from bedplate.search.model import Document, Section
from bedplate.search.sections import Sections, fence

_ATX = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})[ \t]*([^`]*)$")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+")
_ID = re.compile(r"\s*\{#([\w:.-]+)\}\s*$")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.)*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s+\S+.*$")
_TAG = re.compile(
    r"</?(?:a|p|div|span|br|img|details|summary|center|sub|sup|kbd|b|i|em|strong|h[1-6])\b[^>]{0,300}>", re.I
)


def read_markdown(path: str, text: str) -> Document:
    """The document's sections. Its title is the front matter's, else its first heading's, else its path."""
    title, body = _front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    reader = _Reader()
    for line in body.split("\n"):
        reader.line(line)
    sections = reader.finish()
    return Document(path, title or reader.title or path, sections)


def github_slug(heading: str, seen: Counter[str] | None = None) -> str:
    """The fragment that GitHub gives to a heading; `seen` counts the ones before, so that a second `Use` is `use-1`."""
    text = unicodedata.normalize("NFC", plain(heading)).strip().lower()
    slug = "".join(ch for ch in text if ch in "-_ " or unicodedata.category(ch)[0] in "LNM").replace(" ", "-")
    if seen is None:
        return slug
    count, seen[slug] = seen[slug], seen[slug] + 1
    return f"{slug}-{count}" if count else slug


def plain(text: str) -> str:
    """Inline Markdown without its marks: links as their text, no emphasis, no code ticks."""
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"`+([^`]+)`+", r"\1", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    return re.sub(r"(?<!\w)([*_])(?=\S)([^*_]+?)(?<=\S)\1(?!\w)", r"\2", text)


class _Reader:
    """Line by line: a block is closed by a blank line, a heading, a fence, or a change of kind."""

    def __init__(self) -> None:
        self.title = ""
        self._sections = Sections()
        self._seen: Counter[str] = Counter()
        self._lines: list[str] = []
        self._kind = ""  # of the open lines: text, list, table, code
        self._fence = ""
        self._language = ""
        self._blank = False
        self._comment = False

    def line(self, line: str) -> None:
        """Take the next line."""
        if self._fence:
            self._code_line(line)
            return
        line = self._uncommented(line)
        opened = _FENCE.match(line)
        if opened and not (self._kind == "list" and opened[1]):
            self._close()
            self._fence, self._language = opened[2], opened[3].strip()
        elif not line.strip():
            self._gap()
        elif heading := _ATX.match(line):
            self._heading(len(heading[1]), heading[2] or "")
        elif self._kind == "text" and not self._blank and (under := _SETEXT.match(line)):
            text, self._lines = " ".join(self._lines), []
            self._heading(1 if under[1][0] == "=" else 2, text)
        elif not _REFERENCE.match(line):
            self._content(line)

    def finish(self) -> tuple[Section, ...]:
        """The sections; an unclosed fence ends with the file."""
        self._close()
        return self._sections.finish()

    def _code_line(self, line: str) -> None:
        mark = line.strip()
        if mark.startswith(self._fence) and not mark.strip(self._fence[0]):
            self._sections.block(fence("\n".join(self._lines), self._language), whole=True)
            self._fence, self._lines = "", []
        else:
            self._lines.append(line)

    def _uncommented(self, line: str) -> str:
        if self._comment:
            before, end, after = line.partition("-->")
            if not end:
                return ""
            self._comment, line = False, after
        line = re.sub(r"<!--.*?-->", "", line)
        before, start, _ = line.partition("<!--")
        self._comment = bool(start)
        return before

    def _heading(self, level: int, raw: str) -> None:
        self._close()
        own = _ID.search(raw)
        text = plain(_ID.sub("", raw)).strip()
        anchor = own[1] if own else github_slug(_TAG.sub("", text), self._seen)
        text = _TAG.sub("", text).strip()
        if text:
            self.title = self.title or text
            self._sections.heading(level, text, anchor)

    def _gap(self) -> None:
        if self._kind in ("text", "table", "code"):
            self._close()
        self._blank = True

    def _content(self, line: str) -> None:
        kind = self._kind_of(line)
        if self._lines and kind != self._kind:
            self._close()
        if self._kind == "list" and self._blank and not line[:1].isspace() and not _ITEM.match(line):
            self._close()
            kind = self._kind_of(line)
        self._kind, self._blank = kind, False
        self._lines.append(line)

    def _kind_of(self, line: str) -> str:
        if _ITEM.match(line):
            return "list" if self._kind != "code" else "code"
        if self._kind == "list" and (line[:1].isspace() or not self._blank):
            return "list"
        if line.lstrip().startswith("|"):
            return "table"
        if line.startswith(("    ", "\t")) and self._kind != "text":
            return "code"
        return "text"

    def _close(self) -> None:
        lines, self._lines = self._lines, []
        kind, self._kind, self._blank = self._kind, "", False
        if self._fence:
            self._sections.block(fence("\n".join(lines), self._language), whole=True)
            self._fence = ""
            return
        text = "\n".join(lines)
        match kind:
            case "code":
                self._sections.block(fence(re.sub(r"(?m)^(?: {4}|\t)", "", text)), whole=True)
            case "table":
                rows = [row for row in lines if not re.fullmatch(r"[\s|:-]+", row)]
                self._sections.block(_inline("\n".join(rows)), whole=True)
            case "list":
                self._sections.block(_inline(text), whole=True)
            case "text":
                self._sections.block(_inline(" ".join(line.strip() for line in lines)))


def _inline(text: str) -> str:
    """Links as their text and no HTML tags; code ticks and emphasis stay, they help a reader."""
    return _TAG.sub("", _LINK.sub(r"\1", text))


def _front_matter(text: str) -> tuple[str, str]:
    """The title in YAML front matter, and the text after it."""
    match = re.match(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*\n", text, re.S)
    if not match:
        return "", text
    title = re.search(r"(?m)^title:[ \t]*(.+?)[ \t]*$", match[1])
    return (title[1].strip("'\"") if title else ""), text[match.end() :]
