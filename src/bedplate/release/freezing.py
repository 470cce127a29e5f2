"""The kill switch of a stage, from the shell."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.release.stagestore import with_store

if TYPE_CHECKING:
    from bedplate.store import Frozen


def freeze(manifest: Path, stage: str | None, reason: str) -> tuple[str, Frozen]:
    """From now on the stage denies everything. Its label, and who froze it. Raises BP706 where it is not up."""
    with with_store(manifest, stage) as (target, store):
        return target.label, store.freeze(getpass.getuser(), reason)


def thaw(manifest: Path, stage: str | None) -> tuple[str, bool]:
    """Let the scopes decide again. Its label, and whether it was frozen. Raises BP706 where it is not up."""
    with with_store(manifest, stage) as (target, store):
        return target.label, store.thaw(getpass.getuser())
