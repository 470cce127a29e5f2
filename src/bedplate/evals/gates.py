"""Judges gates: metrics over all samples of a run, compared with the thresholds of the manifest.

`Results` and a `Gate` go in, a `GateVerdict` comes out. A quality metric is a mean over every sample that has a grader
for it, where no answer counts 0. A metric that nothing grades is an error and never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from bedplate.blueprint.model import EvalSuite, Gate
from bedplate.evals.evaluators import METRIC_OF
from bedplate.evals.findings import did_you_mean
from bedplate.evals.model import Dataset, GateVerdict, Outcome, Results, Sample
from bedplate.manifest.metrics import DIRECTIONS
from bedplate.problems import BedplateError, ExitCode, Problem, Where, worst_exit

MAX_FAULTS = 0.02
"""Share of samples lost to the infrastructure beyond which a run says nothing."""

MAX_UNANSWERED = 0.05
"""Share of unanswered samples beyond which a budget over the answered ones would flatter, and fails."""

_EPSILON = 1e-9

QUALITY = frozenset(metric for metric in METRIC_OF.values() if metric)
"""Metrics that need a grader in the dataset."""


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value with at least `share` of the values at or below it (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values) - _EPSILON) - 1)]


def _latencies(results: Results) -> list[float]:
    """Seconds of each sample. Without an answer a sample took the whole time limit."""
    return [s.reply.latency_s if s.reply else results.timeout for s in results.samples]


def _answered(results: Results, measure: Callable[[Sample], float]) -> tuple[float | None, int]:
    values = [measure(sample) for sample in results.samples if sample.reply]
    return (fmean(values) if values else None), len(values)


def _tokens(sample: Sample) -> float:
    return sample.reply.tokens if sample.reply else 0


def _tool_calls(sample: Sample) -> float:
    return len(sample.reply.tool_calls) if sample.reply else 0


def measure(metric: str, results: Results) -> tuple[float | None, int]:
    """The metric's value and the number of samples behind it; None where no sample has it."""
    samples = results.samples
    match metric:
        case _ if not samples:
            return None, 0
        case "passRate":
            return fmean(sample.passed for sample in samples), len(samples)
        case "errors":
            return fmean(sample.error is not None for sample in samples), len(samples)
        case "latencyP50" | "latencyP95":
            return _percentile(_latencies(results), int(metric[-2:]) / 100), len(samples)
        case "tokens":
            return _answered(results, _tokens)
        case "toolCalls":
            return _answered(results, _tool_calls)
        case _:
            scores = [score for sample in samples if (score := _score(sample, metric)) is not None]
            return (fmean(scores) if scores else None), len(scores)


def _score(sample: Sample, metric: str) -> float | None:
    """The mean of the sample's grades that count for the metric."""
    scores = [grade.score for grade in sample.grades if grade.metric == metric]
    return fmean(scores) if scores else None


def faults(results: Results) -> float:
    """Share of samples lost to the infrastructure."""
    lost = [sample for sample in results.samples if sample.error and sample.error.kind == "infrastructure"]
    return len(lost) / len(results.samples) if results.samples else 1.0


def unanswered(results: Results) -> float:
    """Share of samples without an answer, whoever's fault."""
    return fmean(sample.error is not None for sample in results.samples) if results.samples else 1.0


def check_gates(suite: EvalSuite, dataset: Dataset) -> tuple[Problem, ...]:
    """What makes gates impossible to judge: metrics that do not exist, point the other way, or have no grader."""
    return tuple(problem for gate in suite.gates if (problem := _check(gate, dataset)))


def _check(gate: Gate, dataset: Dataset) -> Problem | None:
    where, metric = place_of(gate.where), gate.metric
    if metric not in DIRECTIONS:
        return Problem("BP512", f"there is no metric `{metric}`", where, fix=did_you_mean(metric, DIRECTIONS))
    wanted, other = ("min", gate.max) if DIRECTIONS[metric] == "min" else ("max", gate.min)
    if other is not None or getattr(gate, wanted) is None:
        return Problem(
            "BP512", f"a gate on `{metric}` takes `{wanted}`", where, fix=f"- {{metric: {metric}, {wanted}: …}}"
        )
    if metric in QUALITY and not any(METRIC_OF[type(e)] == metric for case in dataset.cases for e in case.evaluators):
        names = sorted(kind.__name__ for kind, counts in METRIC_OF.items() if counts == metric)
        fix = f"Add one of {', '.join(names)} to cases, or gate on a metric that they have."
        return Problem("BP511", f"no case of {dataset.file} has a grader for `{metric}`", where, fix=fix)
    return None


