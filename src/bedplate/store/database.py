"""Opening the database: pragmas, migrations, transactions, and SQLite's errors in plain words.

Goes in: a path. Comes out: a `Database` whose errors are BedplateErrors. It knows no table of the store.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from bedplate.problems import BedplateError, Problem, Where

BUSY_TIMEOUT_MS = 5_000
LONGEST_PATH = 504
"""Bytes of the path of a database, symbolic links resolved: SQLite's 512 less `-journal`. Nothing on the way round it
helps: SQLite resolves links and working directories itself. Source: os_unix.c, MAX_PATHNAME."""
Row = sqlite3.Row
Values = Sequence[Any] | dict[str, Any]


class Database:
    """One connection in autocommit mode. `transaction()` nests; a lock lets several threads share it.

    WAL with synchronous=NORMAL: a killed process loses nothing that was committed; a power cut may lose the last
    commits but never corrupts. `secure_delete` overwrites what is erased.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        with self._errors():
            self._connection = _connect(path)
            _migrate(self._connection, path)

    def run(self, sql: str, values: Values = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        with self._lock, self._errors():
            return self._connection.execute(sql, values)

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock, self._errors():
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query, or None."""
        with self._lock, self._errors():
            found: Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def many(self, sql: str, values: Sequence[Values]) -> None:
        """Execute one statement for each set of values."""
        with self._lock, self._errors():
            self._connection.executemany(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Takes the write lock at once, so that what is read inside stays true until the end."""
        with self._lock:
            if self._depth == 0:
                self.run("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0 and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._commit()

    def _commit(self) -> None:
        try:
            self.run("COMMIT")
        except BedplateError:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def scrub(self) -> None:
        """Remove what was erased from the write-ahead log too. Other readers may make it wait for a later commit."""
        self.run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise BedplateError(problem_of(error, self.path)) from error


def _connect(path: Path) -> sqlite3.Connection:
    require_short(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)
    connection.row_factory = Row
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def migrations() -> list[str]:
    """The migrations in order; the first brings a database to version 1."""
    folder = files("bedplate.store").joinpath("migrations")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [folder.joinpath(name).read_text("utf-8") for name in names]


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    steps = migrations()
    version = _version(connection)
    if version > len(steps):
        raise BedplateError(_newer(path, version, len(steps)))
    if version == len(steps):
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Another process may have migrated while this one waited for the lock: ask again.
        for number in range(_version(connection), len(steps)):
            for statement in _statements(steps[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Single statements: `executescript` would commit the transaction that keeps a migration whole."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def require_short(path: Path) -> None:
    """Raises BedplateError BP330 where SQLite cannot open a database at `path` because of its length alone."""
    length = len(os.fsencode(os.path.realpath(path)))
    if length > LONGEST_PATH:
        raise BedplateError(
            Problem(
                "BP330",
                "the project's folder has too long a path",
                where=Where(str(path.parent)),
                detail=f"SQLite opens files whose path has up to {LONGEST_PATH} bytes; the longest here has {length}.",
                fix="Move the project to a folder with a shorter path.",
            )
        )


def _newer(path: Path, found: int, known: int) -> Problem:
    return Problem(
        "BP460",
        f"{path.name} was written by a newer Bedplate",
        where=Where(str(path)),
        detail=f"The database has version {found}; this Bedplate knows versions up to {known}.",
        fix="Upgrade Bedplate (`pip install --upgrade bedplate`), or use the version that wrote the database.",
    )


def problem_of(error: Exception, path: Path) -> Problem:
    """The problem that an error of SQLite or of the file system means for the database at `path`."""
    code, summary, fix = _meaning(error, path.name)
    return Problem(code, summary, where=Where(str(path)), detail=str(error), fix=fix)


def _meaning(error: Exception, name: str) -> tuple[str, str, str]:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            return (
                "BP464",
                f"no room to write {name}",
                "Free some space on this disk, then try again; nothing was half-written.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return "BP465", f"{name} cannot be opened for writing", "Make the file and its folder writable for you."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                "BP466",
                f"{name} is damaged or is no database",
                "Restore it from a copy, or move it away to start empty.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "BP467", f"{name} is held by another process", "Wait for the other command to end, then try again."
        case _ if isinstance(error, OSError):
            return "BP465", f"{name} cannot be opened for writing", "Make the file and its folder writable for you."
        case _:
            return (
                "BP466",
                f"{name} does not answer as it should",
                "Restore it from a copy, or move it away to start empty.",
            )
