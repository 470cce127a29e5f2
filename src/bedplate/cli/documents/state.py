"""What `state` prints. `state export` prints a Pulumi deployment, whose schema is Pulumi's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedplate.engine.api import Update


@dataclass(frozen=True)
class StateImportDocument:
    """`state import`: how many resources the state holds now, and in which files the one before it is kept."""

    schema: Literal["bedplate.dev/state-import/v1"]
    ok: Literal[True]
    stage: str
    resources: int
    kept: tuple[str, ...]


@dataclass(frozen=True)
class StateRepairDocument:
    """`state repair`: what was done, or with `--dry-run` would be, in sentences. None where the state is whole."""

    schema: Literal["bedplate.dev/state-repair/v1"]
    ok: Literal[True]
    stage: str
    dry_run: bool
    actions: tuple[str, ...]


@dataclass(frozen=True)
class StateHistoryDocument:
    """`state history`: the runs that changed the state or tried to, the last one first."""

    schema: Literal["bedplate.dev/state-history/v1"]
    ok: Literal[True]
    stage: str
    updates: tuple[Update, ...]
