"""Erasing what was said in traces, for a person who is forgotten.

Goes in: a folder and who it is about. Comes out: a count. Timings, tokens, decisions and errors' codes stay: they
account for the agent. Content, logs, events, session and user are overwritten.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from bedplate.problems import BedplateError, Problem, Where
from bedplate.traces import conventions as c
from bedplate.traces.emit import pseudonym
from bedplate.traces.segments import open_segment, segments

_NAMES = f'$."{c.USER}"', f'$."{c.CONVERSATION}"'
_IN = "IN (SELECT value FROM json_each(?))"


def erase_person(
    folder: Path, agent: str, user: str, *, token: str, sessions: Sequence[str] = (), traces: Sequence[str] = ()
) -> int:
    """Erase every trace of a person; returns how many there were.

    Found by the person's pseudonym (`token` is the sink's token, which keys it), by name where content is `full`, and
    by the sessions and trace ids that the store still knows. Raises BP603 for a segment that fails.
    """
    users = (user, pseudonym(token, agent, user))
    found: set[str] = set()
    paths = segments(folder)
    for path in paths:
        found |= _each(path, lambda connection: _find(connection, sessions, traces, users))
    chosen = sorted(found)
    for path in paths:
        _each(path, lambda connection: _clear(connection, chosen))
    return len(chosen)


def _each(path: Path, action: Callable[[sqlite3.Connection], set[str]]) -> set[str]:
    try:
        with closing(open_segment(path)) as connection:
            return action(connection)
    except sqlite3.Error as error:
        raise BedplateError(_failed(path, error)) from error


def _find(
    connection: sqlite3.Connection, sessions: Sequence[str], traces: Sequence[str], users: Sequence[str]
) -> set[str]:
    rows = connection.execute(
        f"SELECT DISTINCT trace_id FROM spans WHERE (session != '' AND session {_IN}) OR trace_id {_IN}"
        f" OR json_extract(attributes, ?) {_IN}",
        (json.dumps(list(sessions)), json.dumps(list(traces)), _NAMES[0], json.dumps(list(users))),
    )
    return {row[0] for row in rows}


def _clear(connection: sqlite3.Connection, traces: Sequence[str]) -> set[str]:
    chosen = json.dumps(list(traces))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"DELETE FROM content WHERE trace_id {_IN}", (chosen,))
    connection.execute(f"DELETE FROM logs WHERE trace_id {_IN}", (chosen,))
    connection.execute(
        "UPDATE spans SET events = '[]', message = '', session = '', attributes = json_remove(attributes, ?, ?)"
        f" WHERE trace_id {_IN}",
        (*_NAMES, chosen),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return set()


def _failed(path: Path, error: Exception) -> Problem:
    return Problem(
        "BP603",
        f"the trace segment {path.name} cannot be erased from",
        where=Where(str(path)),
        detail=str(error),
        fix="Delete this file to be rid of all traces of its day, or try again when nothing else holds it.",
    )
