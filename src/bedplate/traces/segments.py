"""Trace segments: one SQLite file a day (UTC, by the time of receipt), written by the sink and read by `query`.

Goes in: rows. Comes out: rows on disk, and old days unlinked. It knows nothing of OTLP or HTTP.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from pathlib import Path

VERSION = 1
_SCHEMA = """
CREATE TABLE resources (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE spans (
  trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_id TEXT NOT NULL,
  name TEXT NOT NULL, kind INTEGER NOT NULL, operation TEXT NOT NULL, source TEXT NOT NULL,
  started INTEGER NOT NULL, ended INTEGER NOT NULL,
  status INTEGER NOT NULL, message TEXT NOT NULL,
  agent TEXT NOT NULL, stage TEXT NOT NULL, session TEXT NOT NULL, model TEXT NOT NULL, tool TEXT NOT NULL,
  decision TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER, cost REAL,
  resource INTEGER NOT NULL, attributes TEXT NOT NULL, events TEXT NOT NULL,
  PRIMARY KEY (trace_id, span_id, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX spans_by_start ON spans (started, trace_id);
CREATE INDEX spans_roots ON spans (started, trace_id, status) WHERE parent_id = '' AND source = '';
CREATE TABLE content (
  trace_id TEXT NOT NULL, span_id TEXT NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (trace_id, span_id, source)
) STRICT;
CREATE TABLE logs (
  digest BLOB PRIMARY KEY, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, at INTEGER NOT NULL,
  severity INTEGER NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, attributes TEXT NOT NULL, resource INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logs_by_trace ON logs (trace_id);
"""


@dataclass(frozen=True, slots=True)
class SpanFields:
    """What a span is stored and read with; each field is a column.

    Ids are hexadecimal, times nanoseconds since 1970, `cost` US dollars; `source` is `agent` for what the agent sent.
    """

    span_id: str
    parent_id: str
    name: str
    operation: str
    source: str
    started: int
    ended: int
    status: int
    message: str
    agent: str
    stage: str
    session: str
    model: str
    tool: str
    decision: str
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None


COLUMNS = tuple(field.name for field in fields(SpanFields))


@dataclass(frozen=True, slots=True)
class SpanRow(SpanFields):
    """One span as stored.

    `source` is part of the key: an agent that sends a span under the id of one of the gateway's cannot displace it.
    `content` (JSON or empty) goes into a table of its own, so that it can be erased alone.
    """

    trace_id: str
    kind: int
    resource: str
    attributes: str
    events: str
    content: str


@dataclass(frozen=True, slots=True)
class LogRow:
    """One log record as stored. `digest` tells repeats apart."""

    digest: bytes
    trace_id: str
    span_id: str
    at: int
    severity: int
    name: str
    body: str
    attributes: str
    resource: str


_STORED = (*COLUMNS, "trace_id", "kind", "attributes", "events", "resource")
_INSERT_SPAN = f"INSERT OR IGNORE INTO spans ({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))})"
_values = attrgetter(*_STORED[:-1])


class Writer:
    """Appends to today's segment. Not safe for several threads at once; the sink holds a lock."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock
        self._day = ""
        self._connection: sqlite3.Connection | None = None
        self._resources: dict[str, int] = {}

    def write(self, spans: Sequence[SpanRow], logs: Sequence[LogRow] = ()) -> None:
        """Write rows in one transaction; repeats of a stored span or record change nothing. Raises sqlite3.Error."""
        connection = self._today()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                _INSERT_SPAN, [(*_values(row), self._resource(connection, row.resource)) for row in spans]
            )
            connection.executemany(
                "INSERT OR IGNORE INTO content VALUES (?, ?, ?, ?)",
                [(row.trace_id, row.span_id, row.source, row.content) for row in spans if row.content],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*astuple(row)[:-1], self._resource(connection, row.resource)) for row in logs],
            )
            connection.execute("COMMIT")
        except BaseException:
            self._resources.clear()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _resource(self, connection: sqlite3.Connection, body: str) -> int:
        known = self._resources.get(body)
        if known is None:
            connection.execute("INSERT OR IGNORE INTO resources (body) VALUES (?)", (body,))
            known = int(connection.execute("SELECT id FROM resources WHERE body = ?", (body,)).fetchone()[0])
            if len(self._resources) < 256:
                self._resources[body] = known
        return known

    def _today(self) -> sqlite3.Connection:
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        if self._connection is None or day != self._day:
            self.close()
            self._connection = open_segment(self.folder / f"{day}.db")
            self._day = day
        return self._connection

    def close(self) -> None:
        """Close the open segment, which empties its write-ahead log. Safe to call twice."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._resources.clear()


def open_segment(path: Path) -> sqlite3.Connection:
    """A connection for writing; the file is made, private to its owner, where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -512")
    if not connection.execute("PRAGMA user_version").fetchone()[0]:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def segments(folder: Path) -> list[Path]:
    """The segments in a folder, the oldest first. Other files are left alone."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob("????-??-??.db") if _day_of(path))


def _day_of(path: Path) -> date | None:
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        return None


def expire(folder: Path, retention: int, now: float) -> list[Path]:
    """Unlink segments whose last moment lies more than `retention` seconds back; returns them."""
    limit = datetime.fromtimestamp(now, UTC) - timedelta(seconds=retention)
    old = [path for path in segments(folder) if (_day_of(path) or limit.date()) + timedelta(days=1) <= limit.date()]
    for path in old:
        for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            name.unlink(missing_ok=True)
    return old
