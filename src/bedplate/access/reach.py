"""The types of reach: everything that an agent may do and what stands behind it. Frozen, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bedplate.access.model import ScopeSet


@dataclass(frozen=True)
class Thing:
    """What stands behind a tool's name: another `kind` or `behind` under the same name is another tool.

    `verb` and `behind` say it in words: it `runs` a command or a function, `connects to` a URL or a database, `reads`
    data; "" for memory, shared state and the sandbox. `operations` are all that it has, as pairs of verb and name;
    None where only its server knows.
    """

    name: str
    kind: Literal["search", "python", "mcp", "http", "sql", "memory", "state", "sandbox"]
    verb: str = ""
    behind: str = ""
    operations: tuple[tuple[str, str], ...] | None = None
    where: str = ""


@dataclass(frozen=True)
class Link:
    """A fact besides grants that widens a reach: `model` `talks to` `openai`, a tool `uses secret` X."""

    subject: str
    verb: str
    object: str
    where: str = ""


@dataclass(frozen=True)
class Source:
    """Documents as one tool may meet them: below `path`, those that some `include` matches and no `exclude`.

    A grant of the tool names a document as `prefix` and its path below `path`. `text` is the definition in words.
    """

    tool: str
    name: str
    path: str
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    text: str = ""
    where: str = ""


@dataclass(frozen=True)
class Most:
    """The ceiling of an organisation: `scopes` as they apply to the agent's tools, `path` of the file that says it."""

    scopes: ScopeSet
    path: str
    where: str = ""


@dataclass(frozen=True)
class Answered:
    """A gap, a risk or a `clause`, that somebody answers for until the end of a day (ISO 8601); `by`: who, and why."""

    gap: str
    until: str
    by: str
    where: str = ""


@dataclass(frozen=True)
class Reach:
    """All that the agent of one stage may do, and what keeps it from being given more."""

    scopes: ScopeSet = field(default_factory=ScopeSet)
    things: tuple[Thing, ...] = ()
    links: tuple[Link, ...] = ()
    sources: tuple[Source, ...] = ()
    ceiling: Most | None = None
    answered: tuple[Answered, ...] = ()
