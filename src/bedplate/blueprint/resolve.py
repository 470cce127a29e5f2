"""`resolve`: a loaded manifest and a stage's name to the `Blueprint` of that stage.

Goes in: `LoadedManifest`. Comes out: `Blueprint`, or every problem at once, of form (BP0xx) and of meaning (BP1xx). It
reads the files that the manifest names and nothing else; it starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bedplate.access import Grant, Operation, ScopeSet
from bedplate.blueprint import checks, digest, named, references, uses
from bedplate.blueprint.addresses import speaks_of
from bedplate.blueprint.build import Parts, agent_parts
from bedplate.blueprint.ceiling import ceiling_of
from bedplate.blueprint.files import FileTrouble, ProjectFiles
from bedplate.blueprint.grants import GrantReader
from bedplate.blueprint.lock import LOCK_NAME
from bedplate.blueprint.model import Blueprint, DataSource, Digests, FileRef
from bedplate.blueprint.narrow import Access, widenings
from bedplate.blueprint.operations import known, read_lock
from bedplate.manifest.load import LoadedManifest, StageManifest, in_order, name_path
from bedplate.manifest.models import Stage
from bedplate.manifest.overlay import Source
from bedplate.manifest.tools import HttpTool, PythonTool, Tool
from bedplate.manifest.words import did_you_mean
from bedplate.problems import BedplateError, Problem


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
        self._lock, self._lock_problems = read_lock(self.files)
        self._known: dict[str, tuple[Sequence[Operation], str]] = {}

    def draft(self, stage: StageManifest) -> Draft:
        reader = GrantReader(stage, self._operations)
        grants = reader.grants()
        scopes = ScopeSet(grants, reader.never(), self._reachable(stage, grants))
        data, problems = checks.data_sources(stage, self.files)
        unusable = dict(checks.named_files(stage, self.files))
        problems += [*self.loaded.problems, *self._meaning(stage), *unusable.values(), *reader.problems]
        if stage.overlaid:
            problems += self._narrowing(stage, scopes, data, reader.doubtful)
        ceiling, wrong = ceiling_of(stage, self.files, self._operations)
        problems += wrong
        rest = stage.without(unusable)
        blueprint = replace(self._blueprint(rest, scopes, data), ceiling=ceiling)
        return Draft(blueprint, rest.source, in_order(problems), self.inputs())

    def _operations(self, tool: Tool) -> tuple[Sequence[Operation], str]:
        """What is known of a tool's operations, looked up once, or why nothing is."""
        key = tool.model_dump_json(include={"name", "type", "command", "url", "entrypoint", "openapi", "base_url"})
        if key not in self._known:
            found = known((tool,), self.files, self._lock)
            why = found.unknown.get(tool.name, "nothing describes an operation of it")
            self._known[key] = found.of(tool.name), "" if self._is_told(tool) else why
        return self._known[key]

    def _is_told(self, tool: Tool) -> bool:
        """Whether what is wrong with the files that describe a tool is told where they are named."""
        if isinstance(tool, HttpTool):
            try:
                checks.openapi(self.files, tool.openapi.file)
            except FileTrouble:
                return True
        return isinstance(tool, PythonTool)

    def _reachable(self, stage: StageManifest, grants: Sequence[Grant]) -> tuple[Operation, ...]:
        """The known operations that some grant is about: what a request is held against."""
        found = (op for tool in stage.manifest.tools for op in self._operations(tool)[0])
        return tuple(op for op in found if any(g.tool == op.tool and speaks_of(g, op) for g in grants))

    def _meaning(self, stage: StageManifest) -> Iterator[Problem]:
        yield from checks.names(stage)
        yield from references.references(stage)
        yield from uses.misused(stage)
        yield from uses.agents(stage)
        yield from checks.lists(stage)
        yield from checks.model(stage)
        yield from checks.essentials(stage)
        yield from checks.requirements(StageManifest("", self.loaded.manifest, self.loaded.source, False))
        yield from checks.promotion(stage, self.loaded)
        yield from checks.entrypoints(stage, self.files)
        yield from checks.instructions(stage)
        yield from checks.code(stage, self.files)
        yield from self._lock_problems

    def _narrowing(
        self, stage: StageManifest, scopes: ScopeSet, data: list[DataSource], doubtful: set[str]
    ) -> list[Problem]:
        base = StageManifest("", self.loaded.manifest, self.loaded.source, False)
        reader = GrantReader(base, self._operations)
        sources, _ = checks.data_sources(base, self.files)
        before = reader.grants()
        documents = {source.name: source for source in sources}
        old = Access(before, reader.never(), documents, self._reachable(base, before))
        doubtful = doubtful | reader.doubtful  # said already; what is missing there proves nothing
        sure = tuple(grant for grant in scopes.grants if grant.tool not in doubtful)
        new = Access(sure, scopes.never, {source.name: source for source in data}, scopes.operations)
        return widenings(base, stage, old, new)

    def _blueprint(self, stage: StageManifest, scopes: ScopeSet, data: list[DataSource]) -> Blueprint:
        parts = agent_parts(stage, self.files)
        code, declared = named.code_of(stage, self.files), self._declared(stage)
        return Blueprint(
            name=stage.manifest.metadata.name,
            stage=stage.name,
            target=declared.target if declared else "local",
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
            requirements=next(named.requirements_of(stage, self.files), None),
            lines=self._lines(stage),
            promoted_from=stage.promoted_from,
            approvals=self._approvals(stage),
            stores=parts.stores,
            state=parts.state,
            accept=parts.accept,
            region=declared.region or "" if declared else "",
            account=declared.account or "" if declared else "",
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
            files=[*code, *named.tool_files(stage, self.files), *named.requirements_of(stage, self.files)],
            memory=parts.memory,
            limits=parts.limits,
            stores=parts.stores,
        )

    def _declared(self, stage: StageManifest) -> Stage | None:
        """What the file says of the stage itself; nothing where it names none."""
        return self.loaded.manifest.stages.get(stage.name)

    def _approvals(self, stage: StageManifest) -> int:
        """As written; else one where builds are promoted to, and none where an agent is tried out."""
        declared = self._declared(stage)
        if declared is not None and declared.approvals is not None:
            return declared.approvals.minimum
        return 1 if stage.promoted_from else 0

    def inputs(self) -> BuildInputs:
        """What the build is made from: the manifest with all overlays and every file that any stage names."""
        if self._inputs is None:
            held: dict[str, FileRef] = {}
            whole = StageManifest("", self.loaded.manifest, self.loaded.source, False)
            for stage in (whole, *self.loaded.stages.values()):
                held.update({ref.path: ref for ref in named.files_of(stage, self.files)})
            lock = next(named.optional(self.files, LOCK_NAME), None)
            found = digest.build_digest(self.loaded.document, held.values(), lock)
            self._inputs = BuildInputs(found, tuple(held[path] for path in sorted(held)), lock)
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
