"""Search: a folder of documents as an index file, and the passages that answer a question.

Goes in: Markdown, reST, HTML and plain text files. Comes out: an SQLite FTS5 file, and `Hit`s with path, heading and
anchor. It does not decide access (`SearchIndex.search` is given a predicate), opens no network connection and, after
building, writes nothing.
"""

from bedplate.search.excerpts import excerpt
from bedplate.search.index import build_index
from bedplate.search.model import CONFIDENT, Hit, IndexStats, Unread
from bedplate.search.searcher import SearchIndex

__all__ = ["CONFIDENT", "Hit", "IndexStats", "SearchIndex", "Unread", "build_index", "excerpt"]
