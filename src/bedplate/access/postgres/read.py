"""What the catalog says an owner may do, as rights, and whether that is what its scopes say.

Goes in: the rows of `catalog.queries`. Comes out: rights, and everything else that gives the owner's roles more, or
other, than rights can say. Whatever cannot be read is a difference: the answer "equal" is never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bedplate.access.model import Claim, Condition, Grant, Kind, Present, ScopeSet
from bedplate.access.postgres import claims
from bedplate.access.postgres.catalog import Catalog, Row
from bedplate.access.postgres.meaning import tests
from bedplate.access.postgres.names import Owner
from bedplate.access.postgres.normal import normal
from bedplate.access.postgres.parse import Unread
from bedplate.access.postgres.rights import VERBS, Right, rights

_COMMANDS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d"}
_SETTINGS = ["search_path=pg_catalog, pg_temp"]
TYPES: dict[Kind, frozenset[str]] = {
    "string": frozenset({"text", "character varying", "uuid", "citext"}),
    "integer": frozenset({"smallint", "integer", "bigint"}),
    "decimal": frozenset({"smallint", "integer", "bigint", "numeric"}),
    "boolean": frozenset({"boolean"}),
    "time": frozenset({"timestamp with time zone"}),
    "ip": frozenset({"inet"}),
    "strings": frozenset({"text[]", "character varying[]"}),
}
"""The column types whose values a condition of each kind reads exactly. An enum is read as a string."""


@dataclass(frozen=True)
class Difference:
    """One thing in which the database and the scopes differ, in words; `where` is the manifest's line, if any."""

    text: str
    where: str = ""


def validate(scopes: ScopeSet, owner: Owner, catalog: Catalog) -> tuple[Difference, ...]:
    """How the database differs from the scopes; empty where it allows what they do, but for the remainder."""
    wanted = normal(rights(scopes, owner.tool, owner.prefix)[0])
    found, differences = read(owner, catalog)
    have = normal(found)
    missing = [Difference(f"the database does not allow: {plain}", wanted[plain].grant.where) for plain in wanted]
    lacking = [said for said, plain in zip(missing, wanted, strict=True) if plain not in have]
    beyond = [Difference(f"the database allows: {plain}, which no scope does") for plain in have if plain not in wanted]
    kinds = [said for right in wanted.values() for said in _kinds(right, catalog)]
    return (*lacking, *beyond, *kinds, *differences)


def read(owner: Owner, catalog: Catalog) -> tuple[tuple[Right, ...], tuple[Difference, ...]]:
    """The rights that the catalog gives the owner's login, and what it gives besides."""
    reader = _Reader(owner, catalog)
    found = tuple(reader.rights())
    return found, tuple(dict.fromkeys([*reader.differences, *reader.roles(), *reader.functions(), *reader.places()]))


def viewers(owner: Owner, catalog: Catalog) -> tuple[str, ...]:
    """The roles that own the owner's views."""
    names = [str(row["role"]) for row in catalog["roles"]]
    return tuple(name for name in names if re.fullmatch(re.escape(owner.role) + "_[0-9a-f]{12}", name))


