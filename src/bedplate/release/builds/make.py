"""From a stage's working tree to a build, and from a build to a stage that runs from it.

Goes in: a target. Comes out: the build of its inputs, or the same target with its files where the build has them. What
a stage runs is never the working tree: that may be edited, moved or deleted while the stage goes on.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO

from bedplate.blueprint.model import Blueprint, FileRef, HttpTool, McpTool, Tool
from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.resolve import BuildInputs, resolve
from bedplate.manifest.load import load
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds.model import Build
from bedplate.release.builds.store import BuildStore
from bedplate.release.target import Target


def make(target: Target) -> Build:
    """The build of what stands in the working tree, stored, verified and laid out. Nothing is copied twice.

    Raises BP760 where the store is damaged, BP763 where its packages cannot be had, BP764 where a file changed since it
    was hashed.
    """
    store, inputs = BuildStore(target.home), target.inputs
    text = target.loaded.text.encode()
    files = {ref.path: ref for ref in inputs.files}
    name = target.loaded.file
    manifest = files.get(name) or FileRef(name, hashlib.sha256(text).hexdigest(), len(text))
    with store.folder_for_drafts() if target.blueprint.requirements else nullcontext(target.home) as folder:
        wheels = _wheels(store, target.blueprint, folder)

        def read(ref: FileRef) -> IO[bytes]:
            if ref is manifest and name not in files:
                return io.BytesIO(text)
            return ((folder if ref in wheels else target.home) / ref.path).open("rb")

        tree = store.tree_path(inputs.digest)
        build = store.put(Build(inputs.digest, manifest, files, inputs.lock, wheels, tree), read)
    _unpacked(store, build, target.blueprint)
    return build


def _wheels(store: BuildStore, blueprint: Blueprint, folder: Path) -> tuple[FileRef, ...]:
    from bedplate.release.builds.sites import wheels_for

    return wheels_for(store, blueprint.requirements, folder) if blueprint.requirements else ()


def _unpacked(store: BuildStore, build: Build, blueprint: Blueprint) -> None:
    from bedplate.release.builds.sites import site

    if blueprint.requirements:
        site(store, build, blueprint.requirements)


def deployable(target: Target) -> Target:
    """The target with its files where its build has them; the build is made where it is missing."""
    if is_from_build(target):
        return target
    return replace(target, blueprint=relocated(target.blueprint, make(target).tree))


def previewed(target: Target) -> Target:
    """The target as `deployable` would have it. Writes nothing: the build may not be there."""
    if is_from_build(target):
        return target
    tree = BuildStore(target.home).tree_path(target.inputs.digest)
    return replace(target, blueprint=relocated(target.blueprint, tree))


def is_from_build(target: Target) -> bool:
    """Whether the target's files are those of a build already."""
    return Path(target.blueprint.project) != target.home


def open_tree(home: Path, build: Build, stage: str | None) -> Target:
    """A stage as a build describes it, whatever the working tree says now. Raises BedplateError as `resolve` does.

    `home` is the project's folder. Raises BP765 where this version of Bedplate reads something else from the files than
    the build's digest covers.
    """
    loaded = load(build.tree / build.manifest.path)
    blueprint = resolve(loaded, stage)
    if blueprint.digests.build != build.digest:
        what = f"this version of Bedplate makes another build of the files of {build.short}"
        raise BedplateError(Problem("BP765", what, fix="make the build anew with this version: `bedplate up`"))
    _unpacked(BuildStore(home), build, blueprint)
    inputs = BuildInputs(build.digest, tuple(build.files.values()), build.lock)
    paths = StagePaths.of(home, blueprint.stage)
    placed = _placed_all(blueprint, build.tree, home)
    return Target(home / build.manifest.path, loaded, placed, paths, home, inputs)


def relocated(blueprint: Blueprint, tree: Path) -> Blueprint:
    """The blueprint of a working tree as its files stand in `tree`. Pure."""
    home = Path(blueprint.project)
    data = tuple(replace(source, root=str(tree / Path(source.root).relative_to(home))) for source in blueprint.data)
    return replace(_placed_all(blueprint, tree, home), project=str(tree), data=data)


def _placed_all(blueprint: Blueprint, tree: Path, home: Path) -> Blueprint:
    """The blueprint with its tools, and the packages that they import, where a build has them."""
    tools = tuple(_placed(tool, blueprint, tree, home) for tool in blueprint.tools)
    packages = blueprint.requirements
    site = str(BuildStore(home).site_path(packages.sha256)) if packages else ""
    return replace(blueprint, tools=tools, site=site)


def _placed(tool: Tool, blueprint: Blueprint, tree: Path, home: Path) -> Tool:
    """A tool with its files in `tree`, but for a program that no build holds: it is run where it is, in `home`."""
    match tool:
        case HttpTool():
            return replace(tool, document=str(tree / Path(tool.document).relative_to(blueprint.project)))
        case McpTool(command=(program, *rest)) if "/" in program:
            built = {file.path for file in blueprint.code}
            return tool if str(Path(program)) in built else replace(tool, command=(str(home / program), *rest))
        case _:
            return tool
