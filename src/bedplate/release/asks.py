"""The asks of a stage: what waits for a person, and a person's decision."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.release.stagestore import with_store

if TYPE_CHECKING:
    from bedplate.store import AskRow


def asks_of(manifest: Path, stage: str | None, *, all_of_them: bool) -> tuple[AskRow, ...]:
    """Those that wait, or all there are, the newest first. Raises BP706 where the stage is not up."""
    with with_store(manifest, stage) as (target, store):
        return tuple(store.asks(target.blueprint.name, waiting=not all_of_them))


def decide(manifest: Path, stage: str | None, ask: str, *, approve: bool, comment: str) -> AskRow:
    """Record the decision of the person who runs this. Raises BP482 to BP484, BP706."""
    with with_store(manifest, stage) as (_, store):
        return store.decide_ask(ask, approve=approve, decider=getpass.getuser(), comment=comment)
