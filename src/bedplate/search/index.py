"""`build_index`: documents to one SQLite file, built beside its place and moved there whole."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from bedplate.problems import BedplateError, Problem
from bedplate.search.documents import is_document, read_document
from bedplate.search.model import Document, IndexStats, Unread
from bedplate.search.sections import passages
from bedplate.search.words import TOKENIZER, parts_of

FORMAT = 1
_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE document (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, title TEXT NOT NULL);
CREATE TABLE passage (id INTEGER PRIMARY KEY, document INTEGER NOT NULL, heading TEXT NOT NULL, anchor TEXT NOT NULL,
                      part INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX passage_document ON passage (document);
CREATE VIRTUAL TABLE words USING fts5(title, heading, body, parts, content='', tokenize='{TOKENIZER}');
CREATE TABLE term (stem TEXT PRIMARY KEY, passages INTEGER NOT NULL) WITHOUT ROWID;
"""
_FINISH = f"""
INSERT INTO words (words) VALUES ('optimize');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row);
INSERT INTO term SELECT term, doc FROM vocabulary;
DROP TABLE vocabulary;
PRAGMA user_version = {FORMAT};
"""


class HasPath(Protocol):
    """What is needed of a `FileRef`: its path relative to the root."""

    @property
    def path(self) -> str: ...


def build_index(root: Path, files: Sequence[HasPath], path: Path) -> IndexStats:
    """Index the documents among `files` (relative to `root`) into `path`, which is replaced only when all is written.

    Files that cannot be read are named in the result and left out. Raises BedplateError BP481 where the index cannot
    be written (no space, no permission); the old index then still stands.
    """
    started = time.monotonic()
    chosen = [file.path for file in files if is_document(file.path)]
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        beside.touch(mode=0o600)  # it holds the documents' text
        unread, documents, count = _write(root, chosen, beside)
        _sync(beside)
        beside.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # the error above says what is wrong; a file left here would only repeat it
            beside.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    return IndexStats(documents, count, seconds, skipped=len(files) - len(chosen), unread=tuple(unread))


def _write(root: Path, chosen: Iterable[str], beside: Path) -> tuple[list[Unread], int, int]:
    unread: list[Unread] = []
    documents = count = 0
    with closing(sqlite3.connect(beside, isolation_level=None)) as db:
        db.executescript(_SCHEMA)
        db.execute("BEGIN")
        for name in chosen:
            match read_document(root, name):
                case Document() as document:
                    documents += 1
                    count = _insert(db, documents, document, count)
                case Unread() as problem:
                    unread.append(problem)
        db.execute("COMMIT")
        db.executescript(_FINISH)
    return unread, documents, count


def _insert(db: sqlite3.Connection, number: int, document: Document, count: int) -> int:
    db.execute("INSERT INTO document VALUES (?, ?, ?)", (number, document.path, document.title))
    for passage in passages(document):
        count += 1
        db.execute(
            "INSERT INTO passage VALUES (?, ?, ?, ?, ?, ?)",
            (count, number, passage.heading, passage.anchor, passage.part, passage.text),
        )
        db.execute(
            "INSERT INTO words (rowid, title, heading, body, parts) VALUES (?, ?, ?, ?, ?)",
            (count, document.title, passage.heading, passage.text, parts_of(f"{passage.heading} {passage.text}")),
        )
    return count


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: Exception) -> BedplateError:
    return BedplateError(
        Problem(
            "BP481",
            f"the search index {path.name} could not be written",
            detail=f"{path}: {error}",
            fix="make room on the disk and check that the folder may be written, then run the command again",
        )
    )
