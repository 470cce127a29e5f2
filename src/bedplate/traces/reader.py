"""Read-only access to the segments of a folder, as if they were one.

Goes in: a folder. Comes out: rows as values. A trace that crosses midnight lies in two segments and is read from both.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bedplate.problems import BedplateError, Problem, Where
from bedplate.traces.segments import COLUMNS, VERSION, segments
from bedplate.traces.tree import STATUS_ERROR, TraceSpan

_SPAN = (*COLUMNS, "attributes", "events")


class Reader:
    """Open segments, newest first. Use as a context manager. Raises BP603 for a segment that cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._open: list[tuple[Path, sqlite3.Connection]] = []
        for path in reversed(segments(folder)):
            with _errors(path):
                if connection := _connect(path):
                    self._open.append((path, connection))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, connection in self._open:
            connection.close()

    def trace_ids(
        self, *, since: float | None, stage: str | None, session: str | None, status: str | None, text: str | None
    ) -> Iterator[str]:
        """Ids of traces with a span that fits, those with the latest spans first, each once.

        `status` looks at each segment alone and `text` is a rough sieve: what comes out has to be looked at again.
        """
        where, values = _where(since, stage, session, status, text)
        seen: set[str] = set()
        for row in self._rows(f"SELECT trace_id FROM spans WHERE {where} ORDER BY started DESC", values):
            if row[0] not in seen:
                seen.add(row[0])
                yield row[0]

    def with_prefix(self, prefix: str, limit: int = 6) -> list[str]:
        """Up to `limit` ids that begin so, sorted. `prefix` is hexadecimal."""
        sql = "SELECT DISTINCT trace_id FROM spans WHERE trace_id >= ? AND trace_id < ? LIMIT ?"
        return sorted({row[0] for row in self._rows(sql, (prefix, prefix + "g", limit))})[:limit]

    def count(self) -> int:
        """The number of traces."""
        return len({row[0] for row in self._rows("SELECT DISTINCT trace_id FROM spans", ())})

    def roots(self, since: float) -> list[str]:
        """Traces whose root has arrived and began after `since`, the oldest first."""
        sql = "SELECT started, trace_id FROM spans WHERE parent_id = '' AND source = '' AND started >= ?"
        found = {row[1]: row[0] for row in self._rows(sql, (int(since * 1e9),))}
        return sorted(found, key=lambda trace_id: (found[trace_id], trace_id))

    def spans(self, trace_id: str) -> list[TraceSpan]:
        """The trace's spans. An agent's span under the id of one of the gateway's is left out: it is forged."""
        columns = ", ".join(f"s.{name}" for name in _SPAN)
        sql = (
            f"SELECT {columns}, c.body FROM spans s LEFT JOIN content c ON c.trace_id = s.trace_id"
            " AND c.span_id = s.span_id AND c.source = s.source WHERE s.trace_id = ?"
        )
        found = [_span(row) for row in self._rows(sql, (trace_id,))]
        return list({span.span_id: span for span in sorted(found, key=lambda s: s.source, reverse=True)}.values())

    def logs(self, trace_id: str) -> list[dict[str, Any]]:
        """The trace's log records by time."""
        sql = "SELECT span_id, at, name, body, attributes FROM logs WHERE trace_id = ? ORDER BY at"
        return [
            {"span_id": r[0], "at": r[1] / 1e9, "name": r[2], "body": json.loads(r[3]), "attributes": json.loads(r[4])}
            for r in self._rows(sql, (trace_id,))
        ]

    def resource(self, trace_id: str) -> dict[str, Any]:
        """Who wrote the trace: the resource of the gateway's first span, else of any."""
        sql = (
            "SELECT r.body FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace_id = ?"
            " ORDER BY s.source, s.started LIMIT 1"
        )
        body = next((row[0] for row in self._rows(sql, (trace_id,))), "{}")
        found: dict[str, Any] = json.loads(body)
        return found

    def _rows(self, sql: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        for path, connection in self._open:
            with _errors(path):
                yield from connection.execute(sql, values)


_ROOTS = "(SELECT trace_id FROM spans WHERE parent_id = '' AND source = ''"
_STATUS = {
    "ok": f"trace_id IN {_ROOTS} AND status != {STATUS_ERROR})",
    "error": f"trace_id IN {_ROOTS} AND status = {STATUS_ERROR})",
    "unfinished": f"trace_id NOT IN {_ROOTS})",
}


def _where(
    since: float | None, stage: str | None, session: str | None, status: str | None, text: str | None
) -> tuple[str, tuple[Any, ...]]:
    clauses: list[str] = ["1"]
    values: list[Any] = []
    if since is not None:
        clauses.append("started >= ?")
        values.append(int(since * 1e9))
    for column, wanted in (("stage", stage), ("session", session)):
        if wanted is not None:
            clauses.append(f"{column} = ?")
            values.append(wanted)
    if status is not None:
        clauses.append(_STATUS[status])
    if text is not None:
        # A rough sieve: JSON may have escaped quotes and other characters once or twice, so they match anything.
        pattern = "".join(
            f"!{ch}" if ch in "!%_" else ch if " " <= ch <= "~" and ch not in '"\\' else "%" for ch in text
        )
        clauses.append("trace_id IN (SELECT trace_id FROM content WHERE body LIKE ? ESCAPE '!')")
        values.append(f"%{pattern}%")
    return " AND ".join(clauses), tuple(values)


def _span(row: tuple[Any, ...]) -> TraceSpan:
    fields = dict(zip(_SPAN, row, strict=False))
    fields["attributes"] = json.loads(fields["attributes"])
    fields["events"] = json.loads(fields["events"])
    return TraceSpan(**fields, content=json.loads(row[-1]) if row[-1] else {})


def _connect(path: Path) -> sqlite3.Connection | None:
    """The segment, or None where retention has just removed it."""
    if not path.exists():
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        connection.close()
        raise BedplateError(_newer(path))
    if version == 0:  # made this moment, its tables not yet there
        connection.close()
        return None
    return connection


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BedplateError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(
        "BP603",
        f"the trace segment {path.name} cannot be read",
        where=Where(str(path)),
        detail=str(error),
        fix="Move this file out of the folder; the other days stay readable.",
    )


def _newer(path: Path) -> Problem:
    return Problem(
        "BP603",
        f"the trace segment {path.name} was written by a newer Bedplate",
        where=Where(str(path)),
        fix="Upgrade Bedplate (`pip install --upgrade bedplate`), or use the version that wrote it.",
    )
