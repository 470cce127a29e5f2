"""The sides of a comparison: the working tree as `.`, a stage by its name, a build by the beginning of its digest."""

from __future__ import annotations

from pathlib import Path

from bedplate.blueprint.paths import StagePaths
from bedplate.manifest.load import name_path
from bedplate.manifest.yamltree import read
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds.compare import Side
from bedplate.release.builds.model import Build
from bedplate.release.builds.store import BuildStore
from bedplate.release.builds.using import deployed_build
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


def _of_target(target: Target) -> Side:
    files = {ref.path: ref for ref in target.inputs.files}
    lines = {path: where.line for path, where in target.loaded.lines.items()}
    return Side(
        "the working tree",
        target.inputs.digest,
        target.loaded.file,
        target.loaded.document,
        lines,
        files,
        target.inputs.lock,
        lambda ref: (target.home / ref.path).read_bytes(),
    )


def _of_build(store: BuildStore, build: Build, label: str) -> Side:
    text = store.blob(build.manifest.sha256).read_bytes().decode("utf-8-sig")
    tree = read(text, build.manifest.path)
    lines = {name_path(path, tree.data): where.line for path, where in tree.values.items() if path}
    return Side(
        label,
        build.digest,
        build.manifest.path,
        tree.data,
        lines,
        build.files,
        build.lock,
        lambda ref: store.blob(ref.sha256).read_bytes(),
    )
