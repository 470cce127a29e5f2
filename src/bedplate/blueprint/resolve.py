"""`resolve`: a loaded manifest and a stage's name to the `Blueprint` of that stage.

Goes in: `LoadedManifest`. Comes out: `Blueprint`, or every problem at once, of form (BP0xx) and of meaning (BP1xx). It
reads the files that the manifest names and nothing else; it starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bedplate.access import ScopeSet
from bedplate.blueprint import checks, digest, references
from bedplate.blueprint.build import Parts, agent_parts
from bedplate.blueprint.files import FileTrouble, ProjectFiles
from bedplate.blueprint.grants import GrantReader
from bedplate.blueprint.model import Blueprint, DataSource, Digests, FileRef
from bedplate.blueprint.narrow import Access, widenings
from bedplate.manifest.load import LoadedManifest, StageManifest, in_order, name_path
from bedplate.manifest.overlay import Source
from bedplate.manifest.tools import FileName, HttpTool, McpTool
from bedplate.manifest.words import did_you_mean
from bedplate.problems import BedplateError, Problem

LOCK_NAME = "bedplate.lock"


def stages(loaded: LoadedManifest) -> tuple[str, ...]:
    """The names of the stages in the order written; the first is the default."""
    return tuple(loaded.stages)


@dataclass(frozen=True)
class BuildInputs:
    """What a build is made from besides the manifest's text: every file that any stage names, and the lock."""

    digest: str
    files: tuple[FileRef, ...]
    lock: FileRef | None


@dataclass(frozen=True)
class Draft:
    """A stage with all its problems, and those of the file's form. Without any, `sketch` is the stage's blueprint.

    With problems, the parts at fault are left out of `sketch`, so that the rest can be checked; `source` tells which.
    """

    sketch: Blueprint
    source: Source
    problems: tuple[Problem, ...]
    inputs: BuildInputs

    def blueprint(self) -> Blueprint:
        """The stage's blueprint. Raises BedplateError with all problems."""
        if self.problems:
            raise BedplateError(*self.problems)
        return self.sketch


def draft(loaded: LoadedManifest, stage: str | None = None) -> Draft:
    """The draft of one stage; None means the first. Raises BedplateError where there is no such stage (BP115)."""
    name = stage or next(iter(loaded.stages))
    if name in loaded.stages:
        return _Resolver(loaded).draft(loaded.stages[name])
    problems = list(loaded.problems)
    if name not in loaded.stage_names:
        fix = did_you_mean(name, loaded.stages)
        problems.append(Problem("BP115", f"{loaded.file} has no stage `{name}`", fix=fix))
    raise BedplateError(*problems)


def drafts(loaded: LoadedManifest) -> tuple[Draft, ...]:
    """The drafts of all stages, in the order written."""
    resolver = _Resolver(loaded)
    return tuple(resolver.draft(stage) for stage in loaded.stages.values())


def resolve(loaded: LoadedManifest, stage: str | None = None) -> Blueprint:
    """The blueprint of one stage; None means the first. Raises BedplateError with every problem of it and of form."""
    return draft(loaded, stage).blueprint()


def resolve_all(loaded: LoadedManifest) -> tuple[Blueprint, ...]:
    """The blueprints of all stages. Raises BedplateError with every problem of form and of every stage, each once."""
    made = drafts(loaded)
    problems = in_order(problem for one in made for problem in one.problems)
    if problems:
        raise BedplateError(*problems)
    return tuple(one.sketch for one in made)


