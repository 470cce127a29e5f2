"""What sections say of each other: tools use data, `never` speaks of tools.

Goes in: a stage's manifest. Comes out: problems, empty where all is well. Names of items that are left out because
something else in them is wrong still count: else one problem would bring others. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bedplate.manifest.fields import NAME
from bedplate.manifest.load import StageManifest
from bedplate.manifest.overlay import ANY
from bedplate.manifest.tools import PythonTool, SearchTool
from bedplate.manifest.words import did_you_mean
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem

RESERVED_TOOLS = frozenset({"memory"})


def references(stage: StageManifest) -> Iterator[Problem]:
    """Every `use` names a data source, every data source is used, every `never` speaks of a tool that exists."""
    known = names_written(stage, "data")
    for path, use in _uses(stage):
        if known is not None and use not in known:
            fix = did_you_mean(use, known, "declare it under `data`")
            yield Problem("BP103", f"there is no data source `{use}`", stage.source.where(path), fix=fix)
    used = _uses_written(stage)
    for index, source in enumerate(stage.manifest.data):
        if used is not None and source.name not in used:
            fix = f"add a tool with `use: {source.name}`, or remove the source"
            yield Problem(
                "BP102", f"no tool uses the data source `{source.name}`", stage.source.where(("data", index)), fix=fix
            )
    yield from _forbidden_tools(stage)


def _forbidden_tools(stage: StageManifest) -> Iterator[Problem]:
    written = names_written(stage, "tools")
    if written is None:
        return
    tools = [*written, *RESERVED_TOOLS]
    for index, never in enumerate(stage.manifest.never):
        tool, dot, _ = never.call.partition(".")
        if dot and "*" not in tool and tool not in tools:
            where = stage.source.where(("never", index, "call"))
            fix = did_you_mean(tool, tools)
            yield Problem("BP103", f"`never` forbids operations of `{tool}`, which is no tool", where, fix=fix)


def names_written(stage: StageManifest, section: str) -> list[str] | None:
    """The names in a section, also of items that are left out; None where one of them cannot be told."""
    items = _items(stage, section)
    if items is None:
        return None
    names = [item["name"] for item in items if _has_text(item, "name") and re.fullmatch(NAME, item["name"])]
    return names if len(names) == len(items) else None


def _uses_written(stage: StageManifest) -> set[str] | None:
    """The data sources that tools use, also tools that are left out; None where one of them cannot be told."""
    tools = _items(stage, "tools")
    if tools is None or stage.source.lost_at("tools", ANY, "data"):
        return None
    uses = [_uses_of(tool) for tool in tools]
    return None if None in uses else {use for found in uses for use in found or ()}


def _uses_of(tool: Any) -> tuple[str, ...] | None:
    match tool:
        case {"type": "mcp" | "http"}:
            return ()
        case {"type": "search", "use": str(use)}:
            return (use,)
        case {"type": "python"}:
            data = tool.get("data", [])
            uses = tuple(item["use"] for item in data if _has_text(item, "use")) if isinstance(data, list) else ()
            return uses if isinstance(data, list) and len(uses) == len(data) else None
        case _:
            return None


def _has_text(item: Any, key: str) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(key), str)


def _items(stage: StageManifest, section: str) -> list[Any] | None:
    items = stage.source.raw.get(section, [])
    return items if isinstance(items, list) and not stage.source.lost_at(section) else None


def _uses(stage: StageManifest) -> Iterator[tuple[Path, str]]:
    for index, tool in enumerate(stage.manifest.tools):
        match tool:
            case SearchTool():
                yield ("tools", index, "use"), tool.use
            case PythonTool():
                for number, data in enumerate(tool.data):
                    yield ("tools", index, "data", number, "use"), data.use
            case _:
                pass
