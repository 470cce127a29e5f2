"""Spans of one trace as a tree. Goes in: spans in any order. Comes out: the same in tree order, with depths.

Walks without recursion: an agent may send a chain thousands deep, or a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bedplate.traces.segments import SpanFields

STATUS_ERROR = 2


@dataclass(frozen=True)
class TraceSpan(SpanFields):
    """One span as read.

    `depth` counts from 0. `orphan`: its parent never came (or lies in a circle), so its place is a guess.
    """

    attributes: Mapping[str, Any]
    content: Mapping[str, Any]
    events: Sequence[Any]
    depth: int = 0
    orphan: bool = False

    @property
    def failed(self) -> bool:
        return self.status == STATUS_ERROR

    @property
    def duration_ms(self) -> float:
        return max(0, self.ended - self.started) / 1e6


def preorder(spans: Sequence[TraceSpan]) -> tuple[TraceSpan, ...]:
    """Each span once: parents before children, siblings by time, orphans (with what hangs on them) at the end."""
    ids = {span.span_id for span in spans}
    children: dict[str, list[TraceSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda s: (s.started, s.span_id)):
        children[span.parent_id].append(span)
    out: list[TraceSpan] = []
    placed: set[str] = set()
    for root in children.get("", []):
        _walk(root, False, children, placed, out)
    for parent, orphans in list(children.items()):
        if parent and parent not in ids:
            for orphan in orphans:
                _walk(orphan, True, children, placed, out)
    for left in spans:  # only circles are left
        _walk(left, True, children, placed, out)
    return tuple(out)


def _walk(
    start: TraceSpan, orphan: bool, children: Mapping[str, list[TraceSpan]], placed: set[str], out: list[TraceSpan]
) -> None:
    stack = [(start, 0)]
    while stack:
        span, depth = stack.pop()
        if span.span_id in placed:
            continue
        placed.add(span.span_id)
        out.append(replace(span, depth=depth, orphan=orphan and depth == 0))
        stack += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]
