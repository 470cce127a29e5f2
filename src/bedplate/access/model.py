"""The types of access: grants, requests, decisions. Frozen, without behaviour."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

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


@dataclass(frozen=True)
class Grant:
    """One scope of one tool: `verb` on every object that `pattern` matches.

    `verb` is `read` (search, memory), `call` (python, mcp), `write` (memory) or an HTTP method in lower case (http).
    `pattern` is a glob whose only wildcard is `*`, which crosses `/`. `where` is the line of the manifest.
    """

    id: str
    tool: str
    verb: str
    pattern: str
    where: str = ""


@dataclass(frozen=True)
class Never:
    """A pattern over `tool.operation` that is denied whatever the grants say."""

    pattern: str
    where: str = ""


@dataclass(frozen=True)
class ScopeSet:
    """Everything the agent of one stage may do. What no grant matches is denied."""

    grants: tuple[Grant, ...] = ()
    never: tuple[Never, ...] = ()


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
