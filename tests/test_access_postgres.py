"""Scopes of sql tools on a real PostgreSQL: it allows and denies what `decide` does, and reads back equal."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedplate.access import Claim, Condition, Grant, Present, Request, ScopeSet, Spans, Subset, Texts, decide
from bedplate.access.postgres import Owner, validate
from bedplate.access.postgres.emit import view_name
from bedplate.access.postgres.normal import possible
from bedplate.access.postgres.rights import Right, groups, multiplies, rights
from postgres_support import apply, catalog, connect, present, psycopg, server

OWNER = Owner("support", "prod", "crm", "postgres")
EXAMPLES = int(os.environ.get("BEDPLATE_EXAMPLES", "40"))
TABLE = "crm.tickets"
SESSION_CLAIMS = {"tenant": "acme", "n": "7"}

# Values of each column: as SQL writes them, and as JSON holds them.
VALUES: dict[str, list[tuple[str, Any]]] = {
    "tenant": [
        ("'acme'", "acme"),
        ("'globex'", "globex"),
        ("'Acme'", "Acme"),
        ("'a_e'", "a_e"),
        ("''", ""),
        ("NULL", None),
    ],
    "amount": [
        ("5", 5),
        ("0.0001", Decimal("0.0001")),
        ("0.00005", Decimal("0.00005")),
        ("-3.5", Decimal("-3.5")),
        ("'NaN'", float("nan")),
        ("'Infinity'", float("inf")),
        ("1e20", 10**20),
        ("NULL", None),
    ],
    "at": [
        ("'2026-01-01T00:00:00Z'", "2026-01-01T00:00:00Z"),
        ("'2026-01-01T00:00:00.001+02'", "2026-01-01T00:00:00.001+02:00"),
        ("'2026-01-01T00:00:00.0005Z'", "2026-01-01T00:00:00.0005Z"),
        ("'infinity'", "infinity"),
        ("NULL", None),
    ],
    "ip": [
        ("'10.1.2.3'", "10.1.2.3"),
        ("'10.0.0.0/8'", "10.0.0.0/8"),
        ("'192.168.0.1'", "192.168.0.1"),
        ("'::1'", "::1"),
        ("'::ffff:10.0.0.1'", "::ffff:10.0.0.1"),
        ("NULL", None),
    ],
    "tags": [
        ("ARRAY['a','b']", ["a", "b"]),
        ("ARRAY['a',NULL]", ["a", None]),
        ("'{}'", []),
        ("ARRAY[['a','a'],['a','a']]", [["a", "a"], ["a", "a"]]),
        ("ARRAY['x%']", ["x%"]),
        ("NULL", None),
    ],
    "flag": [("true", True), ("false", False), ("NULL", None)],
    "n": [("7", 7), ("-9223372036854775808", -(2**63)), ("0", 0), ("NULL", None)],
}
KINDS = {
    "tenant": "string",
    "amount": "decimal",
    "at": "time",
    "ip": "ip",
    "tags": "strings",
    "flag": "boolean",
    "n": "integer",
}
MS = 1767225600000  # 2026-01-01


@dataclass(frozen=True)
class Row:
    """A row: which value of its pool each column has."""

    picks: tuple[int, ...]

    def sql(self, column: str) -> str:
        return VALUES[column][self.picks[list(VALUES).index(column)]][0]

    @property
    def json(self) -> dict[str, Any]:
        return {column: VALUES[column][pick][1] for column, pick in zip(VALUES, self.picks, strict=True)}

    def with_values(self, changes: dict[str, int]) -> Row:
        return Row(tuple(changes.get(column, pick) for column, pick in zip(VALUES, self.picks, strict=True)))


NULLS = Row(tuple(len(pool) - 1 for pool in VALUES.values()))
rows = st.builds(Row, st.tuples(*(st.integers(0, len(pool) - 1) for pool in VALUES.values())))


def span(low: int, high: int) -> st.SearchStrategy[tuple[int | None, int | None]]:
    """A range within bounds, some of them open."""
    ends = st.tuples(st.none() | st.integers(low, high), st.none() | st.integers(low, high))
    return ends.map(lambda pair: pair if None in pair or pair[0] <= pair[1] else (pair[1], pair[0]))


TESTS: dict[str, st.SearchStrategy[Any]] = {
    "tenant": st.one_of(
        st.lists(st.sampled_from(["acme", "globex", "a*", "*e", "a_e", "A%", "*", "it's \\", ""]), max_size=3).map(
            lambda globs: Texts(tuple(globs))
        ),
        st.just(Claim("tenant")),
    ),
    "amount": st.lists(span(-40_000, 60_000), max_size=2).map(lambda spans: Spans(tuple(spans))),
    "at": st.lists(span(MS - 8_000_000, MS + 10), max_size=2).map(lambda spans: Spans(tuple(spans))),
    "ip": st.lists(
        st.sampled_from(
            [(10 << 24, (11 << 24) - 1), (0, None), (None, 2**32 - 1), (2**32, None), (2**32 + 1, 2**32 + 5)]
        ),
        max_size=2,
    ).map(lambda spans: Spans(tuple(spans))),
    "tags": st.lists(st.sampled_from(["a", "b", "*", "x%", "x*"]), max_size=2).map(lambda globs: Subset(tuple(globs))),
    "flag": st.sampled_from([Spans(((0, 0),)), Spans(((1, 1),)), Spans(((0, 1),)), Spans(())]),
    "n": st.one_of(st.lists(span(-3, 9), max_size=2).map(lambda spans: Spans(tuple(spans))), st.just(Claim("n"))),
}


def conditions(place: str) -> st.SearchStrategy[tuple[Condition, ...]]:
    """Up to two tests of columns."""

    def test(column: str) -> st.SearchStrategy[Condition]:
        tests = TESTS[column] | st.sampled_from([Present(True), Present(False)])
        return tests.map(lambda test: Condition((place, column), KINDS[column], test))  # type: ignore[arg-type]

    return st.lists(st.sampled_from(list(VALUES)).flatmap(test), max_size=2).map(tuple)


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """One scope of the table."""
    verb = draw(st.sampled_from(["read", "read", "insert", "update", "delete"]))
    found: tuple[Condition, ...] = ()
    if verb != "delete":
        names = draw(st.none() | st.lists(st.sampled_from(["id", *VALUES]), min_size=1, max_size=4, unique=True))
        found += () if names is None else (Condition(("columns",), "strings", Subset(tuple(names))),)
    if verb != "insert":
        found += draw(conditions("rows"))
    if verb in {"insert", "update"}:
        found += draw(conditions("set"))
    return Grant(f"g{draw(st.integers(0, 99))}", "crm", verb, TABLE, "agent.yaml:9", found)


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with server() as uri:
        with connect(uri) as admin:
            admin.execute("CREATE SCHEMA crm")
            columns = "tenant text, amount numeric, at timestamptz, ip inet, tags text[], flag boolean, n bigint"
            admin.execute(f"CREATE TABLE crm.tickets (id int, {columns})")
        yield uri
        with connect(uri) as admin:
            admin.execute("DROP SCHEMA crm CASCADE")


class Undo(Exception):
    """Ends a transaction without a trace."""


def attempt(connection: Any, statement: str, *, fetch: bool = False) -> list[tuple[Any, ...]] | int | None:
    """Rows, or the number of rows touched; None where it is refused. What it changed stays."""
    try:
        with connection.transaction():
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if fetch else int(cursor.rowcount)
    except psycopg.errors.InsufficientPrivilege:
        return None


class Database:
    """The table with some rows, and the agent's login in the same session (`session_user` and process are its own)."""

    def __init__(self, admin: Any, scopes: ScopeSet) -> None:
        self.admin = admin
        self.scopes = scopes
        found = possible(rights(scopes, "crm")[0])
        self.groups = groups(found)

    def targets(self, verb: str) -> list[str]:
        """Where the agent addresses a verb: the table, or its views."""
        group = self.groups.get((TABLE, verb), ())
        return [self._view(right) for right in group] if group and multiplies(group) else [TABLE]

    def _view(self, right: Right) -> str:
        return f'"{view_name(OWNER, right)}"'

    def fill(self, rows: Sequence[Row]) -> None:
        self.admin.execute("DELETE FROM crm.tickets")
        for number, row in enumerate(rows):
            values = ", ".join(row.sql(column) for column in VALUES)
            self.admin.execute(f"INSERT INTO crm.tickets VALUES ({number}, {values})")

    def as_agent(self, statement: str, *, fetch: bool = False) -> Any:
        self.admin.execute(f'SET SESSION AUTHORIZATION "{OWNER.login}"')
        self.admin.execute(f'SET search_path = "{OWNER.schema}"')
        present(self.admin, OWNER, claims=SESSION_CLAIMS)
        try:
            return attempt(self.admin, statement, fetch=fetch)
        finally:
            self.admin.execute("RESET SESSION AUTHORIZATION")

    def any_of(self, verb: str, template: str) -> bool:
        """Whether some place lets the statement change a row; whatever it changed is undone."""
        for target in self.targets(verb):
            try:
                with self.admin.transaction():
                    if self.as_agent(template.replace("@", target)):
                        raise Undo
            except Undo:
                return True
            except (psycopg.errors.UndefinedColumn, psycopg.errors.SyntaxError):
                continue
        return False

    def allows(
        self, verb: str, row: Row | None, columns: Sequence[str] = (), new: Row | None = None, id: int = 0
    ) -> bool:
        args: dict[str, Any] = {"columns": list(columns)} if verb != "delete" else {}
        args |= {"rows": {**row.json, "id": id}} if row else {}
        args |= {"set": {**new.json, "id": id}} if new else {}
        request = Request("crm", "query", verb, TABLE, session=SESSION_CLAIMS, args=args)
        return decide(self.scopes, request).allowed


