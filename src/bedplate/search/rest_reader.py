"""reStructuredText to sections, read line by line: enough to search and quote, without docutils' 20 MB of memory.

Section anchors follow docutils' rule for ids of titles. A second section of the same title has no anchor that the title
alone would tell, so it gets none.
"""

from __future__ import annotations

import re
import unicodedata

from bedplate.search.model import Document, Section
from bedplate.search.sections import Sections, fence

_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_DIRECTIVE = re.compile(r"^\s*\.\.\s+(?:\|[^|]+\|\s+)?([\w:+.-]+)::\s*(.*)$")
_EXPLICIT = re.compile(r"^\s*\.\.(?:\s|$)")
_OPTION = re.compile(r"^\s*:[\w-]+:(?:\s|$)")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\(?(?:\d+|[a-zA-Z#])[.)])\s+")
_ROLE = re.compile(r"(?::[\w:+.-]+:)`(?:~|!)?([^`<]*?)(?:\s*<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`__?")
_CODE = frozenset(
    ("code", "code-block", "sourcecode", "parsed-literal", "doctest", "highlight", "math", "productionlist")
)
_DROPPED_NAMES = (
    "toctree contents image index only raw include literalinclude highlight default-role meta currentmodule module "
    "automodule autoclass autofunction autosummary replace role sectionauthor moduleauthor tabularcolumns"
)
_DROPPED = frozenset(_DROPPED_NAMES.split())


def read_rest(path: str, text: str) -> Document:
    """The document's sections. Its title is its first heading's text, else its path."""
    reader = _Reader(text.expandtabs(8).splitlines())
    sections = reader.read()
    return Document(path, reader.title or path, sections)


def docutils_slug(title: str) -> str:
    """The id that docutils makes of a section's title."""
    folded = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", folded))


def inline(text: str) -> str:
    """Roles, links and references as their text; `` ``code`` `` as `` `code` ``."""
    text = re.sub(r"``(.+?)``", r"`\1`", text)
    text = _LINK.sub(r"\1", _ROLE.sub(r"`\1`", text))
    return re.sub(r"`([^`]+)`__?|(?<!\w)\|([^|\s][^|]*)\|", lambda m: m[1] or m[2], text)


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.title = ""
        self._lines = lines
        self._at = 0
        self._styles: list[tuple[str, bool]] = []  # adornments in order of appearance: their place is the level
        self._slugs: set[str] = set()
        self._sections = Sections()

    def read(self) -> tuple[Section, ...]:
        while self._at < len(self._lines):
            self._step()
        return self._sections.finish()

    def _step(self) -> None:
        line = self._line()
        if not line.strip():
            self._at += 1
        elif not self._heading():
            if directive := _DIRECTIVE.match(line):
                self._directive(directive[1], directive[2])
            elif _EXPLICIT.match(line):
                self._at += 1
                self._indented(_indent(line))  # a comment, target, footnote or substitution with its body
            elif _adornment(line):
                self._at += 1
            else:
                self._block()

    def _line(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._lines[at] if at < len(self._lines) else ""

    def _heading(self) -> bool:
        first, second, third = self._line(), self._line(1), self._line(2)
        if (
            _adornment(first)
            and second.strip()
            and third.rstrip() == first.rstrip()
            and len(first) >= len(second.strip())
        ):
            self._open(second.strip(), (first[0], True))
            self._at += 3
        elif (
            first[:1].strip()
            and not _adornment(first)
            and _adornment(second)
            and len(second.rstrip()) >= min(4, len(first.rstrip()))
        ):
            self._open(first.strip(), (second[0], False))
            self._at += 2
        else:
            return False
        return True

    def _open(self, raw: str, style: tuple[str, bool]) -> None:
        if style not in self._styles:
            self._styles.append(style)
        title = inline(raw).replace("`", "")
        slug = docutils_slug(title)
        anchor = "" if slug in self._slugs else slug
        self._slugs.add(slug)
        self.title = self.title or title
        self._sections.heading(self._styles.index(style) + 1, title, anchor)

    def _directive(self, name: str, argument: str) -> None:
        indent = _indent(self._line())
        self._at += 1
        body = self._indented(indent)
        while body and _OPTION.match(body[0]):
            body.pop(0)
        if name in _CODE:
            self._sections.block(fence("\n".join(_dedent(body)), argument if name != "math" else ""), whole=True)
        elif name not in _DROPPED:
            self._nested(argument, body)

    def _nested(self, argument: str, body: list[str]) -> None:
        """An admonition, table or documented name: its argument and its body as ordinary content."""
        if argument.strip():
            self._sections.block(inline(argument.strip()))
        inner = _Reader(_dedent(body))
        inner._sections, inner._styles, inner._slugs = self._sections, self._styles, self._slugs
        while inner._at < len(inner._lines):
            inner._step()

    def _indented(self, indent: int) -> list[str]:
        """The following lines that are blank or indented deeper than `indent`, without trailing blank ones."""
        start = self._at
        while self._at < len(self._lines) and (not self._line().strip() or _indent(self._line()) > indent):
            self._at += 1
        body = self._lines[start : self._at]
        while body and not body[-1].strip():
            body.pop()
        return body

    def _block(self) -> None:
        start, indent = self._at, _indent(self._line())
        kind = "list" if _ITEM.match(self._line()) else "table" if _table(self._line()) else "text"
        while self._line().strip() and (self._at == start or not _EXPLICIT.match(self._line())):
            self._at += 1
        lines = self._lines[start : self._at]
        text = "\n".join(_dedent(lines)) if kind != "text" else " ".join(line.strip() for line in lines)
        literal = text.endswith("::")
        if literal:
            text = text[:-1] if text[-3:-2].strip() else text[:-2].rstrip()
        if text.strip(": "):
            self._sections.block(inline(text), whole=kind != "text")
        if literal:
            self._sections.block(fence("\n".join(_dedent(self._indented(indent)))), whole=True)


def _adornment(line: str) -> bool:
    text = line.rstrip()
    return len(text) >= 2 and text[0] in _PUNCTUATION and text == text[0] * len(text) and text not in ("..", "::")


def _table(line: str) -> bool:
    return bool(re.match(r"^\s*(?:\+[-=+]+\+|=+(?: +=+)+)\s*$", line))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _dedent(lines: list[str]) -> list[str]:
    depth = min((_indent(line) for line in lines if line.strip()), default=0)
    return [line[depth:] for line in lines]
