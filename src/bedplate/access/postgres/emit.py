"""The scopes of a sql tool as PostgreSQL statements. Pure: statements are values, and whoever applies them connects.

They are meant for one transaction by a superuser, or by the tables' owner with CREATEROLE: run them, read back
(`read.validate`), store the key (`claims.store_key`), give the login its password, and commit only where the catalog
says what the scopes say. They start from a database without this owner's roles; `removal` takes all of them away again.

What every user of the database notices: PUBLIC loses what it has on the tables named, the routines in their schemas,
CREATE in their schemas and temporary tables. Row-level security is forced on the tables; where there was none before,
the policy `bedplate_others` lets the owner and all who have privileges then do what they could; whoever gets some later
is added to it by `ALTER POLICY`. An update or delete that names its rows reads them, so it finds
none without a read scope on the table itself: views (`rights.multiplies`) serve reads, inserts and updates of all rows.

What no grant of PostgreSQL takes from a login: it sees the names in the catalog, may change its own password and
settings, use large objects, advisory locks and notifications, and learns from a unique index that a value exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bedplate.access.artefacts import Artefact, Compiled, Line
from bedplate.access.model import ScopeSet
from bedplate.access.postgres import claims
from bedplate.access.postgres.expressions import Unwritable, both, expression
from bedplate.access.postgres.names import PREFIX, Owner, ident, literal, policy_name, table
from bedplate.access.postgres.normal import possible
from bedplate.access.postgres.rights import (
    VERBS,
    Columned,
    Right,
    changing,
    groups,
    multiplies,
    refused,
    rights,
)
from bedplate.problems import BedplateError, Problem

OTHERS = "bedplate_others"
"""The policy that leaves everybody else as they were."""
SETTINGS = {"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "60s"}
"""What the login starts with. It can change these itself: they guard against mistakes, not against malice."""
CONNECTIONS = 16


def compile(scopes: ScopeSet, owner: Owner) -> Compiled:
    """The statements that give `owner` exactly its scopes. Raises BedplateError (BP850) for what has no form in SQL."""
    found, left = rights(scopes, owner.tool, owner.prefix)
    together = groups(possible(found))
    problems: list[Problem] = []
    lines = [*_roles(owner), *_schema(owner), *_tables(owner, together)]
    for group in together.values():
        lines += _group(owner, group, problems)
    if problems:
        raise BedplateError(*problems)
    return Compiled((Artefact("postgres", f"{owner.role}.sql", tuple(lines), "application/sql"),), left)


def removal(owner: Owner, views: Iterable[str] = ()) -> Artefact:
    """The statements that take everything of `owner` away. `views` are roles that own views (`read.viewers`)."""
    roles = [owner.login, owner.role, *views, owner.keeper]
    lines = [Line(f"GRANT {ident(role)} TO CURRENT_USER;") for role in roles]  # or its things are not ours to drop
    lines += [Line(f"DROP OWNED BY {ident(role)} CASCADE;") for role in roles]
    lines += [Line(f"DROP ROLE {ident(role)};") for role in roles]
    return Artefact("postgres", f"{owner.role}.remove.sql", tuple(lines), "application/sql")


def _roles(owner: Owner) -> Iterator[Line]:
    role, login, keeper = ident(owner.role), ident(owner.login), ident(owner.keeper)
    yield Line(f"CREATE ROLE {role} NOLOGIN;")
    yield Line(f"CREATE ROLE {keeper} NOLOGIN;")
    yield Line(f"CREATE ROLE {login} LOGIN CONNECTION LIMIT {CONNECTIONS};")
    yield Line(f"GRANT {role} TO {login};")
    yield Line(f"GRANT {keeper} TO CURRENT_USER;")
    yield Line(f"ALTER ROLE {login} SET search_path = {ident(owner.schema)};")
    for name, value in SETTINGS.items():
        yield Line(f"ALTER ROLE {login} SET {name} = {literal(value)};")


def _schema(owner: Owner) -> Iterator[Line]:
    schema, database = ident(owner.schema), ident(owner.database)
    yield Line(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;")
    yield Line(f"GRANT CONNECT ON DATABASE {database} TO {ident(owner.role)};")
    yield Line(f"CREATE SCHEMA {schema} AUTHORIZATION {ident(owner.keeper)};")
    yield Line(f"GRANT USAGE ON SCHEMA {schema} TO {ident(owner.role)};")
    for statement in claims.statements(owner):
        yield from (Line(text) for text in statement.splitlines())


def _tables(owner: Owner, together: dict[tuple[str, str], tuple[Right, ...]]) -> Iterator[Line]:
    """What each table and its schema need once. The first grant of a table is named as the reason."""
    first: dict[str, Right] = {}
    for (name, _), group in together.items():
        first.setdefault(name, group[0])
    schemas: dict[str, Right] = {}
    for name, right in first.items():
        schemas.setdefault(name.partition(".")[0], right)
    for schema, right in schemas.items():
        for text in (
            f"REVOKE CREATE ON SCHEMA {ident(schema)} FROM PUBLIC;",
            f"REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA {ident(schema)} FROM PUBLIC;",
            f"GRANT USAGE ON SCHEMA {ident(schema)} TO {ident(owner.role)};",
        ):
            yield _line(right, text)
    for name, right in first.items():
        for text in _secured(name):
            yield _line(right, text)


def _secured(name: str) -> Iterator[str]:
    yield f"DO {literal(_others(table(name)))};"
    yield f"REVOKE ALL ON TABLE {table(name)} FROM PUBLIC;"
    yield f"ALTER TABLE {table(name)} ENABLE ROW LEVEL SECURITY;"
    yield f"ALTER TABLE {table(name)} FORCE ROW LEVEL SECURITY;"


def _others(quoted: str) -> str:
    """Named one by one: a policy for PUBLIC would be the agent's too, and keep its queries from using indexes."""
    grantees = (
        "SELECT c.relowner AS id UNION SELECT (aclexplode(c.relacl)).grantee "
        "UNION SELECT (aclexplode(a.attacl)).grantee FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid"
    )
    return (
        "DECLARE who text; BEGIN "
        "SELECT string_agg(DISTINCT quote_ident(r.rolname), ', ') INTO who FROM pg_catalog.pg_class c, "
        f"LATERAL ({grantees}) g JOIN pg_catalog.pg_roles r ON r.oid = g.id "
        f"WHERE c.oid = {literal(quoted)}::regclass AND NOT c.relrowsecurity "
        f"AND NOT starts_with(r.rolname::text, {literal(PREFIX)}); "
        f"IF who IS NOT NULL THEN EXECUTE {literal(f'CREATE POLICY {OTHERS} ON {quoted} TO ')} || who || "
        "' USING (true) WITH CHECK (true)'; END IF; END"
    )


