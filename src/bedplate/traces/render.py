"""A trace as a text tree. Goes in: a `Trace`. Comes out: plain text; nothing in it depends on colour.

Everything printed comes from models, tools and agents, so control characters are shown, never sent to the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from bedplate.traces import conventions as c
from bedplate.traces.query import Trace, message_text
from bedplate.traces.tree import TraceSpan

BAR = 16
NARROW = 72


def render_trace(trace: Trace, width: int = 80, content: bool = False) -> str:
    """The trace in lines of at most `width` columns: head, then one line a span with its time, bar and facts.

    `content` adds what was said under each span.
    """
    lines = [*_head(trace, width), ""]
    names = _names(trace.spans)
    longest = max((_cells(name) for name in names), default=0)
    bar = 0 if width < NARROW else BAR
    room = min(longest, max(12, width - 11 - (bar + 1 if bar else 0)))
    start = min((s.started for s in trace.spans), default=0)
    whole = max(max((s.ended for s in trace.spans), default=0) - start, 1)
    for name, span in zip(names, trace.spans, strict=True):
        line = f"{_fit(name, room)} {duration(span.duration_ms):>8}"
        if bar:
            line += f" {_bar(span, start, whole, bar)}"
        lines += _with_facts(line.rstrip(), span, width)
        lines += _said(span, width) if content else []
    return "\n".join(lines) + "\n"


def duration(milliseconds: float) -> str:
    """A time span in the unit that suits it."""
    if milliseconds < 1:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds / 60_000:.1f} min"


def clean(text: str) -> str:
    """One line without control characters; those are shown as U+FFFD, so that text cannot steer a terminal."""
    plain = text.replace("\n", " ").replace("\t", " ")
    return "".join("\ufffd" if unicodedata.category(ch) in ("Cc", "Cf", "Cs") else ch for ch in plain)


def _head(trace: Trace, width: int) -> Iterator[str]:
    s = trace.summary
    when = datetime.fromtimestamp(s.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    yield _cut(clean(f"trace {s.trace_id}"), width)
    where = f"{s.agent} in {s.stage}" if s.stage else s.agent
    yield _cut(clean(f"{s.status} · {duration(s.duration_ms)} · {where} · {when}"), width)
    tools = f"{s.tool_calls} tool calls" + (f", {s.denials} denied" if s.denials else "")
    cost = f" · ${s.cost:.4f}" if s.cost is not None else ""
    yield _cut(
        clean(f"{s.input_tokens} tokens in, {s.output_tokens} out{cost} · {tools} · session {s.session or '-'}"), width
    )
    if build := trace.resource.get(c.BUILD):
        yield _cut(clean(f"build {build}"), width)
    if s.input:
        yield _cut(clean(f"asked: {s.input}"), width)
    if s.error:
        yield _cut(clean(f"failed: {s.error}"), width)


def _names(spans: Sequence[TraceSpan]) -> list[str]:
    """Names with the branches of the tree before them."""
    last = _last_children(spans)
    names, open_levels = [], dict[int, bool]()
    for span, is_last in zip(spans, last, strict=True):
        depth = min(span.depth, 12)
        stem = "".join("│  " if open_levels.get(level) else "   " for level in range(1, depth))
        branch = "" if span.depth == 0 else "└─ " if is_last else "├─ "
        open_levels[span.depth] = not is_last
        mark = "✗ " if span.failed or span.decision == "deny" else ""
        note = " (agent)" if span.source else ""
        orphan = "(parent missing) " if span.orphan else ""
        names.append(f"{stem}{branch}{mark}{orphan}{clean(span.name)}{note}")
    return names


def _last_children(spans: Sequence[TraceSpan]) -> list[bool]:
    """For each span of a preorder whether no sibling follows. One walk from the end."""
    last, seen = [], set[int]()
    for span in reversed(spans):
        last.append(span.depth not in seen)
        seen = {depth for depth in seen if depth <= span.depth} | {span.depth}
    return last[::-1]


def _facts(span: TraceSpan) -> str:
    attributes = span.attributes
    facts = []
    if span.decision:
        place = " ".join(str(attributes[k]) for k in (c.GRANT, c.GRANT_WHERE) if attributes.get(k))
        facts.append(f"{span.decision} {place}".strip())
    if reason := attributes.get(c.REASON):
        facts.append(str(reason))
    if span.input_tokens is not None or span.output_tokens is not None:
        facts.append(f"{span.input_tokens or 0}→{span.output_tokens or 0} tokens")
    if span.cost is not None:
        facts.append(f"${span.cost:.4f}")
    if (count := attributes.get(c.COUNT)) is not None:
        facts.append(f"{count} fact{'' if count == 1 else 's'}")
    if span.failed:
        facts.append(f"error {attributes.get(c.ERROR_TYPE, '')} {span.message}".strip())
    return clean(" · ".join(facts))


def _with_facts(line: str, span: TraceSpan, width: int) -> list[str]:
    facts = _facts(span)
    if not facts:
        return [line]
    if _cells(line) + 2 + _cells(facts) <= width:
        return [f"{line}  {facts}"]
    indent = "   " * min(span.depth + 1, 6)
    return [line, *(_wrap(facts, indent, width))]


def _said(span: TraceSpan, width: int) -> Iterator[str]:
    indent = "   " * min(span.depth + 1, 6)
    for name, value in span.content.items():
        is_message = name in (c.INPUT_MESSAGES, c.OUTPUT_MESSAGES)
        text = message_text(value) if is_message else value if isinstance(value, str) else str(value)
        yield from _wrap(
            clean(f"{name.rpartition('.')[0].rpartition('.')[2]}.{name.rpartition('.')[2]}: {text}"), indent, width
        )


def _wrap(text: str, indent: str, width: int) -> Iterator[str]:
    import textwrap

    yield from textwrap.wrap(text, max(width, len(indent) + 20), initial_indent=indent, subsequent_indent=indent)


def _bar(span: TraceSpan, start: int, whole: int, width: int) -> str:
    """Where in the trace the span lies: `··███···`."""
    left = min(int((span.started - start) / whole * width), width - 1)
    length = max(1, min(round((span.ended - span.started) / whole * width), width - left))
    return "·" * left + "█" * length + "·" * (width - left - length)


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in text if not unicodedata.combining(ch))


def _cut(text: str, width: int) -> str:
    if _cells(text) <= width:
        return text
    out, used = [], 0
    for ch in text:
        used += _cells(ch)
        if used > width - 1:
            break
        out.append(ch)
    return "".join(out) + "…"


def _fit(text: str, width: int) -> str:
    cut = _cut(text, width)
    return cut + " " * (width - _cells(cut))