def check_reads(database: Database, rows: Sequence[Row], columns: Sequence[str]) -> None:
    database.fill(rows)
    seen: set[int] = set()
    for target in database.targets("read"):
        try:
            found = database.as_agent(
                f"SELECT {', '.join(f'{c} IS NULL' for c in columns)}, id FROM {target}", fetch=True
            )
        except psycopg.errors.UndefinedColumn:
            continue
        seen |= {row[-1] for row in found or ()}
    wanted = {n for n, row in enumerate(rows) if database.allows("read", row, [*columns, "id"], id=n)}
    assert seen == wanted


def check_inserts(database: Database, row: Row, columns: Sequence[str]) -> None:
    database.fill([])
    values = ", ".join(row.sql(column) for column in columns)
    done = database.any_of("insert", f"INSERT INTO @ ({', '.join(columns)}) VALUES ({values})")
    new = NULLS.with_values({c: row.picks[list(VALUES).index(c)] for c in columns})
    assert done == database.allows("insert", None, columns, new)


def check_updates(database: Database, row: Row, other: Row, columns: Sequence[str]) -> None:
    database.fill([row])
    new = row.with_values({c: other.picks[list(VALUES).index(c)] for c in columns})
    said = ", ".join(f"{column} = {other.sql(column)}" for column in columns)
    done = database.any_of("update", f"UPDATE @ SET {said}")
    allowed = database.allows("update", row, columns, new)
    assert done == allowed
    if database.targets("read") == database.targets("update") == [TABLE]:
        named = database.any_of("update", f"UPDATE @ SET {said} WHERE id = 0")
        assert named == (allowed and database.allows("read", row, ["id"]) and database.allows("read", new, ["id"]))


