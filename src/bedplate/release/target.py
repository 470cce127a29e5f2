"""`Target`: a manifest, one of its stages, and where that stage lives on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.resolve import BuildInputs, draft
from bedplate.engine.api import StackRef
from bedplate.manifest.load import LoadedManifest, examine

PROJECT = "bedplate-local"


@dataclass(frozen=True)
class Target:
    """One agent in one stage, as a manifest describes it: the project's own, or that of a build.

    `home` is the project's folder, where `.env`, `.bedplate` and `approvals` are. `blueprint.project` is where the
    files that the manifest names are: the same folder, or the tree of a build. `inputs` are what a build is made from.
    """

    manifest: Path
    loaded: LoadedManifest
    blueprint: Blueprint
    paths: StagePaths
    home: Path
    inputs: BuildInputs
    engine: str = ""
    """The engine that was asked for by name; empty: the one that deployed the stage."""

    @property
    def stack(self) -> StackRef:
        """The engine's stack of this stage. Its project is the program's (stacks/local/Pulumi.yaml)."""
        return StackRef(PROJECT, self.blueprint.stage, self.paths.folder)

    @property
    def label(self) -> str:
        """`support → prototype`."""
        return f"{self.blueprint.name} → {self.blueprint.stage}"


def open_target(manifest: Path, stage: str | None) -> Target:
    """Load the manifest and resolve one stage (None: the first). Raises BedplateError with every problem found."""
    loaded = examine(manifest)
    made = draft(loaded, stage)
    return target(manifest, loaded, made.blueprint(), made.inputs)


def target(manifest: Path, loaded: LoadedManifest, blueprint: Blueprint, inputs: BuildInputs) -> Target:
    """The target of a stage that is resolved in the project's own folder."""
    paths = StagePaths.of(loaded.project, blueprint.stage)
    return Target(manifest, loaded, blueprint, paths, loaded.project, inputs)
