"""What commands print about a stage that is up: `ask`, `chat`, `status`, `logs`, `doctor`, `memory`, `traces`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.release.doctor import Checked
from bedplate.release.status import StageStatus
from bedplate.store import AskRow, Frozen
from bedplate.store.model import TurnRow
from bedplate.traces.query import Trace, TraceSummary


@dataclass(frozen=True)
class WaitingCall:
    """A call that waits for a person until `expires` (Unix seconds)."""

    id: str
    tool: str
    operation: str
    arguments: Mapping[str, Any]
    expires: float


@dataclass(frozen=True)
class AnswerDocument:
    """`ask`, and a line of `chat`: a completed turn. `usage` counts tokens; its `cost` is in US dollars.

    `asks` are the calls of the turn that wait for a person.
    """

    schema: Literal["bedplate.dev/answer/v1"]
    ok: Literal[True]
    output: str
    sources: tuple[str, ...]
    session: str
    turn: str
    trace: str
    usage: Mapping[str, Any]
    asks: tuple[WaitingCall, ...]


@dataclass(frozen=True)
class AsksDocument:
    """`asks`: the newest first. Times are Unix seconds."""

    schema: Literal["bedplate.dev/asks/v1"]
    ok: Literal[True]
    asks: tuple[AskRow, ...]


@dataclass(frozen=True)
class AskDocument:
    """`asks approve` and `asks deny`: the ask as it is now."""

    schema: Literal["bedplate.dev/ask/v1"]
    ok: Literal[True]
    ask: AskRow


@dataclass(frozen=True)
class FreezeDocument:
    """`freeze`: since when (Unix seconds), by whom and why; where the stage was frozen already, that."""

    schema: Literal["bedplate.dev/freeze/v1"]
    ok: Literal[True]
    frozen: Frozen


@dataclass(frozen=True)
class ThawDocument:
    """`thaw`: whether the stage was frozen."""

    schema: Literal["bedplate.dev/thaw/v1"]
    ok: Literal[True]
    was_frozen: bool


@dataclass(frozen=True)
class ProcessStatus:
    """One process. `since` is Unix seconds, `exit` says how it ended last, `rss` is bytes, `listen` its port."""

    name: str
    pid: int | None
    state: str
    since: float | None
    restarts: int
    exit: str
    rss: int
    sandbox: str | None
    listen: int | None
    digest: str


@dataclass(frozen=True)
class ToolStatus:
    """One tool: `ready` with its number of operations and, where something of it is left out, why; or `failed`."""

    state: Literal["ready", "failed"]
    reason: str
    operations: int


@dataclass(frozen=True, kw_only=True)
class StatusDocument(StageStatus):
    """`status`: what runs in a stage."""

    schema: Literal["bedplate.dev/status/v1"]
    processes: tuple[ProcessStatus, ...]  # type: ignore[assignment]
    tools: Mapping[str, ToolStatus]  # type: ignore[assignment]


@dataclass(frozen=True)
class LogLineDocument:
    """A line of `logs`."""

    schema: Literal["bedplate.dev/log-line/v1"]
    process: str
    line: str


@dataclass(frozen=True)
class DoctorDocument:
    """`doctor`: every check. `ok` tells that none failed."""

    schema: Literal["bedplate.dev/doctor/v1"]
    ok: bool
    checks: tuple[Checked, ...]


@dataclass(frozen=True)
class Remembered:
    """A fact. Times are Unix seconds."""

    id: str
    text: str
    created: float
    expires: float
    source_turn: str


@dataclass(frozen=True)
class Conversation:
    """A session with its messages, as the model got them. Times are Unix seconds."""

    id: str
    agent: str
    user: str
    created: float
    updated: float
    messages: tuple[Any, ...]


@dataclass(frozen=True)
class MemoryDocument:
    """`memory show`: everything that a stage keeps about one person."""

    schema: Literal["bedplate.dev/memory/v1"]
    user: str
    agent: str
    facts: tuple[Remembered, ...]
    sessions: tuple[Conversation, ...]
    turns: tuple[TurnRow, ...]
    asks: tuple[AskRow, ...]


@dataclass(frozen=True)
class ForgetDocument:
    """`memory forget`: what was erased, counted."""

    schema: Literal["bedplate.dev/forget/v1"]
    ok: Literal[True]
    user: str
    erased: Mapping[str, int]


@dataclass(frozen=True)
class TracesDocument:
    """`traces list`: turns, newest first."""

    schema: Literal["bedplate.dev/traces/v1"]
    traces: tuple[TraceSummary, ...]


@dataclass(frozen=True, kw_only=True)
class TraceDocument(Trace):
    """`traces show`: one turn with its spans."""

    schema: Literal["bedplate.dev/trace/v1"]


@dataclass(frozen=True, kw_only=True)
class TraceSummaryDocument(TraceSummary):
    """A line of `traces tail`: a turn that ended."""

    schema: Literal["bedplate.dev/trace-summary/v1"]
