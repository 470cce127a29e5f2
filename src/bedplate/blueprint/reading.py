"""Which documents a python or mcp tool may read: what its sandbox is given, file by file. Pure."""

from __future__ import annotations

from pathlib import Path

from bedplate.access import Request, decide
from bedplate.blueprint.model import Blueprint, McpTool, PythonTool


def readable_documents(blueprint: Blueprint, tool: PythonTool | McpTool) -> tuple[Path, ...]:
    """The absolute paths of the documents that the grants of `tool` let it read, in the order of its sources."""
    function = tool.entrypoint.partition(":")[2] if isinstance(tool, PythonTool) else ""
    found: list[Path] = []
    for source in blueprint.data:
        if source.name in tool.data:
            for file in source.files:
                full = Path(blueprint.project, file.path)
                path = full.relative_to(source.root).as_posix()
                question = Request(tool.name, function, "read", f"{source.name}/{path}", kind="file")
                if decide(blueprint.scopes, question).allowed:
                    found.append(full)
    return tuple(found)
