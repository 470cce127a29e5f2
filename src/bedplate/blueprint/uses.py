"""Which data a tool may use in which way: verbs and clauses by the type of the source. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bedplate.manifest.data import Data, DynamodbData
from bedplate.manifest.load import StageManifest
from bedplate.manifest.scopes import DataScope
from bedplate.manifest.tools import McpTool, PythonTool, SearchTool, SqlTool, Tool
from bedplate.manifest.words import DYNAMODB_VERBS, FILE_VERBS, S3_VERBS, suggest
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem

_VERBS: dict[str, tuple[str, ...]] = {"files": FILE_VERBS, "s3": S3_VERBS, "dynamodb": DYNAMODB_VERBS}
_USED_BY = {"files": "search, python or mcp", "postgres": "sql", "s3": "python or mcp", "dynamodb": "python or mcp"}


def source_of(stage: StageManifest, name: str) -> Data | None:
    """The data source of this name, if it is there."""
    return next((source for source in stage.manifest.data if source.name == name), None)


def usable(scope: DataScope, source: Data) -> Iterator[tuple[str, str, str, str]]:
    """What of a scope does not fit its source: the key at fault, code, summary, fix. Nothing for one of another use."""
    verb, patterns = scope.granted
    verbs = _VERBS.get(source.type)
    if verbs is None:
        return
    if verb not in verbs:
        fix = f"use {' or '.join(f'`{v}`' for v in verbs)} here"
        yield verb, "BP018", f"`{verb}` is not a verb of data of type `{source.type}`", fix
        return
    if not isinstance(source, DynamodbData):
        for clause in ("keys", "attributes"):
            if getattr(scope, clause):
                fix = "write it in the pattern of the verb" if clause == "keys" else "remove it"
                yield clause, "BP809", f"`{clause}` does not fit data of type `{source.type}`", fix
    elif patterns != [source.table]:
        what = f"`{patterns[0][:60]}` is not the table of `{source.name}`"
        yield verb, "BP804", what, f"write {verb}: {source.table}"


def misused(stage: StageManifest) -> Iterator[Problem]:
    """Tools that use data of a type that they cannot use."""
    for index, tool in enumerate(stage.manifest.tools):
        for path, use, types in _uses(tool, ("tools", index)):
            source = source_of(stage, use)
            if source is not None and source.type not in types:
                what = f"a tool of type `{tool.type}` cannot use `{use}`, which is of type `{source.type}`"
                fix = f"data of type `{source.type}` is for tools of type {_USED_BY[source.type]}"
                yield Problem("BP815", what, stage.source.where(path), fix=fix)


def _uses(tool: Tool, at: Path) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """What a tool uses, each with the types that may stand there."""
    match tool:
        case SearchTool():
            yield (*at, "use"), tool.use, ("files",)
        case SqlTool():
            yield (*at, "use"), tool.use, ("postgres",)
        case PythonTool() | McpTool():
            for number, used in enumerate(tool.data):
                yield (*at, "data", number, "use"), used.use, tuple(_VERBS)
        case _:
            return


def agents(stage: StageManifest) -> Iterator[Problem]:
    """Every key of shared state is of use to this agent."""
    me = stage.manifest.metadata.name
    for key, access in stage.manifest.state.items():
        named = [*access.read, *access.write]
        if me not in named and stage.source.whole_at("state", key) and not stage.source.lacks("metadata"):
            near = suggest(me, named)
            fix = f"write {me} for `{near}`" if near else f"add {me} to `read` or `write`, or remove the key"
            where = stage.source.where(("state", key), key=True)
            yield Problem("BP813", f"the state `{key}` gives this agent, {me}, nothing", where, fix=fix)
