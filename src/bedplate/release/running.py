"""A stage that was brought up: its address, its key and its folder, read from the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.problems import BedplateError, Problem
from bedplate.release.target import Target


@dataclass(frozen=True)
class RunningStage:
    """Where a stage answers. `outputs` are the stack's outputs of the last `up`."""

    target: Target
    url: str
    api_key: str
    outputs: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The stage's folder."""
        return self.target.paths.folder

    @property
    def current(self) -> bool:
        """Whether what runs is what the manifest says now."""
        return self.outputs.get("behaviourDigest") == self.target.blueprint.digests.behaviour


def running_stage(target: Target) -> RunningStage:
    """The stage as it was last brought up. Raises BP706 where it never was."""
    from bedplate.release.deployment import engine_for

    outputs = engine_for(target).outputs(target.stack)
    key = target.paths.secret("api-key")
    if not outputs or "url" not in outputs or not key.exists():
        stage = target.blueprint.stage
        raise BedplateError(
            Problem("BP706", f"stage {stage} is not up", fix=f"bring it up: `bedplate up --stage {stage}`")
        )
    return RunningStage(target, str(outputs["url"]), key.read_text("utf-8").strip(), outputs)
