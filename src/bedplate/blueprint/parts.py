"""What the agent works with: its data and its tools, as parts of a blueprint. Frozen values.

Paths are absolute unless said otherwise; `where` fields hold `agent.yaml:LINE`. Secrets appear by name only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bedplate.access.model import Kind


@dataclass(frozen=True)
class SecretRef:
    """A secret by name. On the local target it is read from the environment or `.env` as `NAME_IN_UPPER_CASE`."""

    name: str

    @property
    def variable(self) -> str:
        """The environment variable that holds it: upper case, `-` and `.` as `_`."""
        return self.name.upper().replace("-", "_").replace(".", "_")


@dataclass(frozen=True)
class FileRef:
    """A file that the manifest names: its path relative to the project (POSIX), its SHA-256 and its size."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class DataSource:
    """Documents of one folder. `files` is sorted by path; `digest` covers their paths below `root` and their contents.

    `root` is the folder that scopes' paths are relative to; for a source of one file it is the file's folder. `path`,
    `include` and `exclude` stand as written; without `include` the usual documents count.
    """

    name: str
    root: str
    files: tuple[FileRef, ...]
    digest: str
    where: str = ""
    path: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PostgresStore:
    """A PostgreSQL database. `tables` are the kinds of columns, by `schema.table`, as far as they are written."""

    name: str
    database: str
    tables: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    where: str = ""
    type: Literal["postgres"] = "postgres"


@dataclass(frozen=True)
class S3Store:
    """Objects of a bucket. Keys in grants are below `prefix`, which ends with `/` or is empty.

    `region` "" means the stage's.
    """

    name: str
    bucket: str
    prefix: str = ""
    region: str = ""
    labels: tuple[str, ...] = ()
    where: str = ""
    type: Literal["s3"] = "s3"


@dataclass(frozen=True)
class DynamodbStore:
    """Items of a table; `region` "": the stage's."""

    name: str
    table: str
    region: str = ""
    labels: tuple[str, ...] = ()
    where: str = ""
    type: Literal["dynamodb"] = "dynamodb"


DataStore = PostgresStore | S3Store | DynamodbStore


@dataclass(frozen=True)
class SearchTool:
    """Searches one data source. Operations: `search(query, limit)` and `open(path)`, both verb `read`."""

    name: str
    use: str
    description: str = ""
    where: str = ""
    type: Literal["search"] = "search"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PythonTool:
    """A function `module:function` of the project, run in a sandboxed process of its own.

    `data` are names of sources and stores. What it may do with them stands in grants of this tool, whose pattern is
    `name/` and a path, key or table; grants of HTTP verbs on URLs are requests that it may send itself (egress).
    """

    name: str
    entrypoint: str
    data: tuple[str, ...] = ()
    description: str = ""
    where: str = ""
    type: Literal["python"] = "python"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class McpTool:
    """An MCP server: `command` (started by the gateway over stdio) or `url` (streamable HTTP), one of the two.

    `data` and grants besides `call`, which only a command has, are as of python tools.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    env: Mapping[str, SecretRef] = field(default_factory=dict)
    credentials: SecretRef | None = None
    description: str = ""
    where: str = ""
    type: Literal["mcp"] = "mcp"
    data: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class HttpTool:
    """Operations of an OpenAPI document. `document` is its path; `base_url` overrides the document's server.

    `files` is that document, by its hash.
    """

    name: str
    document: str
    base_url: str | None = None
    credentials: SecretRef | None = None
    description: str = ""
    where: str = ""
    type: Literal["http"] = "http"
    files: tuple[FileRef, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class SqlTool:
    """Tables of the store `use`. What it may do stands in its grants: verbs `read`, `insert`, `update`, `delete`."""

    name: str
    use: str
    description: str = ""
    where: str = ""
    type: Literal["sql"] = "sql"
    labels: tuple[str, ...] = ()


Tool = SearchTool | PythonTool | McpTool | HttpTool | SqlTool
