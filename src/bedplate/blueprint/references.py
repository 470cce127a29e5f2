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
from bedplate.manifest.words import did_you_mean
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem

RESERVED_TOOLS = frozenset({"memory", "state", "sandbox", "model"})
"""What is no tool of the manifest but has grants, or is told apart in records, by such a name."""


def references(stage: StageManifest) -> Iterator[Problem]:
    """Every `use` names a data source, every data source is used, every `never` speaks of a tool that exists."""
    uses, known = list(_uses(stage)), names_written(stage, "data")
    for path, use in uses:
        if path and use and known is not None and use not in known:
            fix = did_you_mean(use, known, "declare it under `data`")
            yield Problem("BP103", f"there is no data source `{use}`", stage.source.raw.where(path), fix=fix)
    used = {use for _, use in uses}
    for index, source in enumerate(stage.manifest.data):
        if None not in used and source.name not in used:
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
    names = [name for item in items or () if (name := _name_at(item, "name"))]
    return names if items is not None and len(names) == len(items) else None


def _uses(stage: StageManifest) -> Iterator[tuple[Path, str | None]]:
    """What tools use, also tools that are left out: None where that cannot be told, no path where it is not judged."""
    tools = _items(stage, "tools")
    if tools is None or stage.source.lost_at("tools", ANY, "data"):
        yield (), None
    for index, tool in enumerate(tools or ()):
        match tool:
            case {"type": "http"}:
                pass
            case {"type": "python" | "mcp", "data": list(data)}:
                for number, item in enumerate(data):
                    yield ("tools", index, "data", number, "use"), _name_at(item, "use")
            case {"type": "python" | "mcp"} if "data" not in tool:
                pass
            case {"type": "search" | "sql"}:
                yield ("tools", index, "use"), _name_at(tool, "use")
            case _:
                yield (), _name_at(tool, "use")


def _items(stage: StageManifest, section: str) -> list[Any] | None:
    items = stage.source.raw.data.get(section, [])
    return items if isinstance(items, list) and not stage.source.lost_at(section) else None


def _name_at(item: Any, key: str) -> str | None:
    name = item.get(key) if isinstance(item, Mapping) else None
    return name if isinstance(name, str) and re.fullmatch(NAME, name) else None
