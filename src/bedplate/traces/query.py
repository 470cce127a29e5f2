"""Reading traces. Goes in: the folder of segments. Comes out: summaries and whole traces. It writes nothing.

What the gateway wrote counts; what the agent sent is shown, but adds nothing to tokens, cost, calls or status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bedplate.problems import BedplateError, Problem
from bedplate.traces import conventions as c
from bedplate.traces.reader import Reader
from bedplate.traces.tree import TraceSpan, preorder

Status = Literal["ok", "error", "unfinished"]
PREVIEW = 120
TAIL_WINDOW = 6 * 3600
"""Seconds: how long a turn may last and still appear in `tail` when it ends."""


@dataclass(frozen=True)
class TraceSummary:
    """One turn in a line. `started` is Unix seconds, `cost` US dollars; `status` is ok, error or unfinished.

    Unfinished means that the root span never came: the turn still runs, or the gateway died in it.
    """

    trace_id: str
    started: float
    duration_ms: float
    agent: str
    stage: str
    status: str
    input_tokens: int
    output_tokens: int
    cost: float | None
    tool_calls: int
    denials: int
    session: str
    input: str
    error: str


@dataclass(frozen=True)
class TraceLog:
    """A log record of a trace, eval results among them."""

    span_id: str
    at: float
    name: str
    body: Any
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """A whole trace: its spans from the root down (`depth` tells the tree), orphans last."""

    summary: TraceSummary
    spans: tuple[TraceSpan, ...]
    logs: tuple[TraceLog, ...]
    resource: dict[str, Any]

    @property
    def trace_id(self) -> str:
        return self.summary.trace_id


def list_traces(
    folder: Path, limit: int = 20, since: float | None = None, stage: str | None = None, session: str | None = None,
    status: Status | None = None, text: str | None = None,
) -> list[TraceSummary]:  # fmt: skip
    """The latest traces, newest first. `since` is Unix seconds; `text` is looked for in what was said, any case.

    Raises BP603 for a segment that cannot be read.
    """
    with Reader(folder) as reader:
        found: list[TraceSummary] = []
        for trace_id in reader.trace_ids(since=since, stage=stage, session=session, status=status, text=text):
            spans = reader.spans(trace_id)
            if text is not None and not any(says(span.content, text) for span in spans):
                continue
            summary = _summary(trace_id, spans)
            if status in (None, summary.status) and (since is None or summary.started >= since):
                found.append(summary)
            if len(found) >= limit:
                break
    return sorted(found, key=lambda s: (-s.started, s.trace_id))


def count_traces(folder: Path) -> int:
    """How many traces there are, unfinished ones too. Raises BP603 for a segment that cannot be read."""
    with Reader(folder) as reader:
        return reader.count()


def get_trace(folder: Path, trace_id_prefix: str) -> Trace:
    """The one trace whose id begins so. Raises BP601 where there is none, BP602 where there are several."""
    prefix = trace_id_prefix.strip().lower()
    with Reader(folder) as reader:
        ids = reader.with_prefix(prefix) if prefix and all(ch in "0123456789abcdef" for ch in prefix) else []
        if not ids:
            raise BedplateError(_unknown(trace_id_prefix))
        if len(ids) > 1:
            raise BedplateError(_ambiguous(prefix, ids))
        spans = reader.spans(ids[0])
        logs = tuple(TraceLog(**row) for row in reader.logs(ids[0]))
        resource = reader.resource(ids[0])
    return Trace(_summary(ids[0], spans), preorder(spans), logs, resource)


def tail(
    folder: Path, poll: float = 0.5, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
) -> Iterator[TraceSummary]:
    """Turns as they end, from now on, for ever. Looks every `poll` seconds."""
    seen = set(_ended(folder, clock() - TAIL_WINDOW))
    while True:
        ended = _ended(folder, clock() - TAIL_WINDOW)
        new = [trace_id for trace_id in ended if trace_id not in seen]
        seen = set(ended)
        with Reader(folder) as reader:
            summaries = [_summary(trace_id, reader.spans(trace_id)) for trace_id in new]
        yield from summaries
        sleep(poll)


def _ended(folder: Path, since: float) -> list[str]:
    with Reader(folder) as reader:
        return reader.roots(since)


def to_json(item: Trace | TraceSummary) -> dict[str, Any]:
    """A trace or summary as JSON values."""
    return asdict(item)


def _summary(trace_id: str, spans: list[TraceSpan]) -> TraceSummary:
    own = [span for span in spans if not span.source]
    root = next((span for span in own if not span.parent_id), None)
    first = root or min(own or spans, key=lambda span: span.started)
    calls = [span for span in own if span.operation == c.EXECUTE_TOOL]
    models = [span for span in own if span.operation == c.CHAT]
    costs = [span.cost for span in models if span.cost is not None]
    end = first.ended if root else max(span.ended for span in spans)
    return TraceSummary(
        trace_id=trace_id,
        started=first.started / 1e9,
        duration_ms=max(0.0, (end - first.started) / 1e6),
        agent=first.agent,
        stage=first.stage,
        status="unfinished" if root is None else "error" if root.failed else "ok",
        input_tokens=sum(span.input_tokens or 0 for span in models),
        output_tokens=sum(span.output_tokens or 0 for span in models),
        cost=sum(costs) if costs else None,
        tool_calls=len(calls),
        denials=sum(span.decision == "deny" for span in calls),
        session=first.session,
        input=preview(first.content.get(c.INPUT_MESSAGES)),
        error=_error(first) if first.failed else "",
    )


def _error(span: TraceSpan) -> str:
    return ": ".join(part for part in (str(span.attributes.get(c.ERROR_TYPE, "")), span.message) if part)


def preview(messages: Any, length: int = PREVIEW) -> str:
    """The last message's text in one line, cut to `length` characters."""
    line = " ".join(message_text(messages).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def message_text(messages: Any) -> str:
    """The text of the last message, in OpenTelemetry's shape, a provider's, or plain."""
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except ValueError:
            return str(messages)
    last = messages[-1] if isinstance(messages, list) and messages else messages
    if not isinstance(last, dict):
        return str(last or "")
    parts = last.get("parts", last.get("content", ""))
    if isinstance(parts, str):
        return parts
    texts = [p.get("content", p.get("text", "")) for p in parts or [] if isinstance(p, dict)]
    return " ".join(text for text in texts if isinstance(text, str))


def says(content: Any, text: str) -> bool:
    """Whether something said contains `text`, in any case; names of fields do not count, nor roles and types."""
    wanted, waiting = text.casefold(), [content]
    while waiting:
        match waiting.pop():
            case str() as leaf:
                parsed = _parsed(leaf)
                if parsed is None and wanted in leaf.casefold():
                    return True
                waiting.append(parsed)
            case dict() as fields:
                waiting += [value for name, value in fields.items() if name not in ("role", "type", "id")]
            case list() as items:
                waiting += items
            case _:
                pass
    return False


def _parsed(leaf: str) -> Any:
    """The list or object that a string holds as JSON, or None."""
    if leaf[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(leaf)
    except (ValueError, RecursionError):
        return None


def _unknown(prefix: str) -> Problem:
    return Problem(
        "BP601",
        f"no trace begins with {prefix[:40]}",
        detail="It may be past its retention, not sampled, or of another stage.",
        fix="See which there are: `bedplate traces list`.",
    )


def _ambiguous(prefix: str, ids: list[str]) -> Problem:
    return Problem(
        "BP602",
        f"several traces begin with {prefix}",
        detail="Among them: " + ", ".join(ids[:5]),
        fix=f"Give more digits, as in `bedplate traces show {ids[0][: len(prefix) + 6]}`.",
    )
