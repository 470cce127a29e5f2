"""What operations the tools of a manifest have, as far as its files and the lock say.

Goes in: tools, the project's files, the lock. Comes out: operations with the kinds of their arguments, and of the other
tools why nothing is known. A python tool's come from its source, an http tool's from its document, both as they are
now; an mcp tool's from the lock, where it was made for the command or URL that the manifest has. Nothing is started.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bedplate.access import matches
from bedplate.access.automata import witness
from bedplate.access.model import Grant, Operation
from bedplate.blueprint import lock as locks
from bedplate.blueprint.apidocument import Broken, Document
from bedplate.blueprint.described import Described
from bedplate.blueprint.files import FileTrouble, ProjectFiles
from bedplate.blueprint.lock import LOCK_NAME, Lock
from bedplate.blueprint.openapi import Wanted, read_api
from bedplate.blueprint.signatures import function_of
from bedplate.manifest.tools import HttpTool, McpTool, PythonTool, Tool
from bedplate.problems import BedplateError, Problem, Where


@dataclass(frozen=True)
class Known:
    """The operations of tools. `unknown` says why nothing is known of a tool; `bedplate lock` mends it for servers."""

    operations: tuple[Operation, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

    def of(self, tool: str) -> tuple[Operation, ...]:
        """Those of one tool."""
        return tuple(operation for operation in self.operations if operation.tool == tool)


def read_lock(files: ProjectFiles) -> tuple[Lock, tuple[Problem, ...]]:
    """The project's lock, empty where there is none, and what is wrong with the file."""
    if not (files.project / LOCK_NAME).exists():
        return Lock(), ()
    try:
        return locks.read(files.text(LOCK_NAME)), ()
    except FileTrouble as trouble:
        return Lock(), (Problem(trouble.code, trouble.summary, Where(LOCK_NAME), fix=trouble.fix),)
    except BedplateError as error:
        return Lock(), error.problems


def _all(_method: str, _pattern: str) -> bool:
    return True


def known(tools: Iterable[Tool], files: ProjectFiles, lock: Lock, grants: Sequence[Grant] | None = None) -> Known:
    """What is known of the operations of some tools. With `grants`: only of those that one of them can meet."""
    found: list[Operation] = []
    unknown: dict[str, str] = {}
    for tool in tools:
        match tool:
            case PythonTool() | HttpTool():
                described, why = own(tool, files, _wanted(tool.name, grants) if grants is not None else _all)
                operations = [one.operation(tool.name) for one in described]
            case McpTool():
                why = locks.unpinned(lock, tool.name, behind(tool, files))
                operations = [] if why else list(locks.operations(lock, tool.name))
            case _:
                continue
        if why:
            unknown[tool.name] = why
        found += [one for one in operations if grants is None or _met(one, grants)]
    return Known(tuple(found), unknown)


def own(tool: PythonTool | HttpTool, files: ProjectFiles, wanted: Wanted = _all) -> tuple[Sequence[Described], str]:
    """The operations that the project's own files describe, or why they describe none (told elsewhere as well)."""
    try:
        match tool:
            case PythonTool():
                module, _, function = tool.entrypoint.partition(":")
                found = function_of(_source(module, files), function)
                return ((found,), "") if found else ((), f"its module has no function {function}")
            case HttpTool():
                file = tool.openapi.file
                document = _document(files.locate(file), files.one(file).sha256)
                return [one.described for one in read_api(tool.name, document, tool.base_url, wanted).operations], ""
    except (FileTrouble, Broken, SyntaxError, ValueError) as error:
        return (), error.summary if isinstance(error, FileTrouble) else str(error)


def behind(tool: Tool, files: ProjectFiles) -> dict[str, Any]:
    """What stands behind a tool, in the manifest's fields, as the lock has it; empty for types that need no pins."""
    match tool:
        case McpTool():
            return {"command": list(tool.command)} if tool.command else {"url": tool.url}
        case PythonTool():
            return {"entrypoint": tool.entrypoint}
        case HttpTool():
            at = {"baseUrl": tool.base_url} if tool.base_url else {}
            return {"openapi": tool.openapi.file, "document": f"sha256:{files.one(tool.openapi.file).sha256}", **at}
        case _:
            return {}


def _source(module: str, files: ProjectFiles) -> str:
    base = module.replace(".", "/")
    path = f"{base}.py" if (files.project / f"{base}.py").is_file() else f"{base}/__init__.py"
    return files.text(path)


@lru_cache(maxsize=8)
def _document(path: Path, _sha256: str) -> Document:
    """A document as it is with this content: every stage reads the same ones."""
    return Document.read(path)


def _wanted(tool: str, grants: Sequence[Grant]) -> Wanted:
    """Whether a grant of the tool can meet addresses."""
    mine = [grant for grant in grants if grant.tool == tool]

    def wanted(method: str, pattern: str) -> bool:
        return any(g.verb == method and witness((g.pattern, pattern), ()) is not None for g in mine)

    return wanted


def _met(operation: Operation, grants: Sequence[Grant]) -> bool:
    """Whether a grant speaks of the operation. Those of http were chosen by address."""
    mine = (grant for grant in grants if grant.tool == operation.tool and grant.verb == "call")
    return bool(operation.method) or any(matches(grant.pattern, operation.name) for grant in mine)
