"""What to ask the catalog so that `read` can tell what an owner's roles really may do. Pure: a caller fetches the rows.

Run `SESSION` first, in the same transaction: how PostgreSQL prints expressions depends on it. Every query gives rows by
column name; `Catalog` holds them by the query's name. Only effective privileges are asked for, so it does not matter
whether a right comes from a grant, from PUBLIC or from a membership.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from bedplate.access.postgres.names import Owner, literal

Row: TypeAlias = Mapping[str, Any]
Catalog: TypeAlias = Mapping[str, Sequence[Row]]

SESSION: Final = (
    "SET LOCAL search_path = pg_catalog",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL standard_conforming_strings = on",
)
_OWN = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'"
_RELATION = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_COLUMN = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
_ROLES = """
SELECT r.rolname::text AS role, r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
  AS mighty, r.rolcanlogin AS login, ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g
  ON g.oid = m.roleid WHERE m.member = r.oid) AS member_of
FROM pg_roles r WHERE {mine}"""
_RELATIONS = """
SELECT r.rolname::text AS role, n.nspname::text AS schema, c.relname::text AS relation, c.relkind::text AS kind,
  pg_get_userbyid(c.relowner)::text AS owner, c.relrowsecurity AND c.relforcerowsecurity AS secured,
  coalesce('security_barrier=true' = ANY (c.reloptions), false) AS barrier,
  CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END AS definition,
  ARRAY(SELECT p FROM unnest({relation}) p WHERE has_table_privilege(r.oid, c.oid, p)) AS whole,
  ARRAY(SELECT p FROM unnest({column}) p WHERE has_any_column_privilege(r.oid, c.oid, p)) AS partly
FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {mine} AND {own} AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
  AND (has_any_column_privilege(r.oid, c.oid, '{any_column}') OR has_table_privilege(r.oid, c.oid, '{any_relation}'))"""
_COLUMNS = """
SELECT r.rolname::text AS role, n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS name,
  format_type(a.atttypid, NULL)::text AS type, t.typtype::text AS sort, coalesce(l.collisdeterministic, true) AS exact,
  ARRAY(SELECT p FROM unnest({column}) p WHERE has_column_privilege(r.oid, c.oid, a.attnum, p)) AS privileges
FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
  JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE {mine} AND {own} AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND has_any_column_privilege(r.oid, c.oid, '{any_column}')"""
_POLICIES = """
SELECT n.nspname::text AS schema, c.relname::text AS relation, p.polname::text AS name, p.polpermissive AS permissive,
  p.polcmd::text AS command, pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid)
  AS "check", ARRAY(SELECT coalesce(r.rolname::text, 'public') FROM unnest(p.polroles) o LEFT JOIN pg_roles r
  ON r.oid = o) AS roles
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE EXISTS (SELECT FROM pg_roles r WHERE {mine} AND (has_any_column_privilege(r.oid, c.oid, '{any_column}')
  OR has_table_privilege(r.oid, c.oid, '{any_relation}')))"""
_FUNCTIONS = """
SELECT DISTINCT n.nspname::text AS schema, f.proname::text AS name, pg_get_function_identity_arguments(f.oid) AS takes,
  f.prosecdef AS definer, f.prosrc AS body, pg_get_userbyid(f.proowner)::text AS owner, f.proconfig::text[] AS settings
FROM pg_roles r, pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE {mine} AND {own} AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
  AND (n.nspname = {schema} OR f.prosecdef AND has_schema_privilege(r.oid, n.oid, 'USAGE'))"""
_PLACES = """
SELECT r.rolname::text AS role, 'schema ' || n.nspname AS place, has_schema_privilege(r.oid, n.oid, 'CREATE')
  AS can_create, has_schema_privilege(r.oid, n.oid, 'USAGE') AS usable
FROM pg_roles r, pg_namespace n WHERE {mine} AND {own} AND has_schema_privilege(r.oid, n.oid, 'USAGE, CREATE')
UNION ALL
SELECT r.rolname::text, 'database ' || d.datname, has_database_privilege(r.oid, d.oid, 'CREATE, TEMPORARY'), true
FROM pg_roles r, pg_database d WHERE {mine} AND d.datname = current_database()"""
_QUERIES: Final = {
    "roles": _ROLES,
    "relations": _RELATIONS,
    "columns": _COLUMNS,
    "policies": _POLICIES,
    "functions": _FUNCTIONS,
    "places": _PLACES,
}


def queries(owner: Owner) -> dict[str, str]:
    """The queries by name, for one owner's roles."""
    words = {
        "mine": f"(r.rolname = {literal(owner.role)} OR starts_with(r.rolname::text, {literal(owner.role + '_')}))",
        "own": _OWN,
        "relation": _list(_RELATION),
        "column": _list(_COLUMN),
        "any_relation": ", ".join(_RELATION),
        "any_column": ", ".join(_COLUMN),
        "schema": literal(owner.schema),
    }
    return {name: _filled(text, words) for name, text in _QUERIES.items()}


def _list(words: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, words))}]"


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Each `{word}` once: a name that holds such a word stays what it is."""
    parts = text.split("{")
    return parts[0] + "".join(words[name] + rest for name, _, rest in (part.partition("}") for part in parts[1:]))
