"""What an MCP server says, checked: its list of tools to operations, its results to `ToolResult`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.described import Described
from bedplate.runtime.tools.api import Operation, ToolResult
from bedplate.runtime.tools.common import MAX_RESULT, as_text, failed, fits_wire

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool
    from pydantic import ValidationError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_TOOLS = 500
MAX_NAMED = 5  # of the refused tools, in a message
_ANSWERS = {"ListToolsResult": "the server's list of tools", "InitializeResult": "the server's greeting"}
MAX_SCHEMA = 100_000  # characters of one tool's schema and description


@dataclass(frozen=True)
class Offer:
    """What a server can be used for: `operations`, and of what it listed besides the name and why it is `refused`.

    `described` are the same operations with all that a pin covers.
    """

    operations: tuple[Operation, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    described: tuple[Described, ...] = ()

    def without(self) -> str:
        """What is missing of the server's list, for a person; "" where nothing is."""
        if not self.refused:
            return "" if self.operations else "the server lists no tool"
        names = [f"{name!r:.80} ({reason})" for name, reason in self.refused.items()]
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        return f"refused of what the server lists: {', '.join(names[:MAX_NAMED])}{more}"


def offer_of(tool: str, listed: Iterable[Tool]) -> Offer:
    """The operations that can be offered, and what cannot."""
    found: dict[str, Tool] = {}
    refused: dict[str, str] = {}
    for number, one in enumerate(listed):
        reason = "there are too many" if number >= MAX_TOOLS else _refusal(tool, one)
        if one.name in found:
            # Which of the two a call would reach is the server's secret: neither is offered.
            del found[one.name]
            reason = "the server lists it twice"
        if reason or one.name in refused:
            refused.setdefault(one.name, reason)
        else:
            found[one.name] = one
    return Offer(tuple(map(_operation, found.values())), refused, tuple(map(_described, found.values())))


def broken_protocol(error: ValidationError) -> str:
    """What an answer that is none has wrong; the place in it, and what should stand there."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "as a whole"
    what = _ANSWERS.get(error.title, "an answer of the server")
    return f"{what} breaks the protocol: {place:.100}: {first['msg']:.200}"


def result_of(result: CallToolResult) -> ToolResult:
    """Text blocks joined, other blocks named; structured content as data."""
    text = "\n".join(_block(block) for block in result.content)
    data = result.structured_content
    if not text and data is not None:
        text = as_text(data)
    if len(text) > MAX_RESULT:
        return failed(f"the answer is larger than {MAX_RESULT} characters")
    return ToolResult(text, data=data, error=bool(result.is_error))


def _operation(tool: Tool) -> Operation:
    hints = tool.annotations
    harmless = bool(hints and hints.read_only_hint is True)
    return Operation(tool.name, _about(tool), tool.input_schema, "call", effect=not harmless)


def _described(tool: Tool) -> Described:
    hints = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    return Described(tool.name, _about(tool), tool.input_schema, hints, tool.output_schema)


def _about(tool: Tool) -> str:
    return tool.description or tool.title or tool.name


def _refusal(tool: str, listed: Tool) -> str:
    if not _NAME.fullmatch(listed.name):
        return "its name has other characters than A-Z, a-z, 0-9, _ and -, or more than 64"
    if not fits_wire(tool, listed.name):
        return "its name is too long to be offered to a model together with the tool's"
    if len(as_text(listed.input_schema)) + len(listed.description or "") > MAX_SCHEMA:
        return "its schema and description are too long"
    if not _can_be_pinned(listed):
        return "its schema holds numbers or text that JSON does not have"
    return _schema_refusal(listed.input_schema)


def _can_be_pinned(listed: Tool) -> bool:
    try:
        return bool(_described(listed).pin)
    except ValueError:
        return False


def _schema_refusal(schema: Mapping[str, Any]) -> str:
    from jsonschema import Draft202012Validator, SchemaError

    if schema.get("type") != "object":
        return "its input schema is not of type object"
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return f"its input schema is invalid: {error.message:.200}"
    return ""


def _block(block: Any) -> str:
    """One content block as text. Pictures and sounds are named, not shown."""
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            return f"[{block.type} {block.mime_type}, {len(block.data)} characters of base64]"
        case "resource_link":
            return f"[resource {block.name}: {block.uri}]"
        case "resource":
            text = getattr(block.resource, "text", None)
            return text if text is not None else f"[resource {block.resource.uri}]"
        case other:
            return f"[{other}]"
