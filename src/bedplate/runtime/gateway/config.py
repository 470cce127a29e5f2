"""What the gateway is told when it starts. Goes in: `run/gateway.json`. Comes out: `GatewayConfig`. Holds no secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.blueprint import model as blueprint_model
from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.paths import StagePaths
from bedplate.runtime.gateway import faults

API_KEY = "api-key"
SINK_TOKEN = "sink-token"


@dataclass(frozen=True)
class GatewayConfig:
    """`stage` is the stage's folder, `sink` the trace sink's base URL.

    `sandbox` names the backend in which python tools run; `local_model` is the base URL of the process `model` where
    the blueprint names a `local:` model.
    """

    blueprint: Blueprint
    stage: StagePaths
    sink: str
    sandbox: str
    local_model: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of `run/gateway.json`."""
        return {
            "blueprint": blueprint_model.to_json(self.blueprint),
            "stageFolder": str(self.stage.folder),
            "sink": {"url": self.sink},
            "sandbox": self.sandbox,
            "modelUrl": self.local_model,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> GatewayConfig:
        """Read what `to_json` wrote. Raises KeyError, TypeError or pydantic.ValidationError where it is none."""
        return cls(
            blueprint=blueprint_model.from_json(document["blueprint"]),
            stage=StagePaths(Path(document["stageFolder"])),
            sink=document["sink"]["url"],
            sandbox=document["sandbox"],
            local_model=document.get("modelUrl"),
        )

    def read_secret(self, name: str) -> str:
        """A secret of the stage. Raises BedplateError BP448 where its file is missing or empty."""
        try:
            value = self.stage.secret(name).read_text("utf-8").strip()
        except OSError as error:
            raise faults.no_secret(name, str(error)) from error
        if not value:
            raise faults.no_secret(name, "its file is empty")
        return value


def load_config(path: Path) -> GatewayConfig:
    """The configuration in the file. Raises BedplateError BP449 where it cannot be read."""
    try:
        return GatewayConfig.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:  # pydantic's ValidationError is a ValueError
        raise faults.bad_config(path.name, str(error)) from error


__all__ = ["API_KEY", "SINK_TOKEN", "GatewayConfig", "load_config"]
