"""The files that a manifest names: what a build holds and what its digest covers.

Goes in: a stage's manifest and the project's files. Comes out: `FileRef`s. A trouble with one of them is told where it
is checked (`checks`), not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bedplate.blueprint import checks
from bedplate.blueprint.files import FileTrouble, ProjectFiles
from bedplate.blueprint.model import FileRef
from bedplate.manifest.data import FilesData
from bedplate.manifest.load import StageManifest
from bedplate.manifest.tools import FileName, HttpTool, McpTool


def code_of(stage: StageManifest, files: ProjectFiles) -> tuple[FileRef, ...]:
    """The project's code, where something runs it: its Python files, and what an MCP command names (`server.js`)."""
    if not any(map(checks.runs_code, stage.manifest.tools)):
        return ()
    commands = [tool.command for tool in stage.manifest.tools if isinstance(tool, McpTool) and tool.command]
    named = [ref for command in commands for word in _words(command, files) for ref in optional(files, word)]
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


def files_of(stage: StageManifest, files: ProjectFiles) -> Iterator[FileRef]:
    """Every file that a manifest names. A trouble in a stage that is not being resolved is that stage's to report."""
    manifest = stage.manifest
    paths = [suite.dataset for suite in manifest.evals]
    paths += [manifest.ceiling] if manifest.ceiling else []
    if isinstance(manifest.instructions, FileName):
        paths.append(manifest.instructions.file)
    for path in paths:
        yield from optional(files, path)
    yield from tool_files(stage, files)
    yield from requirements_of(stage, files)
    for source in manifest.data:
        if isinstance(source, FilesData):
            yield from _documents(files, source.path, source.include, source.exclude)
    for path in manifest.sandbox.read:
        if not path.startswith("/"):
            whole = path.endswith("/*")
            yield from _documents(files, path.removesuffix("/*"), ["*"], ()) if whole else optional(files, path)
    yield from code_of(stage, files)


def tool_files(stage: StageManifest, files: ProjectFiles) -> Iterator[FileRef]:
    """The API documents of http tools."""
    for tool in stage.manifest.tools:
        if isinstance(tool, HttpTool):
            yield from optional(files, tool.openapi.file)


def requirements_of(stage: StageManifest, files: ProjectFiles) -> Iterator[FileRef]:
    """The requirements file."""
    runtime = stage.manifest.runtime
    if runtime and runtime.requirements:
        yield from optional(files, runtime.requirements)


def _documents(
    files: ProjectFiles, path: str, include: Sequence[str] | None, exclude: Sequence[str]
) -> Iterator[FileRef]:
    try:
        yield from files.documents(path, include, exclude)[1]
    except FileTrouble:
        return


def optional(files: ProjectFiles, path: str) -> Iterator[FileRef]:
    try:
        yield files.one(path)
    except FileTrouble:
        return
