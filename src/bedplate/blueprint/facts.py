"""What the tools and data of a blueprint are, as checks of access ask. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from bedplate.access.facts import DataFacts, Facts, Label, ToolFacts
from bedplate.blueprint.model import Blueprint, McpTool, SearchTool, SqlTool, Tool

_OWN = (ToolFacts("memory", "memory"), ToolFacts("state", "state"), ToolFacts("sandbox", "sandbox"))


def facts(blueprint: Blueprint) -> Facts:
    """The facts of one stage. Memory, shared state and the sandbox are always among the tools."""
    files = [DataFacts(source.name, "files", _labels(source.labels), source.where) for source in blueprint.data]
    stores = [DataFacts(store.name, store.type, _labels(store.labels), store.where) for store in blueprint.stores]
    return Facts((*map(_tool, blueprint.tools), *_OWN), (*files, *stores))


def _tool(tool: Tool) -> ToolFacts:
    """A server at a URL runs elsewhere; a command runs here, and has no network but for its egress."""
    remote = isinstance(tool, McpTool) and tool.url is not None
    use = tool.use if isinstance(tool, SearchTool | SqlTool) else ""
    return ToolFacts(tool.name, tool.type, remote, use, _labels(tool.labels), tool.where)


def _labels(written: Iterable[str]) -> frozenset[Label] | None:
    """None where none are written: the kind decides then."""
    return frozenset(cast("Iterable[Label]", written)) or None
