"""Tools of type search: passages of one data source, each hit put to the decider."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from bedplate.blueprint.model import SearchTool
from bedplate.runtime.tools.api import Arguments, CallContext, Operation, Question, Source, ToolResult
from bedplate.runtime.tools.common import bad_argument, failed, no_operation
from bedplate.search import Hit, SearchIndex, excerpt

MAX_HITS = 20
MAX_OPEN = 60_000  # characters of a document that `open` returns

_SEARCH = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "minLength": 1, "description": "What to look for, in words or as a question."},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_HITS, "default": 5},
    },
    "required": ["query"],
    "additionalProperties": False,
}
_OPEN = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "A document's path, as search returns it."},
        "anchor": {"type": "string", "description": "Only the section with this anchor."},
    },
    "required": ["path"],
    "additionalProperties": False,
}


class SearchToolset:
    """`search(query, limit)` and `open(path, anchor)` over an index file; verb `read`, object the document's path."""

    def __init__(self, tool: SearchTool, index: Path) -> None:
        self.name = tool.name
        self._about = tool.description or f"the documents of {tool.use}"
        self._path = index
        self._index: SearchIndex | None = None

    async def start(self) -> None:
        """Open the index. Raises BedplateError BP480 where it cannot be read."""
        self._index = await asyncio.to_thread(SearchIndex, self._path)

    async def operations(self) -> tuple[Operation, ...]:
        """Always the same two."""
        search = f"Search {self._about}. Returns passages with their source."
        return (
            Operation("search", search, _SEARCH, "read", effect=False, query=True),
            Operation(
                "open", f"Read one document of {self._about}, or one section of it.", _OPEN, "read", effect=False
            ),
        )

    def question(self, operation: str, arguments: Arguments) -> Question:
        """For `search` any document; for `open` the one. Raises BedplateError (BP453, BP454)."""
        match operation:
            case "search":
                return Question("read", "*", any_object=True)
            case "open":
                return Question("read", self._document(arguments))
        raise no_operation(self.name, operation)

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        """Search or read. A result without hits is no error: the text says that nothing was found."""
        index = self._index
        if index is None:
            return failed(f"{self.name} is not started")
        if operation == "search":
            return await asyncio.to_thread(self._search, index, arguments, context)
        return await asyncio.to_thread(self._open, index, arguments)

    async def close(self) -> None:
        """Close the index."""
        index, self._index = self._index, None
        if index:
            index.close()

    def _search(self, index: SearchIndex, arguments: Arguments, context: CallContext) -> ToolResult:
        query, limit = str(arguments.get("query", "")), int(arguments.get("limit", 5))
        hits = index.search(query, min(limit, MAX_HITS), lambda path: context.decide(Question("read", path)).allowed)
        if not hits:
            return ToolResult(f"Nothing was found for: {query}", data={"passages": []})
        data = {"passages": [_passage(hit, excerpt(index, hit, query)) for hit in hits]}
        text = "\n\n".join(f"[{n}] {_label(hit)}\n{hit.text}" for n, hit in enumerate(hits, 1))
        return ToolResult(text, data=data, sources=_sources(hits))

    def _open(self, index: SearchIndex, arguments: Arguments) -> ToolResult:
        path, anchor = self._document(arguments), arguments.get("anchor") or None
        hits = index.open(path, anchor)
        if not hits:
            return failed(f"there is no {f'section {anchor} in ' if anchor else ''}document {path}")
        text = "\n\n".join(_with_headings(hits))
        if len(text) > MAX_OPEN:
            text = f"{text[:MAX_OPEN]}\n[cut: the document has {len(text)} characters; open a section by its anchor]"
        return ToolResult(text, data={"path": path, "title": hits[0].title}, sources=_sources(hits[:1]))

    def _document(self, arguments: Arguments) -> str:
        """The path in the one form in which scopes and the index know it."""
        path = str(arguments.get("path", ""))
        parts = path.split("/")
        if not path or path.startswith("/") or "\\" in path or "\0" in path or {"", ".", ".."} & set(parts):
            raise bad_argument(self.name, "open", "`path` must be a document's path as search returns it")
        return path


def _passage(hit: Hit, quote: str) -> dict[str, object]:
    """A hit as the model reads it. `excerpt` is there where the part that answers is not the whole passage."""
    passage: dict[str, object] = {"path": hit.path, "anchor": hit.anchor, "heading": hit.heading or hit.title}
    passage |= {"confidence": round(hit.confidence, 2), "text": hit.text}
    return passage if quote == hit.text else {**passage, "excerpt": quote}


def _label(hit: Hit) -> str:
    place = f"{hit.path}#{hit.anchor}" if hit.anchor else hit.path
    return f"{place} — {hit.heading or hit.title}"


def _with_headings(hits: Iterable[Hit]) -> Iterable[str]:
    previous = None
    for hit in hits:
        if hit.heading and hit.heading != previous:
            yield f"## {hit.heading}"
        previous = hit.heading
        yield hit.text


def _sources(hits: Iterable[Hit]) -> tuple[Source, ...]:
    found = (Source(hit.path, hit.heading or hit.title, hit.anchor) for hit in hits)
    return tuple(dict.fromkeys(found))
