"""The scopes of sql tools in PostgreSQL: roles, column grants, row-level security, signed claims, and read back.

Goes in: a scope set and whose it is (`Owner`); to read back, rows of the catalog that a caller fetched. Comes out:
statements with the manifest's lines, what they leave to other layers, and whether the catalog says the same. No
connection is opened here.
"""

from bedplate.access.postgres import claims
from bedplate.access.postgres.catalog import SESSION, Catalog, queries
from bedplate.access.postgres.emit import compile, removal
from bedplate.access.postgres.names import Owner
from bedplate.access.postgres.read import Difference, read, validate, viewers

__all__ = [
    "SESSION",
    "Catalog",
    "Difference",
    "Owner",
    "claims",
    "compile",
    "queries",
    "read",
    "removal",
    "validate",
    "viewers",
]
