"""The form of `bedplate.lock`, as it is read and as its schema is published (docs/schema/lock.v1.json)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Pin = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
BEHIND = {"mcp": ("command", "url"), "http": ("openapi", "document", "baseUrl"), "python": ("entrypoint",)}
"""By type of tool, the fields that say what stands behind it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=False, allow_inf_nan=False)


class PinnedOperation(_Part):
    """One operation. With `inputSchema` everything that its pin covers stands beside it, as the server said it."""

    pin: Pin = Field(description="Hash of the canonical JSON of what is pinned of the operation.")
    description: str | list[str] = Field(default="", description="What the model is told; lines, where it has several.")
    input_schema: dict[str, Any] | None = Field(default=None, description="JSON Schema of the arguments.")
    output_schema: dict[str, Any] | None = Field(default=None, description="JSON Schema of the result.")
    annotations: dict[str, Any] = Field(default={}, description="What the server says of the operation's effects.")


class PinnedTool(_Part):
    """One tool: what stands behind it, in the manifest's fields, and its operations by name."""

    type: Literal["mcp", "http", "python"] = Field(description="The tool's type.")
    command: list[str] | None = Field(default=None, description="The server's command.")
    url: str | None = Field(default=None, description="The server's address.")
    openapi: str | None = Field(default=None, description="Path of the OpenAPI document.")
    document: Pin | None = Field(default=None, description="Hash of the OpenAPI document.")
    base_url: str | None = Field(default=None, description="Address of the service, where the manifest gives one.")
    entrypoint: str | None = Field(default=None, description="The function.")
    pin: Pin = Field(description="Hash of the names and pins of all operations.")
    operations: dict[str, PinnedOperation]

    @property
    def behind(self) -> dict[str, Any]:
        """The fields that are there of those that say what stands behind the tool."""
        every = self.model_dump(by_alias=True, exclude_none=True)
        return {name: every[name] for name in BEHIND[self.type] if name in every}

    @model_validator(mode="after")
    def _own_fields(self) -> PinnedTool:
        written = self.model_dump(by_alias=True, exclude_none=True).keys() - {"type", "pin", "operations"}
        if strange := sorted(written - set(BEHIND[self.type])):
            raise ValueError(f"a tool of type {self.type} has no {strange[0]}")
        return self


class LockFile(_Part):
    """`bedplate.lock`: what stood behind tools, models and evals when `bedplate lock` was run last."""

    schema_: Literal["bedplate.dev/lock/v1"] = Field(alias="schema", description="The form of this file.")
    tools: dict[str, PinnedTool] = Field(default={}, description="Tools by name.")
    models: dict[str, tuple[str, ...]] = Field(default={}, description="The models of each stage: first and fallbacks.")
    datasets: dict[str, Pin] = Field(default={}, description="Hash of each dataset of evals, by its path.")
