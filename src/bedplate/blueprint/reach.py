"""`reach`: everything that the agent of a blueprint may do, as `access.findings.compare` takes it.

Goes in: a blueprint, of a manifest or of what is deployed. Comes out: `Reach`, in the manifest's words, with paths
relative to the project. Pure: what it says of files stands in the blueprint.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from bedplate.access.reach import Answered, Link, Most, Reach, Source, Thing
from bedplate.blueprint.files import DOCUMENTS
from bedplate.blueprint.model import (
    BUILT_IN,
    Blueprint,
    DataSource,
    DynamodbStore,
    HttpTool,
    McpTool,
    ModelSpec,
    PostgresStore,
    PythonTool,
    S3Store,
    SearchTool,
    SecretRef,
    SqlTool,
    Tool,
)

_SEARCH = (("read", "search"), ("read", "open"))
_MEMORY = (("read", "recall"), ("write", "remember"))
_OWN = "credentials"
_SHOWN = 12
"""Hex digits of a hash that words show."""


def reach(blueprint: Blueprint) -> Reach:
    """What the agent may do and what stands behind it."""
    sources = tuple(_sources(blueprint))
    things = [_thing(tool, blueprint, sources) for tool in blueprint.tools]
    things += _own_things(blueprint)
    if blueprint.memory.long_term:
        where = next((grant.where for grant in blueprint.scopes.grants if grant.tool == "memory"), "")
        things.append(Thing("memory", "memory", behind="facts about the user", operations=_MEMORY, where=where))
    links = (*_model(blueprint), *_stores(blueprint), *(link for tool in blueprint.tools for link in _secrets(tool)))
    most = Most(ceiling.scopes, ceiling.path, ceiling.where) if (ceiling := blueprint.ceiling) else None
    return Reach(blueprint.scopes, tuple(things), links, sources, most, tuple(_answered(blueprint)))


def written_at(blueprint: Blueprint, *paths: str) -> str:
    """`agent.yaml:LINE` of the first of these dotted paths that is written; else where the model is."""
    line = next((blueprint.lines[path] for path in paths if path in blueprint.lines), None)
    return f"{blueprint.model.where.rpartition(':')[0]}:{line}" if line else blueprint.model.where


def documents(blueprint: Blueprint) -> dict[str, tuple[str, ...]]:
    """The paths of the documents of each data source, below its root: what witnesses are taken from first."""
    return {s.name: tuple(_below(blueprint, s, file.path) for file in s.files) for s in blueprint.data}


def _answered(blueprint: Blueprint) -> Iterator[Answered]:
    for entry in blueprint.accept:
        gap = f"clause {entry.clause}" if entry.clause else f"risk {entry.risk}"
        yield Answered(gap, entry.until, f"{entry.owner}: {entry.reason}", entry.where)


def _own_things(blueprint: Blueprint) -> Iterator[Thing]:
    """What is no tool of the manifest and has grants."""
    firsts = {grant.tool: grant.where for grant in reversed(blueprint.scopes.grants)}
    if "state" in firsts:
        yield Thing("state", "state", behind="state that agents share", where=firsts["state"])
    if "sandbox" in firsts:
        yield Thing("sandbox", "sandbox", behind="files of the agent's process", where=firsts["sandbox"])


def _thing(tool: Tool, blueprint: Blueprint, sources: tuple[Source, ...]) -> Thing:
    match tool:
        case SearchTool(name=name, where=where):
            text = next((s.text for s in sources if s.tool == name), tool.use)
            return Thing(name, "search", "reads", f"data {text}", _SEARCH, where)
        case PythonTool(name=name, entrypoint=entrypoint, where=where):
            function = entrypoint.partition(":")[2]
            return Thing(name, "python", "runs", entrypoint, _operations(name, function, blueprint), where)
        case McpTool(name=name, url=str() as url, where=where):
            return Thing(name, "mcp", "connects to", url, where=where)
        case McpTool(name=name, command=command, where=where):
            return Thing(name, "mcp", "runs", f"command {' '.join(map(_quoted, command))}", where=where)
        case HttpTool(name=name, where=where):
            return Thing(name, "http", "connects to", _service(tool, blueprint), where=where)
        case SqlTool(name=name, use=use, where=where):
            return Thing(name, "sql", "asks", _store(use, blueprint), where=where)
        case _:
            assert_never(tool)


def _operations(tool: str, function: str, blueprint: Blueprint) -> tuple[tuple[str, str], ...]:
    """Of a python tool: its function, by each verb that a grant names, since it does everything by itself."""
    verbs = dict.fromkeys(("call", "read", *(g.verb for g in blueprint.scopes.grants if g.tool == tool)))
    return tuple((verb, function) for verb in verbs)


def _store(name: str, blueprint: Blueprint) -> str:
    """A store in words that say what another store of the same name would not."""
    match next((store for store in blueprint.stores if store.name == name), None):
        case PostgresStore(database=database):
            return f"the database {database}"
        case S3Store(bucket=bucket, prefix=prefix, region=region):
            return f"s3://{bucket}/{prefix}" + (f" in {region}" if region else "")
        case DynamodbStore(table=table, region=region):
            return f"the table {table}" + (f" in {region}" if region else "")
        case _:
            return f"data {name}"


def _stores(blueprint: Blueprint) -> Iterator[Link]:
    """What python and mcp tools reach by themselves, besides files."""
    known = {store.name: store.where for store in blueprint.stores}
    for tool in blueprint.tools:
        if isinstance(tool, PythonTool | McpTool):
            for name in tool.data:
                if name in known:
                    yield Link(tool.name, "uses", f"{name}: {_store(name, blueprint)}", known[name])


def _quoted(word: str) -> str:
    """A word of a command so that two commands never read alike."""
    return word if word and not set(word) & set(" '\"") else repr(word)


def _service(tool: HttpTool, blueprint: Blueprint) -> str:
    """The service's address and what describes it. The document's content says what is sent, and how."""
    document = Path(os.path.relpath(Path(blueprint.project, tool.document), blueprint.project)).as_posix()
    content = f"sha256 {tool.files[0].sha256[:_SHOWN]}" if tool.files else "content not recorded"
    at = tool.base_url or "the servers"
    return f"{at} of {document} ({content})"


def _sources(blueprint: Blueprint) -> Iterator[Source]:
    for tool in blueprint.tools:
        for name, prefix in _used(tool):
            found = next((source for source in blueprint.data if source.name == name), None)
            if found:
                yield _source(tool, found, prefix, blueprint)


def _used(tool: Tool) -> tuple[tuple[str, str], ...]:
    """The data sources that a tool reads, each with what its grants put before a document's path."""
    match tool:
        case SearchTool(use=name):
            return ((name, ""),)
        case PythonTool(data=names) | McpTool(data=names):
            return tuple((name, f"{name}/") for name in names)
        case HttpTool() | SqlTool():
            return ()
        case _:
            assert_never(tool)


