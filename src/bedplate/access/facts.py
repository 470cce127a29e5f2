"""What the tools and the data of a stage are, as far as checks of access ask. Frozen, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Never

from bedplate.access.model import Grant

Label = Literal["public", "private", "untrusted"]
DataKind = Literal["files", "postgres", "s3", "dynamodb"]
ToolKind = Literal["search", "python", "mcp", "http", "sql", "memory", "state", "sandbox"]
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})
READING = frozenset({"get", "head", "options"})
"""HTTP methods that only read (RFC 9110, 9.2.1)."""


@dataclass(frozen=True)
class DataFacts:
    """A data source. `labels` None: none were written, so that its kind decides."""

    name: str
    kind: DataKind
    labels: frozenset[Label] | None = None
    where: str = ""


@dataclass(frozen=True)
class ToolFacts:
    """A tool. `remote`: its own code runs elsewhere, so that what it does there nobody here sees. `use`: its data."""

    name: str
    kind: ToolKind
    remote: bool = False
    use: str = ""
    labels: frozenset[Label] | None = None
    where: str = ""


@dataclass(frozen=True)
class Facts:
    """All tools and data of a stage, by name."""

    tools: tuple[ToolFacts, ...] = ()
    data: tuple[DataFacts, ...] = ()

    def tool(self, name: str) -> ToolFacts:
        """The tool of this name. Raises KeyError."""
        return next((tool for tool in self.tools if tool.name == name), None) or _missing(name)

    def source(self, name: str) -> DataFacts:
        """The data source of this name. Raises KeyError."""
        return next((data for data in self.data if data.name == name), None) or _missing(name)


def _missing(name: str) -> Never:
    raise KeyError(name)


@dataclass(frozen=True)
class Route:
    """How requests of a grant come to their effect.

    `call`: through the gateway, which sees them whole. `sql`: statements run by the database. `data`: the tool's own
    process touches the source. `egress`: the tool's own process connects. `process`: files of the agent's process.
    """

    kind: Literal["call", "sql", "data", "egress", "process"]
    data: DataFacts | None = None


def route(grant: Grant, facts: Facts) -> Route:
    """The route of a grant. Raises KeyError where its tool or source is none of `facts`."""
    tool = facts.tool(grant.tool)
    match tool.kind:
        case "sandbox":
            return Route("process")
        case "sql":
            return Route("sql", facts.source(tool.use))
        case "search":
            return Route("call", facts.source(tool.use))
        case "python" | "mcp" if grant.verb == "call":
            return Route("call")
        case "python" | "mcp" if grant.verb in METHODS and "://" in grant.pattern:
            return Route("egress")
        case "python" | "mcp":
            return Route("data", facts.source(grant.pattern.partition("/")[0]))
        case _:
            return Route("call")
