"""What an agent with raw SQL tries on a real PostgreSQL, and what the catalog says once somebody changed something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.access import Claim, Condition, Grant, ScopeSet, Spans, Subset, Texts
from bedplate.access.postgres import Owner, compile, removal, validate, viewers
from bedplate.problems import BedplateError
from postgres_support import apply, catalog, connect, present, psycopg, server

ATTACKS = yaml.safe_load(Path(__file__).with_name("cases").joinpath("access/postgres/attacks.yaml").read_text())
OWNER = Owner("support", "prod", "crm", "postgres")
TABLE = "crm.tickets"


def grant(
    verb: str, columns: tuple[str, ...] | None, *conditions: Condition, id: str = "", table: str = TABLE
) -> Grant:
    named = () if columns is None else (Condition(("columns",), "strings", Subset(columns)),)
    return Grant(id or verb, "crm", verb, table, "agent.yaml:7", (*named, *conditions))


TENANT = Condition(("rows", "tenant"), "string", Claim("tenant"))
STATUS = Condition(("set", "status"), "string", Texts(("open", "closed")))
READ = grant("read", ("id", "tenant", "body", "status"), TENANT)
SCOPES = ScopeSet((READ, grant("update", ("status",), TENANT, STATUS)))


@pytest.fixture
def admin(uri: str) -> Iterator[Any]:
    """A superuser's connection to a table with three tickets and the agent's access; all of it is gone afterwards."""
    with connect(uri) as connection:
        connection.execute(
            """CREATE SCHEMA crm; GRANT USAGE ON SCHEMA crm TO PUBLIC;
            CREATE TABLE crm.tickets (id int, tenant text, body text, status text, email text);
            INSERT INTO crm.tickets VALUES (1, 'acme', 'a', 'open', 'a@a'), (2, 'acme', 'b', 'open', 'b@a'),
              (3, 'globex', 'c', 'open', 'c@g'); ANALYZE crm.tickets;
            CREATE TABLE crm.payroll (id int);
            CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
              AS 'SELECT email FROM crm.tickets'"""
        )
        apply(connection, SCOPES, OWNER)
        yield connection
        connection.execute("DROP SCHEMA crm CASCADE")
        connection.execute(removal(OWNER, viewers(OWNER, catalog(connection, OWNER))).text)


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with server() as uri:
        yield uri


def agent(uri: str, **token: Any) -> Any:
    connection = connect(uri, OWNER.login)
    present(connection, OWNER, **{"claims": {"tenant": "acme"}, **token})
    return connection


def ids(connection: Any) -> list[int]:
    return sorted(row[0] for row in connection.execute("SELECT id FROM crm.tickets").fetchall())


def outcome(connection: Any, statement: str) -> dict[str, Any]:
    """What a statement, or the last of several, comes to; in the words of the cases."""
    try:
        cursor = connection.execute(statement.encode())
        while cursor.nextset():
            pass
        return (
            {"rows": [list(row) for row in cursor.fetchall()]} if cursor.description else {"touched": cursor.rowcount}
        )
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile):
        return {"denied": True}


def test_attacks(uri: str, admin: Any) -> None:
    """No statement of the agent reaches a row, column, value or object that its scopes do not give."""
    wrong = {}
    for case in ATTACKS:
        with agent(uri) as connection:
            words = {"login": OWNER.login, "schema": OWNER.schema, "pid": str(connection.info.backend_pid)}
            statement = case["do"]
            for word, value in words.items():
                statement = statement.replace(f"{{{word}}}", value)
            found = outcome(connection, statement)
        expected = {key: case[key] for key in ("rows", "denied", "touched") if key in case}
        if found != expected:
            wrong[case["say"]] = found
    assert wrong == {}
    assert validate(SCOPES, OWNER, catalog(admin, OWNER)) == ()


def test_a_token_is_for_one_login_one_connection_and_a_time(uri: str, admin: Any) -> None:
    """A valid token shows rows; one that is expired, another login's or another connection's shows none."""
    with agent(uri) as first:
        assert ids(first) == [1, 2]
        with agent(uri, pid=first.info.backend_pid) as second:
            assert ids(second) == []
    for token in ({"expires": time.time() - 1}, {"role": "postgres"}, {"claims": {}}, {"key": b"x" * 32}):
        with agent(uri, **token) as connection:
            assert ids(connection) == [], token


def test_without_a_key_no_token_counts(uri: str, admin: Any) -> None:
    """Before the key is stored, or once it is gone, nobody can sign anything."""
    admin.execute(f'DELETE FROM "{OWNER.schema}".keys'.encode())
    with agent(uri) as connection:
        assert ids(connection) == []


def test_others_keep_what_they_had(uri: str, admin: Any) -> None:
    """Row-level security that the compiler switches on changes nothing for roles that have privileges on the table."""
    other = Owner("later", "prod", "crm", "postgres")
    admin.execute("CREATE ROLE app LOGIN; CREATE ROLE part LOGIN; CREATE TABLE crm.orders (id int, total int)")
    admin.execute("INSERT INTO crm.orders VALUES (1, 10), (2, 20); GRANT USAGE ON SCHEMA crm TO app, part")
    admin.execute("GRANT SELECT, UPDATE ON crm.orders TO app; GRANT SELECT (id) ON crm.orders TO part")
    scopes = ScopeSet((grant("read", ("id",), table="crm.orders"),))
    apply(admin, scopes, other)
    try:
        assert validate(scopes, other, catalog(admin, other)) == ()
        with connect(uri, "app") as app, connect(uri, "part") as part:
            assert app.execute("UPDATE crm.orders SET total = 0").rowcount == 2
            assert len(part.execute("SELECT id FROM crm.orders").fetchall()) == 2
    finally:
        admin.execute(removal(other).text)
        admin.execute("DROP OWNED BY app, part; DROP ROLE app, part")


def test_names_and_values_are_never_read_as_sql(uri: str, admin: Any) -> None:
    """Quotes, backslashes and stars in names, values and ids stay what they are."""
    name = 'odd"; DROP SCHEMA crm; --'
    value = "'; DROP TABLE crm.tickets; -- \\' %_"
    quoted = '"' + name.replace('"', '""') + '"'
    admin.execute(f"CREATE TABLE crm.{quoted} ({quoted} text)".encode())
    admin.execute(f"INSERT INTO crm.{quoted} VALUES (%s), ('x')".encode(), (value,))
    other = Owner("a'b", 's"t', "crm", "postgres")
    odd = Condition(("rows", name), "string", Texts((value,)))
    scopes = ScopeSet((grant("read", (name,), odd, id="'\"; DROP ROLE postgres", table=f"crm.{name}"),))
    apply(admin, scopes, other)
    try:
        assert validate(scopes, other, catalog(admin, other)) == ()
        with connect(uri, other.login) as connection:
            assert connection.execute(f"SELECT * FROM crm.{quoted}".encode()).fetchall() == [(value,)]
    finally:
        admin.execute(removal(other).text)


DRIFT = {
    "CREATE POLICY x ON crm.tickets AS RESTRICTIVE FOR SELECT USING (true)": "narrows",
    "CREATE POLICY x ON crm.tickets FOR SELECT USING (id >= 1.5)": "another shape",
    "CREATE POLICY x ON crm.tickets FOR SELECT USING (id::int8 >= 1)": "another shape",
    "CREATE POLICY x ON crm.tickets FOR SELECT USING (body LIKE 'a_')": "another shape",
    "GRANT SELECT (email) ON crm.tickets TO PUBLIC": "read crm.tickets (body, email, id, status, tenant)",
    f'GRANT DELETE ON crm.tickets TO "{OWNER.role}"; CREATE POLICY x ON crm.tickets FOR DELETE USING (true)': "delete",
    "CREATE POLICY x ON crm.tickets FOR SELECT USING (true)": "read crm.tickets",
    "CREATE POLICY x ON crm.tickets FOR SELECT USING (length(body) > 3)": "another shape",
    "CREATE POLICY x ON crm.tickets FOR SELECT USING ((id)::text = ANY (ARRAY['1']))": "rows.id",
    "ALTER TABLE crm.tickets NO FORCE ROW LEVEL SECURITY": "read crm.tickets",
    "GRANT SELECT ON crm.payroll TO PUBLIC": "read crm.payroll (all columns)",
    "GRANT EXECUTE ON FUNCTION crm.all_emails() TO PUBLIC": "crm.all_emails",
    f'ALTER ROLE "{OWNER.login}" BYPASSRLS': "attributes",
    f'GRANT pg_read_all_data TO "{OWNER.login}"': "member of",
    f'GRANT CREATE ON SCHEMA crm TO "{OWNER.role}"': "create things",
    "GRANT TEMPORARY ON DATABASE postgres TO PUBLIC": "create things",
    f'ALTER FUNCTION "{OWNER.schema}".claim(text) SECURITY INVOKER': "was changed",
    "ALTER TABLE crm.tickets ALTER tenant TYPE char(9) USING tenant": "cannot",
    f"ALTER POLICY \"{OWNER.role}.read.0.read\" ON crm.tickets USING (tenant = 'acme')": "another shape",
    f'REVOKE SELECT (body) ON crm.tickets FROM "{OWNER.role}"': "does not allow",
    f'DROP POLICY "{OWNER.role}.read.0.read" ON crm.tickets': "does not allow",
}


@pytest.mark.parametrize("change", list(DRIFT))
def test_drift_is_found(uri: str, admin: Any, change: str) -> None:
    """Whatever gives the agent more, or less, than its scopes is a difference, by whichever way it came."""
    try:
        admin.execute(change.encode())
    except psycopg.errors.FeatureNotSupported:
        assert DRIFT[change] == "cannot"  # the server itself does not let it happen
        return
    try:
        found = validate(SCOPES, OWNER, catalog(admin, OWNER))
        assert any(DRIFT[change] in difference.text for difference in found), found
    finally:
        admin.execute("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")


def test_a_column_whose_type_reads_otherwise_is_a_difference(uri: str, admin: Any) -> None:
    """A condition holds only for columns whose values are exactly of its kind."""
    admin.execute("ALTER TABLE crm.tickets ADD amount float8")
    scopes = ScopeSet((grant("read", ("id",), Condition(("rows", "amount"), "decimal", Spans(((0, 10),)))),))
    other = Owner("other", "prod", "crm", "postgres")
    apply(admin, scopes, other)
    try:
        found = [difference.text for difference in validate(scopes, other, catalog(admin, other))]
        assert found == ["crm.tickets.amount is double precision, which is not read exactly as decimal"]
    finally:
        admin.execute(removal(other).text)


def test_columns_and_rows_do_not_multiply(uri: str, admin: Any) -> None:
    """Two grants that differ in columns and rows give each its own cells, through views."""
    other = Owner("views", "prod", "crm", "postgres")
    acme, globex = (Condition(("rows", "tenant"), "string", Texts((name,))) for name in ("acme", "globex"))
    scopes = ScopeSet((grant("read", ("id", "status"), acme), grant("read", ("id", "email"), globex, id="two")))
    apply(admin, scopes, other)
    try:
        rows = catalog(admin, other)
        assert validate(scopes, other, rows) == ()
        with connect(uri, other.login) as connection:
            names = [r["relation"] for r in rows["relations"] if r["kind"] == "v" and r["role"] == other.login]
            seen = [sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names]
            assert sorted(seen) == [[(1, "open"), (2, "open")], [(3, "c@g")]]
            assert outcome(connection, "SELECT id FROM crm.tickets") == {"denied": True}
    finally:
        admin.execute(removal(other, viewers(other, catalog(admin, other))).text)


@pytest.mark.parametrize("columns", [("status",), ("status", "tenant")])
def test_old_and_new_values_do_not_multiply(uri: str, admin: Any, columns: tuple[str, ...]) -> None:
    """Of two update scopes each row takes the values of its own, where the tenant is fixed and where it may change."""
    other = Owner("updates", "prod", "crm", "postgres")

    def update(tenant: str, status: str) -> Grant:
        row, value = (
            Condition(path, "string", Texts((to,)))
            for path, to in ((("rows", "tenant"), tenant), (("set", "status"), status))
        )
        return grant("update", columns, row, value, id=tenant)

    scopes = ScopeSet((update("acme", "open"), update("globex", "closed"), grant("read", ("id",))))
    apply(admin, scopes, other)
    try:
        rows = catalog(admin, other)
        assert validate(scopes, other, rows) == ()
        views = [r["relation"] for r in rows["relations"] if r["kind"] == "v" and r["role"] == other.login]
        assert len(views) == (2 if "tenant" in columns else 0)
        with connect(uri, other.login) as connection:
            for name in views or ["crm.tickets"]:
                place = name if "." in name else f'"{name}"'
                for status in ("open", "closed"):
                    outcome(connection, f"UPDATE {place} SET status = '{status}'")
                    if not views:
                        for id in (1, 3):
                            outcome(connection, f"UPDATE {place} SET status = '{status}' WHERE id = {id}")
        seen = admin.execute("SELECT DISTINCT tenant, status FROM crm.tickets ORDER BY 1").fetchall()
        assert seen == [("acme", "open"), ("globex", "closed")]
    finally:
        admin.execute(removal(other, viewers(other, catalog(admin, other))).text)


def test_lines_name_their_grants() -> None:
    """Each statement that serves one grant carries its id and its line in the manifest."""
    (artefact,) = compile(SCOPES, OWNER).artefacts
    policies = [line for line in artefact.lines if line.text.startswith('CREATE POLICY "')]
    assert [(line.grant, line.where) for line in policies] == [("read", "agent.yaml:7"), ("update", "agent.yaml:7")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (grant("read", ("id",), table="tickets"), "not one table"),
        (grant("read", ("id",), table="crm.*"), "not one table"),
        (grant("read", ("i*",)), "names of columns"),
        (grant("call", None), "no verb call"),
        (grant("insert", ("id",), TENANT), "no rows to test"),
        (grant("delete", None, STATUS), "sets no columns"),
    ],
)
def test_what_has_no_meaning_in_sql_is_an_error(wrong: Grant, said: str) -> None:
    """A scope that PostgreSQL cannot hold is refused by name, never compiled to something near it."""
    with pytest.raises(BedplateError) as caught:
        compile(ScopeSet((wrong,)), OWNER)
    assert caught.value.problems[0].code == "BP850"
    assert said in caught.value.problems[0].summary


def test_an_owner_who_is_no_superuser_can_apply_it(uri: str) -> None:
    """The statements need no superuser: the owner of the database with CREATEROLE is enough, and keeps its own rows."""
    owner = Owner("plain", "prod", "crm", "shop")
    with connect(uri) as admin:
        admin.execute("CREATE ROLE dba LOGIN CREATEROLE")
        admin.execute("CREATE DATABASE shop OWNER dba")
        try:
            with connect(uri, "dba", "shop") as dba:
                _applies_and_removes(dba, owner)
        finally:
            admin.execute("DROP DATABASE shop")
            admin.execute("DROP ROLE dba")


def _applies_and_removes(dba: Any, owner: Owner) -> None:
    dba.execute(
        """CREATE SCHEMA crm; CREATE TABLE crm.tickets (id int, tenant text, body text, status text, email text);
        INSERT INTO crm.tickets VALUES (1, 'acme'), (2, 'globex')"""
    )
    found = (READ, grant("read", ("id", "email"), Condition(("rows", "id"), "integer", Spans(((2, 2),))), id="two"))
    scopes = ScopeSet(found)
    apply(dba, scopes, owner)
    assert validate(scopes, owner, catalog(dba, owner)) == ()
    assert ids(dba) == [1, 2]
    dba.execute(removal(owner, viewers(owner, catalog(dba, owner))).text)
    left = dba.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'bedplate_plain')").fetchall()
    assert left == []
