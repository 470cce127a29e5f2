"""The types of access: grants, requests, decisions. Frozen, without behaviour."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Effect(IntEnum):
    """The chain of decisions, lowest first: deny < ask < allow."""

    DENY = 0
    ASK = 1
    ALLOW = 2

    @property
    def word(self) -> str:
        """`deny`, `ask` or `allow`, as it stands in traces and screens."""
        return self.name.lower()


Kind = Literal["string", "integer", "decimal", "boolean", "time", "ip", "strings"]
"""What an argument is. `decimal` has at most four places; `time` is RFC 3339; `strings` is a list of strings."""
Span = tuple[int | None, int | None]
"""Both ends belong to it; None is no bound."""


@dataclass(frozen=True)
class Texts:
    """The value (kind `string`) matches one of `globs`, whose only wildcard is `*`; without one it is a literal."""

    globs: tuple[str, ...]
    op: Literal["texts"] = "texts"


@dataclass(frozen=True)
class Spans:
    """The value lies in one of `spans`: sorted, disjoint, in the whole numbers that `access.conditions` makes of it.

    A decimal counts ten-thousandths, a time milliseconds since 1970, a boolean 0 and 1, an address 0 … 2^32 - 1 (IPv4)
    and 2^32 + n (IPv6). So equality, membership, ranges and networks are the same test.
    """

    spans: tuple[Span, ...]
    op: Literal["spans"] = "spans"


@dataclass(frozen=True)
class Subset:
    """Each element of the value (kind `strings`) matches one of `globs`. The empty list does."""

    globs: tuple[str, ...]
    op: Literal["subset"] = "subset"


@dataclass(frozen=True)
class Claim:
    """The value (kind `string` or `integer`, as text) equals the session's claim of this name, which must be there."""

    name: str
    op: Literal["claim"] = "claim"


@dataclass(frozen=True)
class Present:
    """The argument is given, or with `present` false is not. Null is not given."""

    present: bool
    op: Literal["present"] = "present"


Test = Texts | Spans | Subset | Claim | Present


@dataclass(frozen=True)
class Condition:
    """A test of the argument at `path` (names of nested objects). An absent argument, or one of another kind, fails it.

    Only `Present(False)` holds where the argument is absent.
    """

    path: tuple[str, ...]
    kind: Kind
    test: Test
    where: str = ""


@dataclass(frozen=True)
class Ask:
    """When a person is asked: always, or where one of `when` holds or its argument is absent or of another kind."""

    when: tuple[Condition, ...] = ()
    always: bool = False


@dataclass(frozen=True)
class Budget:
    """At most `amount` within any `window` seconds: calls, or the sum of the argument at `path` in ten-thousandths.

    `per`: one budget for the whole stage, for each user, or for each session.
    """

    amount: int
    window: int
    path: tuple[str, ...] = ()
    per: Literal["stage", "user", "session"] = "stage"


@dataclass(frozen=True)
class Grant:
    """One scope of one tool: `verb` on every object that `pattern` matches, where all `conditions` hold.

    `verb` and object: `read` and a document's path (search, files), `call` and the operation (python, mcp), an HTTP
    method in lower case and a URL (http, egress), `read` `insert` `update` `delete` and `schema.table` (postgres),
    `list` `read` `write` `delete` and a key (s3), `get` `query` `put` `update` `delete` and a table (dynamodb), `read`
    `write` and a key (tools `memory`, `state`), `read` `write` and a path (tool `sandbox`). What a python or mcp tool
    reads itself has the data source's name and `/` before the object. `pattern` is a glob whose only wildcard is `*`,
    which crosses `/`. Rows, columns and values of sql are arguments: `rows.<column>`, `columns`, `set.<column>`; of
    dynamodb `key` and `attributes`; of http `query`, `body` and `path` with what is in them. `only`: the arguments that
    may be given, None for any. `where` is the line of the manifest.
    """

    id: str
    tool: str
    verb: str
    pattern: str
    where: str = ""
    conditions: tuple[Condition, ...] = ()
    only: tuple[str, ...] | None = None
    ask: Ask | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True)
class Never:
    """A pattern over `tool.operation` that is denied whatever the grants say."""

    pattern: str
    where: str = ""


@dataclass(frozen=True)
class Argument:
    """An argument that an operation takes. `kind` None: of a kind that no condition can test. `values`: an enum."""

    path: tuple[str, ...]
    kind: Kind | None
    required: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One operation of a tool as its pinned schema says. `pin` is `sha256:` and 64 hex digits of the canonical schema.

    `method` and `url` (a template with `{name}`) are of an http tool's.
    """

    tool: str
    name: str
    arguments: tuple[Argument, ...] = ()
    closed: bool = False
    """No other arguments may be given."""
    pin: str = ""
    method: str = ""
    url: str = ""


def calling(operation: Operation) -> str:
    """The verb by which an operation is called: its HTTP method, or `call`."""
    return operation.method or "call"


@dataclass(frozen=True)
class ScopeSet:
    """Everything the agent of one stage may do. What no grant matches is denied.

    `operations` are those of tools whose schemas are known; of a tool that has none here nothing is known.
    """

    grants: tuple[Grant, ...] = ()
    never: tuple[Never, ...] = ()
    operations: tuple[Operation, ...] = ()

    @cached_property
    def pinned(self) -> Mapping[str, Mapping[str, Operation]]:
        """The operations by tool and name."""
        found: dict[str, dict[str, Operation]] = {}
        for operation in self.operations:
            found.setdefault(operation.tool, {})[operation.name] = operation
        return found

    @cached_property
    def called(self) -> Mapping[str, frozenset[str]]:
        """The verbs by which the pinned operations of each tool are called. What else it does is no call of them."""
        return {tool: frozenset(map(calling, of.values())) for tool, of in self.pinned.items()}


@dataclass(frozen=True)
class Request:
    """One question put to the decider.

    `object` is what the verb acts on: a document's path for `read`, the operation's name for `call`, a normalised URL
    for HTTP methods, the store's key for memory. `principal` is the authenticated caller; `session` the claims of the
    turn's capability, which nothing that the agent sends can change. `kind` is `tool`, `model`, `memory` or `http`.
    """

    tool: str
    operation: str
    verb: str
    object: str
    principal: str = ""
    kind: str = "tool"
    args: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    session: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Decision:
    """The answer: an effect, the grant that gave it and its line, or the reason of a denial in one sentence."""

    effect: Effect
    grant: str = ""
    where: str = ""
    reason: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the call may go ahead now (`ask` may not)."""
        return self.effect is Effect.ALLOW


def grant_id(tool: str, verb: str, pattern: str) -> str:
    """The id of a grant that was given none: 12 hex digits of its content, never its place in a list."""
    return hashlib.sha256("\0".join((tool, verb, pattern)).encode()).hexdigest()[:12]