class _Resolver:
    """Resolves stages of one manifest; what they share (files, the build digest) is worked out once."""

    def __init__(self, loaded: LoadedManifest) -> None:
        self.loaded = loaded
        self.files = ProjectFiles(loaded.project)
        self._inputs: BuildInputs | None = None

    def draft(self, stage: StageManifest) -> Draft:
        reader = GrantReader(stage)
        scopes = ScopeSet(reader.grants(), reader.never())
        data, problems = checks.data_sources(stage, self.files)
        unusable = dict(checks.named_files(stage, self.files))
        problems += [*self.loaded.problems, *self._meaning(stage), *unusable.values(), *reader.problems]
        if stage.overlaid:
            problems += self._narrowing(stage, scopes, data)
        rest = stage.without(unusable)
        return Draft(self._blueprint(rest, scopes, data), rest.source, in_order(problems), self.inputs())

    def _meaning(self, stage: StageManifest) -> Iterator[Problem]:
        yield from checks.names(stage)
        yield from references.references(stage)
        yield from checks.lists(stage)
        yield from checks.model(stage)
        yield from checks.essentials(stage)
        yield from checks.requirements(StageManifest("", self.loaded.manifest, self.loaded.source, False))
        yield from checks.promotion(stage, self.loaded)
        yield from checks.entrypoints(stage, self.files)
        yield from checks.instructions(stage)
        yield from checks.code(stage, self.files)
        yield from checks.lock(self.files, LOCK_NAME)

    def _narrowing(self, stage: StageManifest, scopes: ScopeSet, data: list[DataSource]) -> list[Problem]:
        base = StageManifest("", self.loaded.manifest, self.loaded.source, False)
        reader = GrantReader(base)
        sources, _ = checks.data_sources(base, self.files)
        old = Access(reader.grants(), reader.never(), {source.name: source for source in sources})
        return widenings(
            base, stage, old, Access(scopes.grants, scopes.never, {source.name: source for source in data})
        )

    def _blueprint(self, stage: StageManifest, scopes: ScopeSet, data: list[DataSource]) -> Blueprint:
        parts = agent_parts(stage, self.files)
        code = _code(stage, self.files)
        return Blueprint(
            name=stage.manifest.metadata.name,
            stage=stage.name,
            target="local",
            intent=stage.manifest.intent,
            project=str(self.loaded.project),
            model=parts.model,
            instructions=parts.instructions,
            data=tuple(data),
            tools=parts.tools,
            scopes=scopes,
            memory=parts.memory,
            evals=parts.evals,
            tracing=parts.tracing,
            limits=parts.limits,
            expose=parts.expose,
            sandbox=parts.sandbox,
            digests=Digests(self.inputs().digest, self._behaviour(stage, parts, scopes, data, code)),
            description=stage.manifest.metadata.description or "",
            owner=stage.manifest.metadata.owner or "",
            code=code,
            requirements=next(_requirements(stage, self.files), None),
            lines=self._lines(stage),
            promoted_from=stage.promoted_from,
            approvals=self._approvals(stage),
        )

    def _behaviour(
        self, stage: StageManifest, parts: Parts, scopes: ScopeSet, data: list[DataSource], code: tuple[FileRef, ...]
    ) -> str:
        return digest.behaviour_digest(
            model=parts.model,
            instructions=parts.instructions,
            tools=parts.tools,
            scopes=scopes,
            data={source.name: source.digest for source in data},
            files=[*code, *_tool_files(stage, self.files), *_requirements(stage, self.files)],
            memory=parts.memory,
            limits=parts.limits,
        )

    def _approvals(self, stage: StageManifest) -> int:
        """As written; else one where builds are promoted to, and none where an agent is tried out."""
        declared = self.loaded.manifest.stages.get(stage.name)
        if declared is not None and declared.approvals is not None:
            return declared.approvals.minimum
        return 1 if stage.promoted_from else 0

    def inputs(self) -> BuildInputs:
        """What the build is made from: the manifest with all overlays and every file that any stage names."""
        if self._inputs is None:
            named: dict[str, FileRef] = {}
            whole = StageManifest("", self.loaded.manifest, self.loaded.source, False)
            for stage in (whole, *self.loaded.stages.values()):
                named.update({ref.path: ref for ref in _named(stage, self.files)})
            lock = next(_optional(self.files, LOCK_NAME), None)
            found = digest.build_digest(self.loaded.document, named.values(), lock)
            self._inputs = BuildInputs(found, tuple(named[path] for path in sorted(named)), lock)
        return self._inputs

    def _lines(self, stage: StageManifest) -> dict[str, int]:
        """Lines of the merged document, by names where things have them, and of the stage itself."""
        data, own = stage.source.data, ("stages", stage.name)
        paths = _paths(data, ())
        lines = {name_path(path, data): stage.source.where(path).line for path in paths if path[0] != "stages"}
        written = self.loaded.source.tree.values
        return lines | {".".join(path): written[path].line for path in (own, (*own, "approvals")) if path in written}


def _paths(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    match value:
        case dict():
            for key, inner in value.items():
                yield from _paths(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from _paths(inner, (*path, index))


def _code(stage: StageManifest, files: ProjectFiles) -> tuple[FileRef, ...]:
    """The project's code, where something runs it: its Python files, and what an MCP command names (`server.js`)."""
    if not any(map(checks.runs_code, stage.manifest.tools)):
        return ()
    commands = [tool.command for tool in stage.manifest.tools if isinstance(tool, McpTool) and tool.command]
    named = [ref for command in commands for word in _words(command, files) for ref in _optional(files, word)]
    try:
        own = files.code()
    except FileTrouble:  # `checks.code` says so, and the blueprint is not used
        own = []
    found = {ref.path: ref for ref in (*own, *named)}
    return tuple(found[path] for path in sorted(found))


def _words(command: Sequence[str], files: ProjectFiles) -> Iterator[str]:
    """The words of a command that may name files of a build: a program of a virtual environment is the machine's."""
    program, *rest = command
    yield from rest if files.in_environment(program) else command


def _named(stage: StageManifest, files: ProjectFiles) -> Iterator[FileRef]:
    """Every file that a manifest names. A trouble in a stage that is not being resolved is that stage's to report."""
    manifest = stage.manifest
    paths = [suite.dataset for suite in manifest.evals]
    if isinstance(manifest.instructions, FileName):
        paths.append(manifest.instructions.file)
    for path in paths:
        yield from _optional(files, path)
    yield from _tool_files(stage, files)
    yield from _requirements(stage, files)
    for source in manifest.data:
        try:
            yield from files.documents(source.path, source.include, source.exclude)[1]
        except FileTrouble:
            continue
    yield from _code(stage, files)


def _tool_files(stage: StageManifest, files: ProjectFiles) -> Iterator[FileRef]:
    """The API documents of http tools."""
    for tool in stage.manifest.tools:
        if isinstance(tool, HttpTool):
            yield from _optional(files, tool.openapi.file)


def _requirements(stage: StageManifest, files: ProjectFiles) -> Iterator[FileRef]:
    """The requirements file."""
    runtime = stage.manifest.runtime
    if runtime and runtime.requirements:
        yield from _optional(files, runtime.requirements)


def _optional(files: ProjectFiles, path: str) -> Iterator[FileRef]:
    try:
        yield files.one(path)
    except FileTrouble:
        return
