"""What the agent is given: its configuration, and jobs. Goes in: JSON; comes out: frozen values, or BedplateError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.problems import BedplateError, Problem

MAX_TURNS = 8
"""Turns that one agent process runs at a time."""


@dataclass(frozen=True)
class AgentConfig:
    """The agent's configuration file: the agent's name and its instructions."""

    name: str
    instructions: str


@dataclass(frozen=True)
class Job:
    """One turn to run. `deadline` is a Unix time; `requests` how often the model may be asked."""

    turn: str
    capability: str
    session: str
    input: str
    history: list[Any]
    recalled: str
    traceparent: str
    deadline: float
    requests: int

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Job:
        """Reads the gateway's JSON. Raises KeyError for a field that is missing."""
        return cls(
            turn=str(raw["turn"]),
            capability=str(raw["capability"]),
            session=str(raw["session"]),
            input=str(raw["input"]),
            history=list(raw.get("history") or ()),
            recalled=_list(raw.get("recalled") or ""),
            traceparent=str(raw.get("traceparent") or ""),
            deadline=float(raw["deadline"]),
            requests=int(raw["requests"]),
        )


def _list(facts: str | list[str]) -> str:
    """Facts as a list, one a line."""
    return facts if isinstance(facts, str) else "\n".join(f"- {' '.join(fact.split())}" for fact in facts)


def read_config(path: Path) -> AgentConfig:
    """The configuration at `path`. Raises BedplateError (BP490)."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        return AgentConfig(name=str(raw["name"]), instructions=str(raw["instructions"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        summary = f"agent configuration {path.name} cannot be read ({type(error).__name__}: {error})"
        raise BedplateError(Problem("BP490", summary)) from error


def gateway_url(environment: Mapping[str, str]) -> str:
    """The gateway's address. Raises BedplateError (BP490) where `BEDPLATE_PORT` is not set."""
    port = environment.get("BEDPLATE_PORT", "")
    if not port.isdigit():
        raise BedplateError(Problem("BP490", "BEDPLATE_PORT does not say where the gateway is"))
    return f"http://127.0.0.1:{port}"
