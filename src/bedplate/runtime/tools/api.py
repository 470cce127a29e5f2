"""The protocol between the gateway and a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from bedplate.access import Decision

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One thing that a tool can do. `input_schema` is a JSON Schema of type object (2020-12).

    `verb` is the scope verb it needs. `effect` tells whether a call may change something outside (so that it is never
    repeated unasked); `query` marks a search operation (one required string `query`), which `bedplate:extractive` uses.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    verb: str
    effect: bool = True
    query: bool = False


@dataclass(frozen=True)
class Question:
    """What a call would do, for the decider: the verb and the object it acts on.

    `any_object`: the call acts on objects that show only while it runs (a search reads whatever it finds). The gateway
    then asks `access.may_use`: the call may start if any grant of `verb` exists for the tool, and the toolset puts
    each object that it meets to `CallContext.decide` and leaves out what is denied. `object` is then `*`, for display.
    """

    verb: str
    object: str
    any_object: bool = False


@dataclass(frozen=True)
class CallContext:
    """Of one call: who asks, until when (Unix time), and how to decide on objects that show only while it runs."""

    principal: str
    session: Mapping[str, Any]
    deadline: float
    decide: Callable[[Question], Decision]


@dataclass(frozen=True)
class Source:
    """Where a passage comes from: `path#anchor`, its heading, its text."""

    path: str
    heading: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class ToolResult:
    """What goes back to the model: text, and the same as data where the tool has it. `error`: the tool failed."""

    text: str
    data: Any = None
    error: bool = False
    sources: tuple[Source, ...] = field(default_factory=tuple)


class Toolset(Protocol):
    """One tool of the manifest. Methods are called on the gateway's event loop; `call` runs concurrently."""

    name: str

    async def start(self) -> None:
        """Connect or load. Raises BedplateError where the tool cannot work at all."""

    async def operations(self) -> tuple[Operation, ...]:
        """What it can do now. A server that is down answers with what it had; a dead one is started again."""

    def question(self, operation: str, arguments: Arguments) -> Question:
        """What this call would do. Raises BedplateError for arguments that say nothing definite (a bad URL)."""

    async def call(self, operation: str, arguments: Arguments, context: CallContext) -> ToolResult:
        """Do it. Failures of the tool come back as `ToolResult(error=True)` with a text that the model can use."""

    async def close(self) -> None:
        """Stop processes, close connections. Safe to call twice."""


@runtime_checkable
class Connected(Protocol):
    """A toolset whose connection can be down while the gateway runs."""

    @property
    def trouble(self) -> str:
        """Why it cannot be used now; "" where it can."""

    @property
    def left_out(self) -> str:
        """What of it cannot be used, and why; "" where all can."""