def _source(tool: Tool, data: DataSource, prefix: str, blueprint: Blueprint) -> Source:
    root = Path(os.path.relpath(data.root, blueprint.project)).as_posix()
    path = posixpath.normpath(data.path or root)
    if path != root:  # one file, whose folder is the root; neither list matters then
        include: tuple[str, ...] = (posixpath.basename(path),)
        return Source(tool.name, data.name, path, include, (), prefix, f"{data.name}: {path}", data.where)
    only = ", ".join(data.include)
    but = f"without {', '.join(data.exclude)}" if data.exclude else ""
    said = "; ".join(part for part in (only, but) if part)
    text = f"{data.name}: {path}" + (f" ({said})" if said else "")
    include = data.include or DOCUMENTS
    return Source(tool.name, data.name, path, include, data.exclude, prefix, text, data.where)


def _below(blueprint: Blueprint, source: DataSource, path: str) -> str:
    return Path(os.path.relpath(Path(blueprint.project, path), source.root)).as_posix()


def _model(blueprint: Blueprint) -> Iterator[Link]:
    """Where conversations go, and the keys that go with them. A built-in model stays on the machine."""
    model = blueprint.model
    for name in _called(model):
        provider = name.partition(":")[0]
        if provider not in BUILT_IN:
            elsewhere = model.base_url if provider == model.provider else None
            at = f"{provider} at {elsewhere}" if elsewhere else provider
            yield Link("model", "talks to", at, written_at(blueprint, *_address(model, name)))
        if ref := model.secret_of(name):
            yield Link("model", "uses secret", f"{ref.name} for {provider}", written_at(blueprint, *_key(model, name)))


def _called(model: ModelSpec) -> Iterator[str]:
    """One model of each provider that is called. A model built in never fails over."""
    used = (model.id,) if model.provider == "bedplate" else (model.id, *model.fallback)
    yield from {name.partition(":")[0]: name for name in reversed(used)}.values()


def _address(model: ModelSpec, name: str) -> tuple[str, ...]:
    """The fields that say where the provider of a model is, the one that says most first."""
    if name.partition(":")[0] == model.provider:
        return "model.baseUrl", "model.id", "model"
    return f"model.fallback.{model.fallback.index(name)}", "model.fallback"


def _key(model: ModelSpec, name: str) -> tuple[str, ...]:
    """The fields that say which key goes there."""
    own = name.partition(":")[0] == model.provider
    return ("model.credentials.secret", "model.credentials") if own else _address(model, name)


def _secrets(tool: Tool) -> Iterator[Link]:
    """Each secret with the name under which the tool gets it: the same secret under another name is another use."""
    match tool:
        case McpTool(env=env, credentials=credentials):
            uses = [*((ref, name) for name, ref in env.items()), *([(credentials, _OWN)] if credentials else [])]
        case HttpTool(credentials=SecretRef() as ref):
            uses = [(ref, _OWN)]
        case _:
            uses = []
    for said in sorted(f"{ref.name} as {name}" for ref, name in uses):
        yield Link(tool.name, "uses secret", said, tool.where)
