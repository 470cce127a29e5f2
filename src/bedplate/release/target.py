"""`Target`: a manifest, one of its stages, and where that stage lives on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.paths import StagePaths
from bedplate.blueprint.resolve import resolve
from bedplate.engine.api import StackRef
from bedplate.manifest.load import LoadedManifest, examine

PROJECT = "bedplate-local"


@dataclass(frozen=True)
class Target:
    """One agent in one stage, as the manifest describes it now."""

    manifest: Path
    loaded: LoadedManifest
    blueprint: Blueprint
    paths: StagePaths

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
    return target(manifest, loaded, resolve(loaded, stage))


def target(manifest: Path, loaded: LoadedManifest, blueprint: Blueprint) -> Target:
    """The target of a stage that is resolved."""
    return Target(manifest, loaded, blueprint, StagePaths.of(blueprint.project, blueprint.stage))
