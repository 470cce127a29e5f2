"""One operation as its schema describes it: what a pin covers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bedplate.access.model import Operation
from bedplate.blueprint.digest import digest_of
from bedplate.blueprint.schemas import arguments_of

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Described:
    """An operation: what a model is told of it, and what a reviewer has to know.

    `schema` is the JSON Schema of its arguments as the model sees them, `output` that of its result, `annotations`
    MCP's. `method` and `url` are those of an HTTP request; in `url` stands `{argument}` for each argument in the path.
    """

    name: str
    description: str = ""
    schema: Schema = field(default_factory=dict)
    annotations: Schema = field(default_factory=dict)
    output: Schema | None = None
    method: str = ""
    url: str = ""

    @cached_property
    def parts(self) -> Mapping[str, Any]:
        """What the pin covers, by the names that MCP gives it; what is empty is not there."""
        named = {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.schema,
            "annotations": self.annotations,
            "outputSchema": self.output,
            "method": self.method,
            "url": self.url,
        }
        return {name: value for name, value in named.items() if value}

    @cached_property
    def pin(self) -> str:
        """`sha256:` and the hash of the canonical JSON of `parts`.

        Raises ValueError where a part is no JSON: a number that is not finite, half a surrogate. Canonical JSON is that
        of builds, not RFC 8785: that one has no integers beyond 2^53, and schemas of 64-bit integers name such bounds.
        """
        return digest_of(self.parts)

    def operation(self, tool: str) -> Operation:
        """The operation as access knows it."""
        found, closed = arguments_of(self.schema)
        return Operation(tool, self.name, found, closed, self.pin, self.method, self.url)


def pin_of_set(operations: Iterable[tuple[str, str]]) -> str:
    """The pin of a tool as a whole, from the names and pins of its operations."""
    return digest_of(dict(operations))
