"""Names in PostgreSQL: identifiers and literals as they are written, and the roles of one tool."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LONGEST = 63
"""Bytes of an identifier; PostgreSQL cuts longer ones, so that two names could become one."""
PREFIX = "bedplate_"
"""What the names of all our roles start with."""


@dataclass(frozen=True)
class Owner:
    """Whose access is compiled: one tool of one agent in one stage, in one database.

    What it may do belongs to `role`, which nobody logs in as; `login` is its only member. `keeper` owns the claims' key
    and the functions; `schema` holds these and the views. A python or mcp tool that uses a database as data names its
    `source`, which then stands before each table of its grants (`crm/public.tickets`); a sql tool does not.
    """

    agent: str
    stage: str
    tool: str
    database: str
    source: str = ""

    @property
    def prefix(self) -> str:
        """What stands before the tables in the grants."""
        return f"{self.source}/" if self.source else ""

    @property
    def role(self) -> str:
        """The role that holds the grants. No two tools, stages or agents share it."""
        parts = (self.agent, self.stage, self.tool, *([self.source] if self.source else []))
        text = PREFIX + "_".join(parts)
        return _cut(text, parts, 40) if any("_" in part for part in parts) else fitting(text, parts, 40)

    @property
    def login(self) -> str:
        """The role that the gateway logs in as."""
        return f"{self.role}_login"

    @property
    def keeper(self) -> str:
        """The role that owns what the agent's role must not change or read."""
        return f"{self.role}_keeper"

    @property
    def schema(self) -> str:
        """The schema of the claims' functions and the views."""
        return self.role

    def viewer(self, key: str) -> str:
        """The role that owns the view of one grant, and whose rights that view has."""
        return f"{self.role}_{_short(key)}"


def policy_name(owner: Owner, verb: str, grant: str, number: int) -> str:
    """The policy of a grant: its id can be read in it. `number` tells apart those of one table and verb."""
    return fitting(f"{owner.role}.{verb}.{number}.{grant}", (owner.role, verb, str(number)), LONGEST)


def fitting(text: str, identity: tuple[str, ...], longest: int) -> str:
    """`text`, or where it is too long its start and a hash of `identity`."""
    return text if len(text.encode()) <= longest else _cut(text, identity, longest)


def _cut(text: str, identity: tuple[str, ...], longest: int) -> str:
    start = text.encode()[: longest - 13].decode(errors="ignore")
    return f"{start}_{_short(chr(0).join(identity))}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def ident(name: str) -> str:
    """A quoted identifier: always quoted, so that no name is ever a keyword or folded."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string literal that reads the same whatever `standard_conforming_strings` is."""
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"


def table(name: str) -> str:
    """A scope's `schema.table`, quoted."""
    schema, _, rest = name.partition(".")
    return f"{ident(schema)}.{ident(rest)}"
