"""The tools section: one model a type of tool, told apart by `type`, and their scopes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from bedplate.manifest.fields import (
    Entrypoint,
    FileGlobs,
    Line,
    Lines,
    Name,
    Secret,
    Section,
    Url,
    Variable,
    refuse,
)
from bedplate.manifest.words import HTTP_VERBS, VERBS, one_verb

_ID = Field(
    default=None, description="Name of the scope in traces and denials; without one a hash of its content is used."
)
_URLS = "URL pattern with a literal host; `*` matches any text, `/` included. One or a list."


class Scope(Section):
    """One grant: exactly one verb with what it may act on."""

    id: Name | None = _ID

    @property
    def granted(self) -> tuple[str, list[str]]:
        """The verb and its patterns."""
        return next((verb, value) for verb in VERBS if (value := getattr(self, verb, None)) is not None)


class ReadScope(Scope):
    """A grant to read documents."""

    read: FileGlobs = Field(
        description="Documents that may be read, as paths within the data source; `*` matches any text, `/` included."
    )


class CallScope(Scope):
    """A grant to call operations."""

    call: Lines = Field(description="Operations that may be called; `*` matches any text. One or a list.")


class HttpScope(Scope):
    """A grant to send requests of one HTTP method to some URLs."""

    get: Lines | None = Field(default=None, description=f"GET requests that may be sent. {_URLS}")
    post: Lines | None = Field(default=None, description=f"POST requests that may be sent. {_URLS}")
    put: Lines | None = Field(default=None, description=f"PUT requests that may be sent. {_URLS}")
    patch: Lines | None = Field(default=None, description=f"PATCH requests that may be sent. {_URLS}")
    delete: Lines | None = Field(default=None, description=f"DELETE requests that may be sent. {_URLS}")
    head: Lines | None = Field(default=None, description=f"HEAD requests that may be sent. {_URLS}")
    options: Lines | None = Field(default=None, description=f"OPTIONS requests that may be sent. {_URLS}")

    @model_validator(mode="after")
    def _one_verb(self) -> HttpScope:
        given = [verb for verb in HTTP_VERBS if getattr(self, verb) is not None]
        if len(given) != 1:
            said = f"{len(given)} verbs ({', '.join(given)})" if given else "no verb"
            raise refuse("BP017", f"a scope has {said}", one_verb(HTTP_VERBS))
        return self


class _Tool(Section):
    name: Name = Field(description="Name of the tool; its operations are shown as `name.operation`.")
    description: Line | None = Field(default=None, description="What the tool is for, as the model reads it.")


class SearchTool(_Tool):
    """Full-text search over one data source, with `search` and `open`."""

    type: Literal["search"] = Field(description="Search over a data source.")
    use: Name = Field(description="Name of the data source that it searches.")
    scopes: list[ReadScope] = Field(min_length=1, description="Which documents it may find and open.")


class DataUse(Section):
    """Data that a tool reads by itself."""

    use: Name = Field(description="Name of the data source.")
    scopes: list[ReadScope] = Field(min_length=1, description="Which of its documents the tool may read.")


class PythonTool(_Tool):
    """A function of this project, run in a sandboxed process of its own."""

    type: Literal["python"] = Field(description="A Python function of this project.")
    entrypoint: Entrypoint = Field(
        description="The function, as `module:function`; the module is a file of this project."
    )
    data: list[DataUse] = Field(default=[], description="Data sources that the function reads.")
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


def _known_type(value: Any, handler: Any) -> Any:
    """Turn pydantic's message on an unknown `type` into ours; let everything else pass."""
    if isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] not in TYPES:
        raise PydanticCustomError("bedplate_tool_type", "unknown type", {"given": value["type"], "known": list(TYPES)})
    return handler(value)


TYPES = ("search", "python", "mcp", "http")
Tool = Annotated[
    Annotated[SearchTool | PythonTool | McpTool | HttpTool, Field(discriminator="type")], WrapValidator(_known_type)
]
