"""The parts of a blueprint that follow from the manifest alone, section by section.

Goes in: a checked stage. Comes out: frozen values of `blueprint.model`. Pure but for the instructions' file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bedplate.blueprint import model as m
from bedplate.blueprint.files import ProjectFiles
from bedplate.blueprint.grants import line
from bedplate.manifest import bounds, data, models, tools
from bedplate.manifest.fields import SecretName
from bedplate.manifest.load import StageManifest


@dataclass(frozen=True)
class Parts:
    """The sections of a blueprint that need nothing but the manifest."""

    model: m.ModelSpec
    instructions: str
    tools: tuple[m.Tool, ...]
    memory: m.Memory
    evals: tuple[m.EvalSuite, ...]
    tracing: m.Tracing
    limits: m.Limits
    expose: m.Expose
    sandbox: m.Sandbox
    stores: tuple[m.DataStore, ...]
    state: tuple[m.StateKey, ...]
    accept: tuple[m.Accept, ...]


def agent_parts(stage: StageManifest, files: ProjectFiles) -> Parts:
    """All sections of one stage."""
    manifest = stage.manifest
    return Parts(
        model=_model(stage),
        instructions=_instructions(manifest.instructions, files),
        tools=tuple(_tool(stage, index, files) for index in range(len(manifest.tools))),
        memory=_memory(manifest.memory),
        evals=tuple(_suite(stage, index) for index in range(len(manifest.evals))),
        tracing=_tracing(manifest.tracing or models.Tracing()),
        limits=_limits(manifest.limits),
        expose=m.Expose(tuple(manifest.expose.protocols), manifest.expose.auth.type, manifest.expose.port),
        sandbox=_sandbox(manifest.sandbox),
        stores=tuple(store for index in range(len(manifest.data)) if (store := _store(stage, index))),
        state=tuple(_state(stage)),
        accept=tuple(_accept(stage)),
    )


def _secret(name: SecretName | None) -> m.SecretRef | None:
    return m.SecretRef(name.secret) if name else None


def _model(stage: StageManifest) -> m.ModelSpec:
    model = stage.manifest.model
    settings = model.settings.model_dump(by_alias=True, exclude_none=True)
    where = line(stage.source.where(("model",)))
    return m.ModelSpec(model.id, tuple(model.fallback), settings, model.base_url, _secret(model.credentials), where)


def _instructions(written: str | tools.FileName, files: ProjectFiles) -> str:
    return written if isinstance(written, str) else files.text(written.file)


def _tool(stage: StageManifest, index: int, files: ProjectFiles) -> m.Tool:
    tool = stage.manifest.tools[index]
    where = line(stage.source.where(("tools", index)))
    said, labels = tool.description or "", tuple(tool.labels)
    match tool:
        case tools.SearchTool():
            return m.SearchTool(tool.name, tool.use, said, where, labels=labels)
        case tools.PythonTool():
            used = tuple(d.use for d in tool.data)
            return m.PythonTool(tool.name, tool.entrypoint, used, said, where, labels=labels)
        case tools.McpTool():
            env = {name: m.SecretRef(ref.secret) for name, ref in tool.env.items()}
            command = tuple(tool.command or ())
            return m.McpTool(
                tool.name,
                command,
                tool.url,
                env,
                _secret(tool.credentials),
                said,
                where,
                data=tuple(d.use for d in tool.data),
                labels=labels,
            )
        case tools.HttpTool():
            path = tool.openapi.file
            document, described = str(files.locate(path)), (files.one(path),)
            return m.HttpTool(
                tool.name,
                document,
                tool.base_url,
                _secret(tool.credentials),
                said,
                where,
                files=described,
                labels=labels,
            )
        case tools.SqlTool():
            return m.SqlTool(tool.name, tool.use, said, where, labels=labels)


def _store(stage: StageManifest, index: int) -> m.DataStore | None:
    """A data source that is no files; None for files, whose documents are looked up."""
    source = stage.manifest.data[index]
    labels, where = tuple(source.labels), line(stage.source.where(("data", index)))
    match source:
        case data.FilesData():
            return None
        case data.PostgresData():
            return m.PostgresStore(source.name, source.database, source.tables, labels, where)
        case data.S3Data():
            return m.S3Store(source.name, source.bucket, source.prefix or "", source.region or "", labels, where)
        case data.DynamodbData():
            return m.DynamodbStore(source.name, source.table, source.region or "", labels, where)


def _state(stage: StageManifest) -> Iterator[m.StateKey]:
    for key, access in stage.manifest.state.items():
        where = line(stage.source.where(("state", key), key=True))
        yield m.StateKey(key, tuple(access.read), tuple(access.write), where)


def _accept(stage: StageManifest) -> Iterator[m.Accept]:
    for index, entry in enumerate(stage.manifest.accept):
        where = line(stage.source.where(("accept", index)))
        yield m.Accept(entry.reason, entry.owner, entry.until, entry.risk or "", entry.clause or "", where)


def _memory(memory: models.Memory | None) -> m.Memory:
    if memory is None:
        return m.Memory()
    sessions, facts = memory.sessions, memory.long_term
    return m.Memory(
        sessions=m.SessionMemory(sessions.retention, sessions.per) if sessions else None,
        long_term=m.LongTermMemory(facts.retention, facts.write, tuple(facts.redact), facts.per) if facts else None,
    )


def _suite(stage: StageManifest, index: int) -> m.EvalSuite:
    suite = stage.manifest.evals[index]
    gates = tuple(
        m.Gate(
            gate.metric,
            gate.min.value if gate.min else None,
            gate.max.value if gate.max else None,
            line(stage.source.where(("evals", index, "gates", number))),
        )
        for number, gate in enumerate(suite.gates)
    )
    where = line(stage.source.where(("evals", index)))
    return m.EvalSuite(suite.name, suite.dataset, suite.repeats, gates, where, tuple(suite.run_on))


def _tracing(tracing: models.Tracing) -> m.Tracing:
    return m.Tracing(tracing.content, tracing.sample_ratio, tracing.retention)


def _sandbox(sandbox: bounds.Sandbox) -> m.Sandbox:
    return m.Sandbox(sandbox.memory, sandbox.pids, tuple(sandbox.read), tuple(sandbox.write))


def _limits(limits: models.Limits) -> m.Limits:
    return m.Limits(limits.requests, limits.tool_calls, limits.tokens, limits.cost, limits.timeout)
