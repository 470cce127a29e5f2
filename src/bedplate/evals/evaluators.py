"""The evaluators a case can name, as values. What they mean stands in `graders`, how they are written in `specs`.

`Equals`, `EqualsExpected`, `Contains` and `MaxDuration` are those of pydantic-evals; the others are Bedplate's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal


@dataclass(frozen=True)
class ContainsExpected:
    """The answer contains the case's expected output. Stands in every case that says nothing else about it."""


@dataclass(frozen=True)
class Contains:
    """The answer contains `value`."""

    value: str
    case_sensitive: bool = True


@dataclass(frozen=True)
class ContainsAny:
    """The answer contains at least one of `values`, in any case."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class ContainsAll:
    """The answer contains each of `values`, in any case; the score is the share that it contains."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Exact:
    """The answer is `value`, else the expected output, but for letter case, white space and typographic marks."""

    value: str | None = None


@dataclass(frozen=True)
class Equals:
    """The answer is `value` to the letter; a value that is no text is compared with the answer read as JSON."""

    value: Any


@dataclass(frozen=True)
class EqualsExpected:
    """As `Equals` with the case's expected output."""


@dataclass(frozen=True)
class Regex:
    """The pattern is found in the answer."""

    pattern: str
    ignore_case: bool = False


@dataclass(frozen=True)
class Json:
    """The answer is JSON, fits `schema`, and holds `values` (dotted path to value; list positions count from 0)."""

    schema: Any = None
    values: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Numeric:
    """A number in the answer is within `tolerance` of `value`, else of the expected output."""

    value: Decimal | None = None
    tolerance: Decimal = Decimal(0)


@dataclass(frozen=True)
class Trajectory:
    """The tools called, as globs.

    `exact`: these in this order and no others. `ordered`: these in this order, others may stand between.
    `subset`: these in any order, beside others.
    """

    tools: tuple[str, ...]
    mode: Literal["exact", "ordered", "subset"] = "ordered"


@dataclass(frozen=True)
class ForbiddenTools:
    """No tool that matches one of the globs was called, or tried."""

    tools: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The answer's sources hold this path (a glob; with `#anchor` that place); `first`: it stands first."""

    path: str
    first: bool = False


@dataclass(frozen=True)
class Latency:
    """The answer took at most `max` seconds."""

    max: float


@dataclass(frozen=True)
class Tokens:
    """The answer took at most `max` tokens, in and out."""

    max: int


Evaluator = (
    ContainsExpected
    | Contains
    | ContainsAny
    | ContainsAll
    | Exact
    | Equals
    | EqualsExpected
    | Regex
    | Json
    | Numeric
    | Trajectory
    | ForbiddenTools
    | Source
    | Latency
    | Tokens
)

METRIC_OF: dict[type[Any], str | None] = {
    ContainsExpected: "contains",
    Contains: "contains",
    ContainsAny: "contains",
    ContainsAll: "contains",
    Exact: "exact",
    Equals: "exact",
    EqualsExpected: "exact",
    Regex: "regex",
    Json: "json",
    Numeric: "numeric",
    Trajectory: "trajectory",
    ForbiddenTools: "forbiddenTools",
    Source: "sources",
    Latency: None,
    Tokens: None,
}
"""The metric each evaluator counts for. None: it counts for `passRate` alone."""


def needs_expected(evaluator: Evaluator) -> bool:
    """Whether the evaluator compares with the case's expected output."""
    match evaluator:
        case ContainsExpected() | EqualsExpected():
            return True
        case Exact(value=value) | Numeric(value=value):
            return value is None
        case _:
            return False


def name_of(evaluator: Evaluator) -> str:
    """The name that reports show and datasets write."""
    return "Contains" if isinstance(evaluator, ContainsExpected) else type(evaluator).__name__