class _Reader:
    def __init__(self, owner: Owner, catalog: Catalog) -> None:
        self.owner = owner
        self.catalog = catalog
        self.viewers = frozenset(viewers(owner, catalog))
        self.differences: list[Difference] = []

    def say(self, text: str) -> None:
        self.differences.append(Difference(text))

    def rights(self) -> Iterator[Right]:
        for row in self._of("relations", self.owner.login):
            if row["kind"] == "v" and row["schema"] == self.owner.schema and row["owner"] in self.viewers:
                yield from self._viewed(row)
            else:
                yield from self._direct(row, self.owner.login, VERBS)

    def _of(self, name: str, role: str, like: Row | None = None) -> Iterator[Row]:
        for row in self.catalog[name]:
            same = like is None or (row["schema"], row["relation"]) == (like["schema"], like["relation"])
            if row["role"] == role and same:
                yield row

    def _direct(self, row: Row, role: str, verbs: Iterable[str]) -> Iterator[Right]:
        """What a role may do with one table, by its privileges and the policies that are its own."""
        name = f"{row['schema']}.{row['relation']}"
        if more := {*row["whole"], *row["partly"]} - set(VERBS.values()):
            self.say(f"{role} may {', '.join(sorted(more))} {name}")
        for verb in verbs:
            privilege = VERBS[verb]
            if privilege not in {*row["whole"], *row["partly"]}:
                continue
            columns = None if privilege in row["whole"] else self._columns(row, role, privilege)
            if row["secured"]:
                yield from self._policies(row, role, verb, name, columns)
            else:
                yield Right(Grant("", self.owner.tool, verb, name), verb, name, columns)

    def _columns(self, row: Row, role: str, privilege: str) -> tuple[str, ...]:
        return tuple(str(c["name"]) for c in self._of("columns", role, row) if privilege in c["privileges"])

    def _policies(self, row: Row, role: str, verb: str, name: str, columns: tuple[str, ...] | None) -> Iterator[Right]:
        columns = None if verb == "delete" else columns
        for policy in self.catalog["policies"]:
            here = (policy["schema"], policy["relation"]) == (row["schema"], row["relation"])
            if not here or not self._applies(policy, role):
                continue
            if policy["command"] not in {"*", _COMMANDS[VERBS[verb]]}:
                continue
            if not policy["permissive"]:
                self.say(f"policy {policy['name']} on {name} narrows what {role} may do")
                continue
            try:
                yield self._right(policy, verb, name, columns)
            except Unread as error:
                self.say(f"policy {policy['name']} on {name} is of another shape: {error}")

    def _applies(self, policy: Row, role: str) -> bool:
        own = {role, "public", *({self.owner.role} if role == self.owner.login else ())}
        return bool(own & set(policy["roles"]))

    def _right(self, policy: Row, verb: str, name: str, columns: tuple[str, ...] | None) -> Right:
        """Without a test of its own, a new row is tested as the old one."""
        rows = () if verb == "insert" else tests(policy["using"], self.owner)
        check = policy["using"] if policy["check"] is None else policy["check"]
        sets = tests(check, self.owner) if verb in {"insert", "update"} else ()
        return Right(Grant(str(policy["name"]), self.owner.tool, verb, name), verb, name, columns, rows, sets)

    def _viewed(self, row: Row) -> Iterator[Right]:
        """What a view lets through: what its owner may do with the one table that it shows."""
        view, viewer = f"{row['schema']}.{row['relation']}", str(row["owner"])
        shown = [str(c["name"]) for c in self._of("columns", self.owner.login, row)]
        bases = list(self._of("relations", viewer))
        tables = [base for base in bases if _shows(str(row["definition"]), base, shown)]
        if not row["barrier"] or len(tables) != 1:
            self.say(f"view {view} is not the one that was made")
            return
        verbs = [verb for verb, privilege in VERBS.items() if privilege in {*row["whole"], *row["partly"]}]
        for right in self._direct(tables[0], viewer, verbs):
            if right.columns is None or set(right.columns) == set(shown):
                yield right
            else:
                self.say(f"view {view} shows other columns than its owner may {right.verb}")

    def roles(self) -> Iterator[Difference]:
        groups = {self.owner.role: [], self.owner.login: [self.owner.role], self.owner.keeper: []}
        present = {str(row["role"]): row for row in self.catalog["roles"]}
        for name in groups:
            if name not in present:
                yield Difference(f"role {name} does not exist")
        for name in {*groups, *self.viewers} & set(present):
            row = present[name]
            if row["mighty"]:
                yield Difference(f"role {name} has attributes that no scope gives")
            if sorted(row["member_of"]) != groups.get(name, []):
                yield Difference(f"role {name} is a member of {', '.join(sorted(row['member_of'])) or 'nothing'}")
            if bool(row["login"]) != (name == self.owner.login):
                yield Difference(f"role {name} {'may' if row['login'] else 'may not'} log in")

    def functions(self) -> Iterator[Difference]:
        made = {(self.owner.schema, name): body for name, body in claims.bodies(self.owner).items()}
        for row in self.catalog["functions"]:
            name = (str(row["schema"]), str(row["name"]))
            body = made.get(name)
            if body is None:
                if row["definer"] or name[0] == self.owner.schema:
                    yield Difference(f"function {'.'.join(name)}({row['takes']}) runs with its owner's rights")
                continue
            own = row["owner"] == self.owner.keeper and list(row["settings"] or ()) == _SETTINGS
            if row["body"] != body or not own or row["definer"] != (name[1] == "claim"):
                yield Difference(f"function {'.'.join(name)} was changed")
        there = {(str(row["schema"]), str(row["name"])) for row in self.catalog["functions"]}
        yield from (Difference(f"function {'.'.join(name)} does not exist") for name in made if name not in there)

    def places(self) -> Iterator[Difference]:
        for row in self.catalog["places"]:
            if row["can_create"] and row["role"] in {self.owner.login, self.owner.role}:
                yield Difference(f"role {row['role']} may create things in {row['place']}")


_NAME = r'(?:"(?:[^"]|"")*"|[\w$]+)'
_VIEW = re.compile(rf"\s*SELECT ({_NAME}(?:\.{_NAME})?(?:,\s+{_NAME}(?:\.{_NAME})?)*)\s+FROM ({_NAME})\.({_NAME});\s*")


def _shows(definition: str, base: Row, columns: list[str]) -> bool:
    """Whether a view's definition is nothing but these columns of this table."""
    found = _VIEW.fullmatch(definition)
    if not found:
        return False
    listed = re.findall(rf"(?:{_NAME}\.)?({_NAME})(?:,\s+|$)", found[1])
    return [*map(_bare, listed)] == columns and [_bare(found[2]), _bare(found[3])] == [base["schema"], base["relation"]]


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _kinds(right: Right, catalog: Catalog) -> Iterator[Difference]:
    """Columns whose type holds other values than the conditions on them read."""
    columns = {
        str(row["name"]): row for row in catalog["columns"] if f"{row['schema']}.{row['relation']}" == right.table
    }
    for column, condition in (*right.rows, *right.sets):
        row = columns.get(column)
        if row is not None and not _fits(condition, row):
            said = f"{right.table}.{column} is {row['type']}, which is not read exactly as {condition.kind}"
            yield Difference(said, right.grant.where)


def _fits(condition: Condition, row: Row) -> bool:
    if condition.test == Present(False):
        return True
    kind = str(row["type"]).rpartition(".")[2]
    if isinstance(condition.test, Claim) and kind in TYPES["integer"]:
        return True
    textual = condition.kind == "string" and row["sort"] == "e"
    return bool(row["exact"]) and (textual or kind in TYPES[condition.kind])
