"""The tools section: one model a type of tool, told apart by `type`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WrapValidator, model_validator

from bedplate.manifest.data import Labels, agreeing
from bedplate.manifest.fields import Entrypoint, Line, Name, Secret, Section, Url, Variable, known_type, refuse
from bedplate.manifest.scopes import CallScope, DataScope, EgressScope, HttpScope, ReadScope, SqlScope
from bedplate.manifest.words import TOOL_TYPES


class _Tool(Section):
    name: Name = Field(description="Name of the tool; its operations are shown as `name.operation`.")
    description: Line | None = Field(default=None, description="What the tool is for, as the model reads it.")
    labels: Labels

    @model_validator(mode="after")
    def _one_of_two(self) -> _Tool:
        agreeing(self.labels)
        return self


class SearchTool(_Tool):
    """Full-text search over one data source, with `search` and `open`."""

    type: Literal["search"] = Field(description="Search over a data source.")
    use: Name = Field(description="Name of the data source that it searches.")
    scopes: list[ReadScope] = Field(min_length=1, description="Which documents it may find and open.")


class DataUse(Section):
    """Data that a tool reads or changes by itself."""

    use: Name = Field(description="Name of the data source.")
    scopes: list[DataScope] = Field(min_length=1, description="What the tool may do with it.")


_DATA: Any = Field(default=[], description="Data sources that it reads or changes by itself.")
_EGRESS: Any = Field(default=[], description="Requests that it may send by itself. Without it: none.")


class PythonTool(_Tool):
    """A function of this project, run in a sandboxed process of its own."""

    type: Literal["python"] = Field(description="A Python function of this project.")
    entrypoint: Entrypoint = Field(
        description="The function, as `module:function`; the module is a file of this project."
    )
    data: list[DataUse] = _DATA
    egress: list[EgressScope] = _EGRESS
    scopes: list[CallScope] = Field(
        min_length=1, description="Which operations may be called; the function's name is the operation."
    )


class McpTool(_Tool):
    """An MCP server: a command that the gateway starts, or a URL that it connects to."""

    type: Literal["mcp"] = Field(description="A Model Context Protocol server.")
    command: list[Line] | None = Field(
        default=None, min_length=1, description="Program and arguments of a server that speaks MCP over standard input."
    )
    url: Url | None = Field(default=None, description="URL of a server that speaks MCP over streamable HTTP.")
    env: dict[Variable, Secret] = Field(
        default={}, description="Secrets that the command gets as environment variables."
    )
    credentials: Secret | None = Field(default=None, description="Secret that is sent to `url` as a bearer token.")
    data: list[DataUse] = _DATA
    egress: list[EgressScope] = _EGRESS
    scopes: list[CallScope] = Field(min_length=1, description="Which of the server's tools may be called.")

    @model_validator(mode="after")
    def _one_way(self) -> McpTool:
        if (self.command is None) == (self.url is None):
            said = "neither `command` nor `url`" if self.command is None else "both `command` and `url`"
            raise refuse(
                "BP013", f"tool `{self.name}` has {said}", "give one: `command` to start a server, `url` to reach one"
            )
        if self.url and self.env:
            raise refuse(
                "BP013", f"tool `{self.name}` has `env` without `command`", "a server at a URL gets `credentials`"
            )
        for clause in ("data", "egress"):
            if self.url and getattr(self, clause):
                fix = f"remove `{clause}`: what a server elsewhere reaches is not decided here"
                raise refuse("BP013", f"tool `{self.name}` has `{clause}` without `command`", fix)
        if self.command and self.credentials:
            fix = "hand a secret to a command by `env: {NAME: {secret: ...}}`"
            raise refuse("BP013", f"tool `{self.name}` has `credentials` without `url`", fix)
        return self


class FileName(Section):
    """A file of this project."""

    file: Line = Field(description="Path of the file, relative to agent.yaml.")


class HttpTool(_Tool):
    """The operations of an HTTP service that an OpenAPI document describes."""

    type: Literal["http"] = Field(description="An HTTP service described by OpenAPI.")
    openapi: FileName = Field(description="The OpenAPI 3 document.")
    base_url: Url | None = Field(
        default=None, description="Address of the service, instead of the document's `servers`."
    )
    credentials: Secret | None = Field(default=None, description="Secret that is sent with every request.")
    scopes: list[HttpScope] = Field(min_length=1, description="Which requests may be sent.")


class SqlTool(_Tool):
    """Rows of a database, read and changed by statements that Bedplate makes."""

    type: Literal["sql"] = Field(description="Tables of a PostgreSQL database.")
    use: Name = Field(description="Name of the data source, of type `postgres`.")
    scopes: list[SqlScope] = Field(min_length=1, description="Which tables, columns and rows it may read or change.")


Tool = Annotated[
    Annotated[SearchTool | PythonTool | McpTool | HttpTool | SqlTool, Field(discriminator="type")],
    WrapValidator(known_type(TOOL_TYPES)),
]
