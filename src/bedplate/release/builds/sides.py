"""The sides of a comparison: the working tree as `.`, a stage by its name, a build by the beginning of its digest."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from bedplate.blueprint.model import FileRef
from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.resolve import BuildInputs
from bedplate.manifest.load import LoadedManifest, name_path, parse
from bedplate.manifest.yamltree import read as read_yaml
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds.compare import Side
from bedplate.release.builds.model import Build
from bedplate.release.builds.store import BuildStore
from bedplate.release.builds.told import of_stage
from bedplate.release.builds.using import deployed_build
from bedplate.release.builds.verify import content_damaged
from bedplate.release.folders import deployed_stages, home_of
from bedplate.release.target import Target, open_target

WORKING_TREE = "."


def side(manifest: Path, name: str) -> Side:
    """One side. Raises BP706 for a stage that is not up, BP760 and BP761 as the store does, for `.` all problems."""
    if name == WORKING_TREE:
        return _of_target(open_target(manifest, None))
    home = home_of(manifest)
    store = BuildStore(home)
    if name not in deployed_stages(home):
        return _of_build(store, store.open(store.find(name)), name)
    digest = deployed_build(StagePaths.of(home, name), name)
    if not digest:
        raise BedplateError(
            Problem("BP706", f"stage {name} is not up", fix=f"bring it up: `bedplate up --stage {name}`")
        )
    return _of_build(store, store.open(digest), name)


def contents_of(loaded: LoadedManifest, inputs: BuildInputs, folder: Path, label: str) -> Side:
    """What a folder holds as a side: a manifest, and the files that it names."""

    def read(ref: FileRef) -> bytes:
        return (folder / ref.path).read_bytes()

    files = {ref.path: ref for ref in inputs.files}
    lines = {path: where.line for path, where in loaded.lines.items()}
    return Side(label, inputs.digest, loaded.file, loaded.document, lines, files, inputs.lock, read)


def _of_target(target: Target) -> Side:
    side, store = contents_of(target.loaded, target.inputs, target.home, "the working tree"), BuildStore(target.home)

    def read(ref: FileRef) -> bytes:
        """From the store where it has the file: what a promoted build has, the working tree may have otherwise."""
        blob = store.blob(ref.sha256)
        return blob.read_bytes() if blob.exists() else side.read(ref)

    return replace(side, read=read)


def _of_build(store: BuildStore, build: Build, label: str) -> Side:
    def read(ref: FileRef) -> bytes:
        return content(store, build, ref)

    text = read(build.manifest).decode("utf-8-sig")
    tree = read_yaml(text, build.manifest.path)
    lines = {name_path(path, tree.data): where.line for path, where in tree.values.items() if path}
    return Side(label, build.digest, build.manifest.path, tree.data, lines, build.files, build.lock, read)


def sides_of_stage(target: Target, deployed: str) -> tuple[Side, Side]:
    """A deployed build and the target, each with the manifest as it is for the target's stage.

    Only what is asked for is read of either. Raises BP760 and BP761 where the deployed build cannot be read, BP0xx
    where its manifest is none for this version of Bedplate.
    """
    store, stage = BuildStore(target.home), target.blueprint.stage
    build = store.recorded(deployed)
    text = content(store, build, build.manifest).decode("utf-8-sig")
    loaded = parse(text, build.manifest.path, build.tree)
    old = of_stage(_of_build(store, build, deployed), loaded, stage, {})
    return old, of_stage(_of_target(target), target.loaded, stage, target.blueprint.lines)


def content(store: BuildStore, build: Build, ref: FileRef) -> bytes:
    """One file of a build, verified. Raises BP760 where it is damaged or missing."""
    path = store.blob(ref.sha256)
    data = path.read_bytes() if path.exists() else None
    if data is None or hashlib.sha256(data).hexdigest() != ref.sha256:
        raise content_damaged(store, build, ref)
    return data
