"""`bedplate.lock` made anew: every MCP server asked for its tools, every file of the project that describes some read.

Goes in: a manifest that is right in its form. Comes out: the new lock beside the old one and what differs, written at
once or not at all. A server that cannot be asked keeps its old pins. Scopes need not fit: they may wait for new pins.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bedplate.blueprint import model as m
from bedplate.blueprint.described import Described
from bedplate.blueprint.files import ProjectFiles
from bedplate.blueprint.lock import LOCK_NAME, Lock, Pinned, pinned_of, written
from bedplate.blueprint.operations import behind, own, read_lock
from bedplate.blueprint.resolve import Draft, drafts
from bedplate.manifest.load import LoadedManifest, examine
from bedplate.manifest.tools import HttpTool, McpTool, PythonTool, Tool
from bedplate.problems import BedplateError, ExitCode, Problem, Severity
from bedplate.release.relocking import Change, changes


@dataclass(frozen=True)
class Relocked:
    """What `bedplate lock` found. `stale`: the file does not say it (or did not, before it was written).

    `problems` are tools that could not be pinned (errors) and what of a server is not (warnings).
    """

    file: Path
    lock: Lock
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    stale: bool
    wrote: bool

    @property
    def exit(self) -> ExitCode:
        """1 where a tool could not be pinned, 2 where the file is out of date and was not to be written."""
        if any(problem.severity is Severity.ERROR for problem in self.problems):
            return ExitCode.ERROR
        return ExitCode.CHANGES_PENDING if self.stale and not self.wrote else ExitCode.OK


@dataclass(frozen=True)
class _Stage:
    """A stage that has tools: its draft, and the tools as the manifest writes them."""

    draft: Draft
    tools: Mapping[str, Tool]


def relock(
    manifest: Path,
    *,
    stage: str | None = None,
    check: bool = False,
    allow_unsandboxed: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Relocked:
    """Make the lock and write it, with `check` only compare. Secrets are those of `stage` where it has the tool.

    Raises BedplateError for a manifest with problems of form, BP115 for no such stage, BP707 where commands cannot be
    isolated, and BP820 or BP821 where the old lock cannot be read and is needed: for `check`, and for a server that
    does not answer.
    """
    loaded = examine(manifest)
    stages = _stages(loaded, stage)
    files = ProjectFiles(loaded.project)
    old, unread = read_lock(files)
    if check and unread:
        raise BedplateError(*unread)
    found, problems = _pin(stages, loaded, files, allow_unsandboxed, os.environ if environment is None else environment)
    if unread and any(problem.severity is Severity.ERROR for problem in problems):
        raise BedplateError(*unread, *problems)
    named = {name for each in stages for name in each.tools}
    kept = {name: tool for name, tool in old.tools.items() if name in named and name not in found}
    new = Lock({**kept, **found}, _models(stages), _datasets(stages, files))
    file, text = loaded.project / LOCK_NAME, written(new)
    stale = not file.exists() or file.read_text("utf-8") != text
    if stale and not check:
        _replace(file, text)
    return Relocked(file, new, changes(old, new), tuple(problems), stale, wrote=stale and not check)


def _stages(loaded: LoadedManifest, first: str | None) -> tuple[_Stage, ...]:
    """Every stage, the one named before the others. Raises BedplateError where the manifest cannot be used."""
    if loaded.problems:
        raise BedplateError(*loaded.problems)
    if first is not None and first not in loaded.stages:
        from bedplate.blueprint.resolve import draft

        draft(loaded, first)  # raises BP115
    found = [
        _Stage(made, {tool.name: tool for tool in stage.manifest.tools})
        for made, stage in zip(drafts(loaded), loaded.stages.values(), strict=True)
    ]
    for each in found:
        whole = {tool.name for tool in each.draft.sketch.tools}
        if each.tools.keys() - whole:  # a file that the tool names cannot be used
            raise BedplateError(*each.draft.problems)
    return tuple(sorted(found, key=lambda each: each.draft.sketch.stage != first))


def _pin(
    stages: Sequence[_Stage],
    loaded: LoadedManifest,
    files: ProjectFiles,
    allow_unsandboxed: bool,
    environment: Mapping[str, str],
) -> tuple[dict[str, Pinned], list[Problem]]:
    """The pins of every tool that can be pinned, and what is wrong with the others."""
    found: dict[str, Pinned] = {}
    problems: list[Problem] = []
    servers: dict[str, _Stage] = {}
    for each in stages:
        for name, tool in each.tools.items():
            match tool:
                case McpTool():
                    servers.setdefault(name, each)
                case PythonTool() | HttpTool() if name not in found:
                    described, why = own(tool, files)
                    problems += [_unpinned(name, why)] if why else []
                    found |= {} if why else {name: pinned_of(tool.type, behind(tool, files), described, whole=False)}
                case _:
                    pass
    asked = _ask_all(servers, loaded, allow_unsandboxed, environment)
    for name, answer in asked.items():
        problems += answer.problems(name)
        if answer.operations:
            at = behind(servers[name].tools[name], files)
            found[name] = pinned_of("mcp", at, answer.operations, whole=True)
    return found, problems


@dataclass(frozen=True)
class _Answer:
    """What a server lists, or why it could not be asked, and what of its list is left out."""

    operations: tuple[Described, ...] = ()
    why: str = ""
    left_out: str = ""

    def problems(self, tool: str) -> list[Problem]:
        """What a person should know."""
        if not self.operations:
            return [_unpinned(tool, self.why)]
        if not self.left_out:
            return []
        return [Problem("BP823", f"tool {tool} is pinned in part", detail=self.left_out, severity=Severity.WARNING)]


def _ask_all(
    servers: Mapping[str, _Stage], loaded: LoadedManifest, allow_unsandboxed: bool, environment: Mapping[str, str]
) -> dict[str, _Answer]:
    """All servers at once, each as the gateway starts or connects to it."""
    from bedplate.release.deployment import choose_sandbox

    if not servers:
        return {}
    tools = {name: _server(each.draft.sketch, name) for name, each in servers.items()}
    starting = {each.draft.sketch.stage: each for name, each in servers.items() if tools[name].command}
    sandbox = choose_sandbox(allow_unsandboxed) if starting else "none"
    ready = {stage: _with_packages(each, loaded) for stage, each in starting.items()}
    secret = _secrets(loaded.project, environment)

    async def every() -> list[_Answer]:
        sketches = {name: each.draft.sketch for name, each in servers.items()}
        asking = (_ask(tools[name], ready.get(b.stage, b), secret, sandbox) for name, b in sketches.items())
        return await asyncio.gather(*asking)

    with _quietly():
        return dict(zip(tools, asyncio.run(every()), strict=True))


def _server(blueprint: m.Blueprint, name: str) -> m.McpTool:
    return next(tool for tool in blueprint.tools if isinstance(tool, m.McpTool) and tool.name == name)


async def _ask(tool: m.McpTool, blueprint: m.Blueprint, secret: Callable[[str], str], sandbox: str) -> _Answer:
    from bedplate.runtime.tools.build import mcp_toolset
    from bedplate.runtime.tools.child import sandboxed

    launcher = sandboxed(sandbox, blueprint.sandbox.memory, blueprint.sandbox.pids)
    try:
        toolset = mcp_toolset(tool, blueprint, secret, launcher, quiet=True)
        await toolset.start()
    except BedplateError as error:
        problem = error.problems[0]
        return _Answer(why=f"{problem.detail or problem.summary}; {problem.fix}")
    try:
        offer = await toolset.first_offer()
        return _Answer(offer.described, toolset.trouble, toolset.left_out)
    finally:
        await toolset.close()


def _with_packages(stage: _Stage, loaded: LoadedManifest) -> m.Blueprint:
    """The stage's blueprint with the packages that commands import, as a build has them."""
    from bedplate.release.builds.make import make
    from bedplate.release.builds.store import BuildStore
    from bedplate.release.target import target

    blueprint = stage.draft.sketch
    if blueprint.requirements is None:
        return blueprint
    made = target(loaded.project / loaded.file, loaded, blueprint, stage.draft.inputs)
    make(made)
    return replace(blueprint, site=str(BuildStore(made.home).site_path(blueprint.requirements.sha256)))


