"""Our own resource types, `bedplate:local:*`: what a stage on this machine is made of.

Goes in: a stage's paths, the project's folder, the environment for secrets. Comes out: a `Resource` for each type
token. The types know files and the supervisor; they know neither the command line nor releases. `sdk` holds the Pulumi
classes that programs use.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bedplate.blueprint.paths import StagePaths
    from bedplate.engine.provider import Resource


def registry(paths: StagePaths, project: Path, environment: Mapping[str, str] | None = None) -> dict[str, Resource]:
    """Every type of this provider by its token. `environment` (default: this process's) and `.env` hold the secrets."""
    from bedplate.providers.bedplate.credentials import SecretResource, TokenResource
    from bedplate.providers.bedplate.data import SearchIndexResource, StoreResource
    from bedplate.providers.bedplate.process import ProcessResource

    found = os.environ if environment is None else environment
    resources: tuple[Resource, ...] = (
        StoreResource(paths),
        SearchIndexResource(paths),
        SecretResource(paths, project, found),
        TokenResource(paths),
        ProcessResource(paths),
    )
    return {resource.type: resource for resource in resources}


def types() -> tuple[type[Resource], ...]:
    """Every class of this provider."""
    from bedplate.providers.bedplate.credentials import SecretResource, TokenResource
    from bedplate.providers.bedplate.data import SearchIndexResource, StoreResource
    from bedplate.providers.bedplate.process import ProcessResource

    return (StoreResource, SearchIndexResource, SecretResource, TokenResource, ProcessResource)


_LONGEST_NAME = "index/" + 64 * "x" + ".db.building"  # room for the longest name of a database in a stage's folder


def require_usable(paths: StagePaths) -> None:
    """Raises BedplateError BP330 where a stage cannot live in this folder; asked before anything is made in it."""
    from bedplate.store.database import require_short

    require_short(paths.folder / _LONGEST_NAME)
