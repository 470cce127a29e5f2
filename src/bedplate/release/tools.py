"""What the gateway of a stage says of its tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.blueprint.paths import StagePaths


def tool_states(paths: StagePaths) -> dict[str, Mapping[str, Any]]:
    """What the gateway says of its tools: `state` ready or failed, `reason`, `operations`. Empty where none runs."""
    try:
        found: dict[str, Mapping[str, Any]] = json.loads(paths.tools.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found
