"""The rows of the store as frozen values. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TurnStatus = Literal["queued", "running", "completed", "failed"]
CallStatus = Literal["started", "completed", "failed", "denied"]


@dataclass(frozen=True)
class SessionRow:
    """One conversation of one user with one agent. `updated` is the time of its last turn."""

    id: str
    agent: str
    user: str
    created: float
    updated: float


@dataclass(frozen=True)
class TurnRow:
    """One question and its answer. `attempt` counts from 1; `error` is the text of the failure.

    `started` None is filled by `begin_turn`. `usage` holds numbers (tokens, requests, cost in US dollars), while the
    turn runs what it has used so far. `deadline`: when it must be over; None until an agent takes it.
    """

    id: str
    session: str
    agent: str
    user: str
    input: str
    idempotency_key: str | None = None
    trace_id: str = ""
    status: TurnStatus = "queued"
    started: float | None = None
    finished: float | None = None
    attempt: int = 1
    output: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    build: str = ""
    behaviour: str = ""
    deadline: float | None = None


@dataclass(frozen=True)
class CallRow:
    """One tool call of a turn. `effect`: it may have changed something outside. Still `started`: outcome unknown."""

    turn: str
    call_id: str
    tool: str
    operation: str
    effect: bool
    status: CallStatus
    decision: str
    grant: str
    started: float
    finished: float | None


@dataclass(frozen=True)
class AuditEvent:
    """One line for the audit trail. `effect` is allow, ask or deny; `arguments` must be redacted already.

    `user` is kept as a pseudonym only. `principal`, `reason` and `arguments` are erased when the user is forgotten.
    """

    kind: str
    principal: str = ""
    user: str = ""
    agent: str = ""
    turn: str = ""
    tool: str = ""
    operation: str = ""
    effect: str = ""
    grant: str = ""
    reason: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditRow:
    """An audit line as stored. `person` is a pseudonym; content fields are empty where `erased`."""

    seq: int
    at: float
    kind: str
    person: str
    turn: str
    tool: str
    operation: str
    effect: str
    grant: str
    principal: str
    reason: str
    arguments: Mapping[str, Any]
    erased: bool


@dataclass(frozen=True)
class StateValue:
    """One key of a session's shared state: its value, the agent that wrote it, its version (from 1)."""

    value: Any
    agent: str
    version: int
    updated: float


@dataclass(frozen=True)
class Fact:
    """Something a user said of themselves. `source_turn` is the turn it comes from."""

    id: str
    text: str
    created: float
    source_turn: str


@dataclass(frozen=True)
class Counts:
    """How many of each there are, or were erased."""

    sessions: int = 0
    messages: int = 0
    facts: int = 0
    turns: int = 0