def check_deletes(database: Database, row: Row) -> None:
    database.fill([row])
    assert database.any_of("delete", "DELETE FROM @") == database.allows("delete", row)


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.lists(grants(), min_size=1, max_size=5), st.lists(rows, min_size=3, max_size=6), st.data())
def test_postgres_decides_as_the_model(uri: str, found: list[Grant], some: list[Row], data: st.DataObject) -> None:
    """For random scopes, rows and statements the server lets through what decide allows, and reads back equal."""
    scopes = ScopeSet(tuple(found))
    lists = st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=2, unique=True)
    granted = [
        c.test.globs for g in found for c in g.conditions if isinstance(c.test, Subset) and c.path == ("columns",)
    ]
    near = st.sampled_from([tuple(n for n in names if n != "id") or ("n",) for names in granted] or [("tenant",)])
    with connect(uri) as admin:
        try:
            with admin.transaction():
                apply(admin, scopes, OWNER)
                assert validate(scopes, OWNER, catalog(admin, OWNER)) == ()
                database = Database(admin, scopes)
                for _ in range(2):
                    columns = list(data.draw(lists | near))
                    check_reads(database, some, columns)
                    for row, other in itertools.pairwise(some[:3]):
                        check_updates(database, row, other, columns)
                        check_inserts(database, row, columns)
                        check_deletes(database, row)
                raise Undo
        except Undo:
            pass


EDGES: dict[str, list[Any]] = {
    "tenant": [
        Texts(("acme",)),
        Texts(("a*",)),
        Texts(("a_e*",)),
        Texts(("*_e",)),
        Texts(("A%*",)),
        Texts(("",)),
        Claim("tenant"),
    ],
    "amount": [Spans(((0, 60_000),)), Spans(((1, 1),)), Spans(((None, 0),)), Spans(((-35_000, None),)), Present(True)],
    "at": [Spans(((MS, MS + 1),)), Spans(((None, MS + 1),)), Spans(((MS - 8_000_000, None),)), Present(True)],
    "ip": [Spans(((10 << 24, (11 << 24) - 1),)), Spans(((2**32, None),)), Spans(((None, 2**32 - 1),)), Present(True)],
    "tags": [Subset(("a", "b")), Subset(("*",)), Subset(("x%",)), Subset(()), Present(True)],
    "flag": [Spans(((0, 0),)), Spans(((1, 1),)), Present(True)],
    "n": [Spans(((None, 0),)), Spans(((7, 7),)), Claim("n"), Present(True), Present(False)],
}


@pytest.mark.parametrize("column", list(VALUES))
def test_every_value_against_every_test(uri: str, column: str) -> None:
    """Odd values (infinity, a network, null in a list, finer times) pass exactly where decide lets them."""
    values = [NULLS.with_values({column: pick}) for pick in range(len(VALUES[column]))]
    with connect(uri) as admin:
        for test in EDGES[column]:
            found = Condition(("rows", column), KINDS[column], test)  # type: ignore[arg-type]
            scopes = ScopeSet((Grant("g", "crm", "read", TABLE, "agent.yaml:9", (found,)),))
            with contextlib.suppress(Undo), admin.transaction():
                apply(admin, scopes, OWNER)
                assert validate(scopes, OWNER, catalog(admin, OWNER)) == ()
                check_reads(Database(admin, scopes), values, [column])
                raise Undo
