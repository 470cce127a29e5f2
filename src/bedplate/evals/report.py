"""Eval results as JSON, the record that is kept: every sample, every gate, and what was evaluated.

`SuiteReport` goes in, a JSON value comes out; its schema is published as `docs/schema/eval-results.v1.json`. Tool
arguments are left out: traces hold them, redacted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bedplate.evals.gates import measure, outcome_of
from bedplate.evals.model import AskReply, Case, GateVerdict, Grade, Outcome, Results, RunInfo, Sample
from bedplate.manifest.metrics import DIRECTIONS

SCHEMA = "bedplate.dev/eval-results/v1"
MAX_OUTPUT = 20_000
"""Characters of an answer that the record keeps; `outputTruncated` says that there were more."""


@dataclass(frozen=True)
class CaseSummary:
    """One case over all its repeats. `failing` is the first sample that did not pass, None where all passed."""

    case: Case
    passed: int
    total: int
    failing: Sample | None
    seconds: float
    samples: tuple[Sample, ...]

    @property
    def share(self) -> str:
        """`3/5`: passed repeats of all."""
        return f"{self.passed}/{self.total}"


@dataclass(frozen=True)
class SuiteReport:
    """A run with its verdicts and what was run."""

    results: Results
    verdicts: tuple[GateVerdict, ...]
    info: RunInfo

    @property
    def outcome(self) -> Outcome:
        """PASS, FAIL or INVALID for the suite as a whole."""
        return outcome_of(self.results, self.verdicts)

    def cases(self) -> tuple[CaseSummary, ...]:
        """Every case with its repeats folded, in the dataset's order."""
        by_case: dict[str, list[Sample]] = {case.name: [] for case in self.results.dataset.cases}
        for sample in self.results.samples:
            by_case[sample.case.name].append(sample)
        return tuple(_summary(case, by_case[case.name]) for case in self.results.dataset.cases)


def _summary(case: Case, samples: list[Sample]) -> CaseSummary:
    failing = next((sample for sample in samples if not sample.passed), None)
    seconds = sum(sample.reply.latency_s for sample in samples if sample.reply)
    return CaseSummary(case, sum(sample.passed for sample in samples), len(samples), failing, seconds, tuple(samples))


def to_json(report: SuiteReport) -> dict[str, Any]:
    """The record of one run."""
    results, info = report.results, report.info
    dataset = results.dataset
    return {
        "schema": SCHEMA,
        "suite": results.suite,
        "outcome": report.outcome.value,
        "agent": info.agent,
        "stage": info.stage,
        "model": info.model,
        "buildDigest": info.build_digest,
        "behaviourDigest": info.behaviour_digest,
        "toolVersion": info.tool_version,
        "startedAt": datetime.fromtimestamp(results.started, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(results.seconds, 3),
        "repeats": results.repeats,
        "timeout": results.timeout,
        "dataset": {"name": dataset.name, "file": dataset.file, "digest": dataset.digest, "cases": len(dataset.cases)},
        "gates": [_gate(verdict) for verdict in report.verdicts],
        "metrics": _metrics(results),
        "cases": [_case(summary) for summary in report.cases()],
    }


def dumps(report: SuiteReport) -> str:
    """The record as text, with a newline at its end."""
    return json.dumps(to_json(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _gate(verdict: GateVerdict) -> dict[str, Any]:
    gate = verdict.gate
    return {
        "metric": gate.metric,
        "outcome": verdict.outcome.value,
        "value": _rounded(verdict.value),
        "min": gate.min,
        "max": gate.max,
        "n": verdict.n,
        "why": verdict.why,
        "where": gate.where,
    }


def _metrics(results: Results) -> dict[str, Any]:
    """Every metric that something was measured for, gated or not."""
    measured = {metric: measure(metric, results) for metric in DIRECTIONS}
    return {name: {"value": _rounded(value), "n": n} for name, (value, n) in measured.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _case(summary: CaseSummary) -> dict[str, Any]:
    case = summary.case
    return {
        "name": case.name,
        "file": case.where.file,
        "line": case.where.line,
        "digest": case.digest,
        "turns": list(case.turns),
        "expected": case.expected,
        "passed": summary.passed,
        "samples": [_sample(sample) for sample in summary.samples],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    error = sample.error and {"kind": sample.error.kind, "message": sample.error.message}
    return {
        "repeat": sample.repeat,
        "passed": sample.passed,
        "attempts": sample.attempts,
        "error": error,
        "traceIds": list(sample.trace_ids),
        "grades": [_grade(grade) for grade in sample.grades],
        "reply": _reply(sample.reply) if sample.reply else None,
    }


def _grade(grade: Grade) -> dict[str, Any]:
    return {"name": grade.name, "metric": grade.metric, "score": round(grade.score, 6), "reason": grade.reason}


def _reply(reply: AskReply) -> dict[str, Any]:
    tools = [{"tool": call.tool, "decision": call.decision} for call in reply.tool_calls]
    return {
        "output": reply.output[:MAX_OUTPUT],
        "outputTruncated": len(reply.output) > MAX_OUTPUT,
        "latency": round(reply.latency_s, 6),
        "inputTokens": reply.input_tokens,
        "outputTokens": reply.output_tokens,
        "toolCalls": tools,
        "sources": list(reply.sources),
    }
