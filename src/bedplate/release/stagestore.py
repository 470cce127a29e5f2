"""The store of a stage that is up, opened beside its gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.problems import BedplateError, Problem
from bedplate.release.target import Target, open_target

if TYPE_CHECKING:
    from bedplate.store import Store


@contextmanager
def with_store(manifest: Path, stage: str | None) -> Iterator[tuple[Target, Store]]:
    """The target and its store, closed afterwards. Raises BP706 where the stage is not up."""
    from bedplate.store import Store

    target = open_target(manifest, stage)
    if not target.paths.memory.exists():
        name = target.blueprint.stage
        raise BedplateError(Problem("BP706", f"stage {name} is not up", fix=f"bedplate up --stage {name}"))
    with closing(Store.open(target.paths.memory)) as store:
        yield target, store
