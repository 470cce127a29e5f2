"""HTML to sections: the main content only, with the document's own ids as anchors. Never raises on malformed markup."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

from bedplate.search.model import Document
from bedplate.search.sections import Sections, fence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


VOID = _set("area base br col embed hr img input link meta param source track wbr")
SKIP_TAGS = _set("script style nav footer aside noscript template svg form button select iframe object canvas")
SKIP_ROLES = frozenset(("navigation", "search", "banner", "contentinfo", "complementary"))
# Furniture of Sphinx, docutils, MkDocs and their themes: navigation, link marks, local tables of contents.
SKIP_CLASSES = _set(
    "related sphinxsidebar headerlink anchor-link toc contents toctree-wrapper linenos sr-only navbar sidebar "
    "breadcrumbs clearer footer prev-next-area copybtn"
)
BLOCKS = _set(
    "p div section article main ul ol dl dt dd table blockquote figure figcaption body details summary hr "
    "header address fieldset center"
)
LISTS = frozenset(("ul", "ol"))
HEADINGS = {f"h{n}": n for n in range(1, 7)}
DEFINITION = 10  # level of a documented name (`<dt id=…>`), below every heading; nested ones below it
_TITLE_TAIL = re.compile(r"\s+(?:[—–|·»]|--?)\s+[^—–|·»]*$")


def read_html(path: str, text: str) -> Document:
    """The document's sections. Its title is `<title>` without the site's name, else the first heading."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.document(path)


