"""The metrics that a gate may name: which way each points and what it is measured in. Data only; evals compute them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["min", "max"]


@dataclass(frozen=True)
class Metric:
    """`direction` is the threshold that makes sense: `min` for quality, `max` for budgets.

    `unit` is `share` (0 to 1), `seconds` or `count`.
    """

    direction: Direction
    unit: Literal["share", "seconds", "count"]
    meaning: str


METRICS: Mapping[str, Metric] = {
    "contains": Metric("min", "share", "share of cases whose answer contains the expected text"),
    "exact": Metric("min", "share", "share of cases whose answer equals the expected text"),
    "regex": Metric("min", "share", "share of cases whose answer matches the expected pattern"),
    "json": Metric("min", "share", "share of cases whose answer is the expected JSON"),
    "numeric": Metric("min", "share", "share of cases whose answer holds the expected number within its tolerance"),
    "trajectory": Metric("min", "share", "share of cases that called the expected tools in order"),
    "forbiddenTools": Metric("min", "share", "share of cases that called no forbidden tool"),
    "sources": Metric("min", "share", "share of cases whose answer names the expected source"),
    "passRate": Metric("min", "share", "share of cases in which every grader passed"),
    "latencyP50": Metric("max", "seconds", "median time to the whole answer"),
    "latencyP95": Metric("max", "seconds", "time within which 95 of 100 answers are complete"),
    "tokens": Metric("max", "count", "mean number of tokens, in and out, of a case"),
    "toolCalls": Metric("max", "count", "mean number of tool calls of a case"),
    "errors": Metric("max", "share", "share of questions that got no answer"),
}
"""Every metric by name."""

DIRECTIONS: Mapping[str, Direction] = {name: metric.direction for name, metric in METRICS.items()}
"""`min` or `max` of every metric."""
