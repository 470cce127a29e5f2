"""What the gateway of a stage says of its tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.blueprint.paths import StagePaths


def tool_states(paths: StagePaths) -> dict[str, Mapping[str, Any]]:
    """What the gateway says of its tools: `state` ready or failed, `reason`, `operations`. Empty where none runs.

    A tool that is ready has a reason where something of it cannot be used.
    """
    try:
        found: dict[str, Mapping[str, Any]] = json.loads(paths.tools.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def tool_troubles(states: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """What a person should know of tools that do not work, or only in part."""
    return tuple(f"tool {name}: {state['reason']}" for name, state in states.items() if state["reason"])