def _secrets(project: Path, environment: Mapping[str, str]) -> Callable[[str], str]:
    """Values of secrets from the environment or `.env`. It raises BP751 for one that is not set."""
    from bedplate.providers.bedplate.credentials import dotenv

    written = dotenv(project / ".env")

    def value(name: str) -> str:
        variable = m.SecretRef(name).variable
        found = environment.get(variable) or written.get(variable)
        if not found:
            fix = f"export {variable}=… or put {variable}=… in .env"
            raise BedplateError(Problem("BP751", f"secret {name} is not set", fix=fix))
        return found

    return value


def _models(stages: Sequence[_Stage]) -> dict[str, tuple[str, ...]]:
    specs = {each.draft.sketch.stage: each.draft.sketch.model for each in stages}
    return {stage: (spec.id, *spec.fallback) for stage, spec in specs.items()}


def _datasets(stages: Sequence[_Stage], files: ProjectFiles) -> dict[str, str]:
    paths = {suite.dataset for each in stages for suite in each.draft.sketch.evals}
    return {path: f"sha256:{files.one(path).sha256}" for path in paths}


def _unpinned(tool: str, why: str) -> Problem:
    fix = f"mend that and run `bedplate lock` again; until then its pins stay as they are in {LOCK_NAME}"
    return Problem("BP822", f"tool {tool} cannot be pinned: {why:.400}", fix=fix)


def _replace(file: Path, text: str) -> None:
    """Write a file that is there whole or as it was."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without log lines of connections: what they would say is in the answers."""
    log = logging.getLogger("bedplate.tools")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