def _group(owner: Owner, group: Sequence[Right], problems: list[Problem]) -> Iterator[Line]:
    views = multiplies(group)
    for number, right in enumerate(group):
        try:
            policy = _policy(owner, right, group, number, owner.viewer(view_key(right)) if views else owner.role)
        except Unwritable as error:
            problems.append(refused(right.grant, str(error)))
            continue
        statements = _view(owner, right, policy) if views else (_privilege(right, owner.role), policy)
        yield from (_line(right, text) for text in statements)


def view_key(right: Right) -> str:
    """What tells the view of one right from all others of its owner, and stays the same when grants are reordered."""
    return repr(
        (
            right.verb,
            right.table,
            right.columns,
            [(column, c.kind, c.test) for column, c in right.rows],
            [(column, c.kind, c.test) for column, c in right.sets],
        )
    )


def _view(owner: Owner, right: Right, policy: str) -> Iterator[str]:
    """One right by itself: a role with its column grants and its policy, and a view that has that role's rights."""
    viewer = ident(owner.viewer(view_key(right)))
    view = f"{ident(owner.schema)}.{ident(view_name(owner, right))}"
    columns = "*" if right.columns is None else ", ".join(map(ident, right.columns))
    yield f"CREATE ROLE {viewer} NOLOGIN;"
    yield f"GRANT {viewer} TO CURRENT_USER;"
    yield f"GRANT USAGE ON SCHEMA {ident(right.table.partition('.')[0])} TO {viewer};"
    yield f"GRANT USAGE, CREATE ON SCHEMA {ident(owner.schema)} TO {viewer};"
    yield _privilege(right, owner.viewer(view_key(right)))
    yield policy
    yield f"CREATE VIEW {view} WITH (security_barrier) AS SELECT {columns} FROM {table(right.table)};"
    yield f"ALTER VIEW {view} OWNER TO {viewer};"
    yield f"GRANT {VERBS[right.verb]} ON {view} TO {ident(owner.role)};"


def view_name(owner: Owner, right: Right) -> str:
    """The view's name in the owner's schema: `tickets_read_` and 12 hex digits of its role."""
    start = right.table.partition(".")[2].encode()[:40].decode(errors="ignore")
    return f"{start}_{right.verb}_{owner.viewer(view_key(right)).rpartition('_')[2]}"


def _privilege(right: Right, role: str) -> str:
    columns = "" if right.columns is None else f" ({', '.join(map(ident, right.columns))})"
    return f"GRANT {VERBS[right.verb]}{columns} ON TABLE {table(right.table)} TO {ident(role)};"


def _policy(owner: Owner, right: Right, group: Sequence[Right], number: int, role: str) -> str:
    name = ident(policy_name(owner, right.verb, right.grant.id, number))
    head = f"CREATE POLICY {name} ON {table(right.table)} FOR {VERBS[right.verb]} TO {ident(role)}"
    rows, sets = _all(owner, right.rows), _all(owner, right.sets)
    match right.verb:
        case "insert":
            return f"{head} WITH CHECK ({sets});"
        case "update":
            # Where they cannot change, the columns that chose the row tie its old values to the new ones.
            tied = (*right.rows, *right.sets) if multiple(group) and not changing(group) else right.sets
            return f"{head} USING ({rows}) WITH CHECK ({_all(owner, tied)});"
        case _:
            return f"{head} USING ({rows});"


def multiple(group: Sequence[Right]) -> bool:
    """Whether policies of one role stand side by side."""
    return len(group) > 1 and not multiplies(group)


def _all(owner: Owner, tests: Sequence[Columned]) -> str:
    return both([expression(condition, column, owner) for column, condition in tests])


def _line(right: Right, text: str) -> Line:
    return Line(text, right.grant.id, right.grant.where)