class _Reader(HTMLParser):
    """Follows open elements loosely: an end tag closes up to its start tag, one without a start tag is ignored."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._stack: list[str] = []
        self._count: Counter[str] = Counter()
        self._skip_at = -1  # depth at which a skipped subtree began
        self._main_at = -1
        self._main_seen = False
        self._all, self._main = Sections(), Sections()
        self._text: list[str] = []
        self._title: list[str] = []
        self._first_heading = ""
        self._section = ""  # the id of a section that has no heading yet
        self._anchor = ""  # the latest other id since the last text
        self._own_id = ""  # the id of the open heading or definition
        self._pre = 0
        self._list_depth = 0
        self._list: list[str] = []
        self._table = 0
        self._rows: list[list[str]] = []
        self._terms: list[bool] = []  # for each open <dl>: does it document names

    def document(self, path: str) -> Document:
        """What was read. The whole page where no main content is marked."""
        self._flush()
        sections = self._main if self._main_seen else self._all
        raw = " ".join("".join(self._title).split())
        title = _TITLE_TAIL.sub("", raw) or self._first_heading or path
        return Document(path, title, sections.finish())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self._stack.append(tag)
            self._count[tag] += 1
        if self._skip_at >= 0:
            return
        if self._is_skipped(tag, values):
            if tag not in VOID:
                self._skip_at = len(self._stack)
            return
        if self._main_at < 0 and (tag == "main" or values.get("role") == "main"):
            self._flush()
            self._main_at, self._main_seen = len(self._stack), True
        self._open(tag, values)

    def handle_endtag(self, tag: str) -> None:
        if not self._count[tag]:
            return
        while self._stack:
            closed = self._stack.pop()
            self._count[closed] -= 1
            self._closed(closed)
            if closed == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._skip_at >= 0:
            return
        if self._stack and self._stack[-1] == "title":
            self._title.append(data)
        elif not self._count["head"]:
            self._text.append(data if self._pre else re.sub(r"\s+", " ", data))

    def _is_skipped(self, tag: str, values: dict[str, str]) -> bool:
        if tag in SKIP_TAGS or values.get("role") in SKIP_ROLES or "hidden" in values:
            return True
        if tag == "header" and self._main_at < 0:
            return True
        classes = values.get("class", "")
        return bool(classes) and not SKIP_CLASSES.isdisjoint(classes.split())

    def _open(self, tag: str, values: dict[str, str]) -> None:
        own = values.get("id") or (values.get("name", "") if tag == "a" else "")
        if tag in HEADINGS:
            self._flush()
            self._own_id = own
        elif tag == "dt":
            self._open_term(own)
        elif own and tag in ("section", "div", "article"):
            self._section = own
        elif own and tag in ("a", "span"):
            self._anchor = own
        match tag:
            case "br":
                self._text.append("\n")
            case "pre":
                self._flush()
                self._pre += 1
            case "li":
                self._end_item()
            case "tr":
                self._rows.append([])
            case "td" | "th":
                self._text.clear()
            case "dl":
                self._flush()
                self._terms.append("sig" in values.get("class", "") or _documents_names(values.get("class", "")))
            case _ if tag in LISTS:
                self._end_item() if self._list_depth else self._flush()
                self._list_depth += 1
            case "table":
                self._flush()
                self._table += 1
            case _ if tag in BLOCKS:
                self._flush()

    def _open_term(self, own: str) -> None:
        self._flush()
        self._own_id = own

    def _closed(self, tag: str) -> None:
        depth = len(self._stack)
        if self._skip_at >= 0:
            self._skip_at = -1 if depth < self._skip_at else self._skip_at
            return
        match tag:
            case _ if tag in HEADINGS:
                self._heading(HEADINGS[tag])
            case "dt" if self._own_id and self._terms and self._terms[-1]:
                self._heading(DEFINITION + len(self._terms), term=True)
            case "pre":
                self._pre = max(0, self._pre - 1)
                self._code()
            case "li":
                self._end_item()
            case "td" | "th" if self._table and self._rows:
                self._rows[-1].append(" ".join("".join(self._text).split()))
                self._text.clear()
            case "table":
                self._end_table()
            case "dl":
                self._end_names()
            case _ if tag in LISTS:
                self._end_list()
            case _ if tag in BLOCKS:
                self._flush()
        if self._main_at >= 0 and depth < self._main_at:
            self._flush()
            self._main_at = -1

    def _heading(self, level: int, term: bool = False) -> None:
        text = " ".join("".join(self._text).replace("¶", "").split())
        self._text.clear()
        anchor = self._own_id or self._section or self._anchor
        self._own_id = self._section = self._anchor = ""
        if not text:
            return
        if not term:
            self._first_heading = self._first_heading or text
        for sections in self._targets():
            sections.heading(level, text, anchor)

    def _end_names(self) -> None:
        self._flush()
        if self._terms and self._terms.pop():
            for sections in self._targets():
                sections.leave(DEFINITION + len(self._terms) + 1)

    def _code(self) -> None:
        text = "".join(self._text).strip("\n")
        self._text.clear()
        if self._list_depth:
            self._list.append(fence(text))
        elif not self._table:
            self._emit(fence(text), whole=True)
        else:
            self._text.append(text)

    def _end_item(self) -> None:
        text = " ".join("".join(self._text).split())
        self._text.clear()
        if text and self._list_depth:
            self._list.append("  " * (self._list_depth - 1) + "- " + text)
        elif text:
            self._emit(text)

    def _end_list(self) -> None:
        self._end_item()
        self._list_depth = max(0, self._list_depth - 1)
        if not self._list_depth and self._list:
            items, self._list = self._list, []
            self._emit("\n".join(items), whole=True)

    def _end_table(self) -> None:
        self._table = max(0, self._table - 1)
        if self._table:
            return
        self._text.clear()
        rows, self._rows = [row for row in self._rows if any(row)], []
        self._emit("\n".join("| " + " | ".join(row) + " |" for row in rows), whole=True)

    def _flush(self) -> None:
        if self._pre or self._table:
            return
        if self._list_depth:
            text = "".join(self._text)
            if text.strip():
                self._end_item()
            return
        text = "".join(self._text)
        self._text.clear()
        self._emit(re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t]+", " ", text)))

    def _emit(self, text: str, whole: bool = False) -> None:
        if text.strip():
            self._section = self._anchor = ""
            for sections in self._targets():
                sections.block(text, whole)

    def _targets(self) -> tuple[Sections, ...]:
        return (self._all, self._main) if self._main_at >= 0 else (self._all,)


def _documents_names(classes: str) -> bool:
    """Sphinx marks lists of documented names with their domain: `<dl class="py function">`."""
    return bool({"py", "c", "cpp", "js", "std", "rst"} & set(classes.split()))