def place_of(text: str) -> Where | None:
    """A gate's `where` (`agent.yaml:LINE`) as a place."""
    file, _, line = text.rpartition(":")
    return Where(file, int(line)) if file and line.isdigit() else (Where(text) if text else None)


def judge(gate: Gate, results: Results) -> GateVerdict:
    """The verdict on one gate. Raises BedplateError (BP511, BP512) where the gate cannot be judged at all."""
    problem = _check(gate, results.dataset)
    if problem:
        raise BedplateError(problem)
    value, n = measure(gate.metric, results)
    direction = DIRECTIONS[gate.metric]
    limit = gate.min if direction == "min" else gate.max
    threshold = f"{direction} {limit:g}"
    why = _invalid(results, value)
    if why:
        return GateVerdict(gate, Outcome.INVALID, value, threshold, n, why)
    why = _missed(gate, results, value or 0.0)
    return GateVerdict(gate, Outcome.FAIL if why else Outcome.PASS, value, threshold, n, why)


def judge_all(suite: EvalSuite, results: Results) -> tuple[GateVerdict, ...]:
    """The verdicts on every gate of the suite. Raises BedplateError with all gates that cannot be judged."""
    problems = check_gates(suite, results.dataset)
    if problems:
        raise BedplateError(*problems)
    return tuple(judge(gate, results) for gate in suite.gates)


def _invalid(results: Results, value: float | None) -> str:
    share = faults(results)
    planned = len(results.dataset.cases) * results.repeats
    if share > MAX_FAULTS:
        return (
            f"{share:.0%} of the questions were lost to faults of the infrastructure (at most {MAX_FAULTS:.0%} may be)"
        )
    if len(results.samples) != planned:
        return f"{len(results.samples)} of {planned} planned samples are there"
    if (value is None and unanswered(results) < 1) or (value is not None and not math.isfinite(value)):
        return "it could not be measured"
    return ""


def _missed(gate: Gate, results: Results, value: float) -> str:
    lost = unanswered(results)
    if gate.min is not None and value < gate.min - _EPSILON:
        return f"{value:.4g} is below {gate.min:g}"
    if gate.max is not None and value > gate.max + _EPSILON:
        return f"{value:.4g} is above {gate.max:g}"
    if gate.max is not None and gate.metric != "errors" and lost > MAX_UNANSWERED:
        return f"{lost:.0%} of the questions got no answer: a budget over the rest would flatter"
    return ""


def outcome_of(results: Results, verdicts: Iterable[GateVerdict]) -> Outcome:
    """The outcome of a run: INVALID before FAIL before PASS. Too many faults make it INVALID even without a gate."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.INVALID in outcomes or faults(results) > MAX_FAULTS:
        return Outcome.INVALID
    return Outcome.FAIL if Outcome.FAIL in outcomes else Outcome.PASS


def exit_of(outcomes: Iterable[Outcome]) -> ExitCode:
    """The exit code of runs with these outcomes: 9 where one is INVALID, else 4 where one is FAIL, else 0."""
    codes = {Outcome.PASS: ExitCode.OK, Outcome.FAIL: ExitCode.GATE_FAILED, Outcome.INVALID: ExitCode.INVALID_EVIDENCE}
    return worst_exit(codes[outcome] for outcome in outcomes)


def gate_problems(results: Results, verdicts: Sequence[GateVerdict]) -> tuple[Problem, ...]:
    """What stands in the way, as problems: BP513 for each failed gate (exit 4), BP514 for an invalid run (exit 9)."""
    suite = results.suite
    problems = [
        Problem("BP513", f"gate `{v.gate.metric}` of suite `{suite}` failed: {v.why}", place_of(v.gate.where),
                fix="`bedplate eval` lists the failing cases; `bedplate traces show` shows what the agent did.")
        for v in verdicts
        if v.outcome is Outcome.FAIL
    ]  # fmt: skip
    reasons = [v.why for v in verdicts if v.outcome is Outcome.INVALID]
    if outcome_of(results, verdicts) is Outcome.INVALID:
        why = reasons[0] if reasons else _invalid(results, 0.0)
        fix = "Mend what kept the agent from answering (see `bedplate status`) and run it again."
        problems.append(
            Problem("BP514", f"the run of suite `{suite}` is invalid: {why}", Where(results.dataset.file), fix=fix)
        )
    return tuple(problems)
