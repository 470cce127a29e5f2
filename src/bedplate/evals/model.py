"""The values that pass between loading, asking, grading, judging and reporting. Frozen; nothing here does anything.

Latencies and time limits are seconds, times are Unix time, scores are 0 to 1 with 1 the best.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from bedplate.blueprint.model import Gate
from bedplate.evals.evaluators import Evaluator
from bedplate.problems import Where


@dataclass(frozen=True)
class AskRequest:
    """One question to the agent. `session` and `user` are new for every sample, so that none remembers another."""

    input: str
    session: str
    user: str
    timeout: float


@dataclass(frozen=True)
class ToolCallSeen:
    """A tool call of a turn: `tool` is `tool.operation`, `decision` is allow, ask or deny."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    decision: str = "allow"


@dataclass(frozen=True)
class AskReply:
    """What the agent answered. `sources` are `path` or `path#anchor`, best first."""

    output: str
    trace_id: str = ""
    latency_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: tuple[ToolCallSeen, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens in and out together."""
        return self.input_tokens + self.output_tokens


Fault = Literal["agent", "infrastructure"]


class AskFailed(Exception):
    """The question got no answer. `agent`: its own fault, a zero. `infrastructure`: ours or the provider's, retried."""

    def __init__(self, kind: Fault, message: str) -> None:
        super().__init__(message)
        self.kind: Fault = kind
        self.message = message


Ask = Callable[[AskRequest], Awaitable[AskReply]]
"""Reaches the agent. Raises AskFailed where no answer came; anything else it raises ends the run."""


@dataclass(frozen=True)
class Case:
    """One case: `turns` are asked in one session and the last answer is graded. `where` is its line in the dataset.

    `expected` is the JSON value as written, `expected_text` its text (None for a list, a mapping or nothing).
    `digest` covers what is asked and how it is graded; not the name and not the metadata.
    """

    name: str
    turns: tuple[str, ...]
    expected: Any
    expected_text: str | None
    metadata: Mapping[str, Any]
    evaluators: tuple[Evaluator, ...]
    where: Where
    digest: str


@dataclass(frozen=True)
class Dataset:
    """The cases of one file. `digest` covers every case with its name and metadata, in whatever order they stand."""

    name: str
    file: str
    cases: tuple[Case, ...]
    digest: str


@dataclass(frozen=True)
class Grade:
    """What one evaluator says of one answer. `metric` is the metric it counts for, None where it counts for none."""

    name: str
    score: float
    reason: str
    metric: str | None = None


@dataclass(frozen=True)
class SampleError:
    """Why a sample has no answer."""

    kind: Fault
    message: str


@dataclass(frozen=True)
class Sample:
    """One case asked once. Without an answer (`error`) every grade is 0.

    Of several turns: `output` and `sources` are the last one's, tokens and tool calls all turns' together, `latency_s`
    the slowest turn's. `repeat` counts from 1, `attempts` is 2 where an infrastructure fault was retried.
    """

    case: Case
    repeat: int
    grades: tuple[Grade, ...]
    reply: AskReply | None
    error: SampleError | None = None
    trace_ids: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def passed(self) -> bool:
        """Whether an answer came and every grader of the case gives it 1."""
        return self.error is None and all(grade.score >= 1.0 for grade in self.grades)


@dataclass(frozen=True)
class Results:
    """Every sample of one run of one suite, ordered by case as written, then by repeat."""

    suite: str
    dataset: Dataset
    repeats: int
    samples: tuple[Sample, ...]
    started: float
    seconds: float
    timeout: float


class Outcome(StrEnum):
    """What a gate says. INVALID: the run cannot tell, because of faults that are not the agent's."""

    PASS = "PASS"
    FAIL = "FAIL"
    INVALID = "INVALID"


@dataclass(frozen=True)
class GateVerdict:
    """The verdict on one gate: the measured `value` over `n` samples against `threshold` (`min 0.9`), and why."""

    gate: Gate
    outcome: Outcome
    value: float | None
    threshold: str
    n: int
    why: str


@dataclass(frozen=True)
class RunInfo:
    """What was evaluated and by what: digests of build and behaviour, stage, model id, version of Bedplate."""

    agent: str
    stage: str
    model: str
    build_digest: str
    behaviour_digest: str
    tool_version: str
