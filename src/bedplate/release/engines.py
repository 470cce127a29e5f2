"""Which engine manages a stage: the embedded one, or the Pulumi CLI.

Goes in: a stage's folder and what a person asked for. Comes out: an `Engine`. A stage stays with the engine that
deployed it until it is moved; the only place that chooses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import Engine, StackRef
from bedplate.engine.pulumiplace import FOLDER
from bedplate.problems import BedplateError, ExitCode, Problem
from bedplate.release.target import PROJECT

EMBEDDED, PULUMI = "embedded", "pulumi"
ENGINES = (EMBEDDED, PULUMI)
_PROVIDER = "pulumi:providers:bedplate"
VARIABLE = "BEDPLATE_ENGINE"
"""The variable that chooses where no option does."""


def engine_of(
    paths: StagePaths,
    project: Path,
    asked: str = "",
    *,
    declared: str = "",
    backend: str = "",
    environment: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Engine:
    """The engine of a stage: asked for by name, by `BEDPLATE_ENGINE`, declared in the manifest, or what deployed it.

    `backend` is where the manifest says that Pulumi keeps the state.
    Raises BedplateError BP265 where another one than the one asked for deployed it, BP701 for an unknown name.
    """
    found = os.environ if environment is None else environment
    # What begins with `_` is a stage for the time of an evaluation: it shares no backend with the real one.
    wanted = EMBEDDED if paths.folder.name.startswith("_") else asked or found.get(VARIABLE, "") or declared
    if wanted and wanted not in ENGINES:
        fix = f"one of {', '.join(ENGINES)}"
        raise BedplateError(Problem("BP701", f"there is no engine {wanted}", fix=fix), exit_code=ExitCode.USAGE)
    # The embedded engine's state is read only where it decides: it may be damaged, and has to be mended with an engine.
    owner = PULUMI if _by_pulumi(paths) else owner_of(paths) if wanted == PULUMI else ""
    if wanted and owner and wanted != owner:
        stage = paths.folder.name
        raise BedplateError(
            Problem(
                "BP265",
                f"stage {stage} was deployed with the {owner} engine, not with {wanted}",
                fix=f"go on with --engine {owner}, or move it: `bedplate engine --use {wanted} --stage {stage}`",
            )
        )
    return named(wanted or owner or EMBEDDED, paths, project, backend, secrets)


def named(
    name: str, paths: StagePaths, project: Path, backend: str = "", secrets: Mapping[str, str] | None = None
) -> Engine:
    """The engine of this name, whatever the stage belongs to. `secrets` stand in for those of this process."""
    if name == PULUMI:
        from bedplate.engine.pulumi import PulumiEngine

        if secrets is not None:  # the CLI's plugin looks them up by itself
            raise BedplateError(Problem("BP264", "the pulumi engine cannot plan without the secrets"))
        return PulumiEngine(backend)
    from bedplate.engine.embedded import EmbeddedEngine
    from bedplate.providers.bedplate import registry

    return EmbeddedEngine(registry(paths, project, secrets))


def reader_of(paths: StagePaths) -> Engine:
    """An engine that only reads what is deployed: it knows no resource types, which would have to be loaded."""
    from bedplate.engine.embedded import EmbeddedEngine
    from bedplate.engine.pulumi import PulumiEngine

    return PulumiEngine() if _by_pulumi(paths) else EmbeddedEngine({})


def owner_of(paths: StagePaths) -> str:
    """The name of the engine that deployed the stage; empty where nothing is deployed."""
    from bedplate.engine.embedded import EmbeddedEngine

    if _by_pulumi(paths):
        return PULUMI
    stack = stack_of(paths)
    return EMBEDDED if EmbeddedEngine({}).outputs(stack) is not None else ""


def _by_pulumi(paths: StagePaths) -> bool:
    return (paths.folder / FOLDER).exists()


def install_cli() -> Path:
    """Download the Pulumi CLI of the version that fits; its path. Raises BedplateError BP260."""
    from bedplate.engine.pulumicli import install

    return install()


def stack_of(paths: StagePaths) -> StackRef:
    """The stack of a stage."""
    return StackRef(PROJECT, paths.folder.name, paths.folder)


def move(paths: StagePaths, project: Path, name: str) -> int:
    """Hand a stage over to another engine, with its state; returns the number of its resources.

    Nothing is made or deleted. Raises BedplateError; the stage then still belongs to the engine it belonged to.
    """
    owner = owner_of(paths)
    if not owner or owner == name:
        what = f"belongs to the {name} engine already" if owner else "is not deployed"
        raise BedplateError(Problem("BP265", f"stage {paths.folder.name} {what}"))
    stack, old, new = stack_of(paths), named(owner, paths, project), named(name, paths, project)
    document = old.export_state(stack)
    new.import_state(stack, configured(document, paths) if name == PULUMI else document)
    resources = new.resources(stack)
    _let_go(old, stack)
    return len(resources)


def configured(document: Mapping[str, Any], paths: StagePaths) -> dict[str, Any]:
    """The state with the stage's folder as configuration of its provider.

    In this process the provider knows it; the plugin is told by the program, which a `destroy` does not run.
    """
    deployment = document["deployment"]
    resources = [_told(r, str(paths.folder)) if r["type"] == _PROVIDER else r for r in deployment["resources"]]
    return {**document, "deployment": {**deployment, "resources": resources}}


def _told(provider: Mapping[str, Any], folder: str) -> dict[str, Any]:
    known = {key: {**(provider.get(key) or {}), "stageFolder": folder} for key in ("inputs", "outputs")}
    return {**provider, **known}


def _let_go(engine: Engine, stack: StackRef) -> None:
    """Take the state away from an engine that does not manage the stack any more. What it made stays."""
    from bedplate.engine.pulumi import PulumiEngine

    if isinstance(engine, PulumiEngine):
        engine.forget(stack)
    else:
        engine.import_state(stack, {"version": 3, "deployment": {"manifest": {}, "resources": []}})
