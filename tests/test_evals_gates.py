"""Gates: what passes, what fails, and what can never pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedplate.blueprint.model import Gate
from bedplate.evals import (
    AskReply,
    AskRequest,
    Outcome,
    ToolCallSeen,
    check_gates,
    exit_of,
    gate_problems,
    judge,
    judge_all,
)
from bedplate.evals.gates import QUALITY, _percentile, measure, outcome_of
from bedplate.manifest.metrics import DIRECTIONS, METRICS
from bedplate.problems import BedplateError, ExitCode
from evals_support import dataset, echo, failing, numbered, results, suite

GRADED = [
    {"Contains": "word"}, "EqualsExpected", {"Regex": "word"}, {"Equals": {"value": "x"}}, "Json", {"Numeric": 1},
    {"Trajectory": {"tools": [], "mode": "exact"}}, {"ForbiddenTools": ["x.*"]}, {"Source": "*"},
]  # fmt: skip


def _all(value: float) -> list[Gate]:
    """A gate on every metric: at least `value` of quality, budgets that anything meets."""
    return [Gate(m, min=value) if d == "min" else Gate(m, max=1e9) for m, d in DIRECTIONS.items()]


async def test_half_the_cases_crash() -> None:
    """When half the questions get no answer, no gate on quality above a half passes and no budget passes either."""
    data = numbered(20, evaluators=GRADED)
    done = await results(data, failing(lambda r: int(r.input[4:]) % 2 == 0))
    for gate in _all(0.51):
        if gate.metric != "errors":
            assert judge(gate, done).outcome is Outcome.FAIL, gate.metric
    assert judge(Gate("errors", max=0.1), done).value == 0.5
    assert judge(Gate("errors", max=0.1), done).outcome is Outcome.FAIL


async def test_a_crash_never_raises_a_score() -> None:
    """For every quality metric, losing one more answer lowers the value or leaves it at zero."""
    data = numbered(10, evaluators=GRADED)
    whole = await results(data)
    for lost in range(1, 11):
        part = await results(data, failing(lambda r, lost=lost: int(r.input[4:]) < lost))
        for metric in (*QUALITY, "passRate"):
            better, worse = measure(metric, whole)[0], measure(metric, part)[0]
            assert better is not None
            assert worse is not None
            assert worse < better or better == 0


@pytest.mark.parametrize(
    ("share", "outcome"), [(0, Outcome.PASS), (1, Outcome.PASS), (2, Outcome.INVALID), (60, Outcome.INVALID)]
)
async def test_faults_make_a_run_invalid(share: int, outcome: Outcome) -> None:
    """Up to 2 % of questions may be lost to the infrastructure; beyond that nothing passes, whatever the values."""
    done = await results(numbered(60), failing(lambda r: int(r.input[4:]) < share, "infrastructure"))
    verdicts = [judge(Gate("contains", min=0.0), done), judge(Gate("errors", max=1.0), done)]
    assert {verdict.outcome for verdict in verdicts} == {outcome}
    assert outcome_of(done, ()) is outcome
    problems = gate_problems(done, verdicts)
    assert [p.code for p in problems] == (["BP514"] if outcome is Outcome.INVALID else [])


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        (Gate("contains", min=0.9), Outcome.PASS),
        (Gate("contains", min=0.91), Outcome.FAIL),
        (Gate("passRate", min=0.9), Outcome.PASS),
        (Gate("passRate", min=1.0), Outcome.FAIL),
        (Gate("latencyP50", max=0.1), Outcome.PASS),
        (Gate("latencyP50", max=0.09), Outcome.FAIL),
        (Gate("tokens", max=15), Outcome.PASS),
        (Gate("tokens", max=14.9), Outcome.FAIL),
        (Gate("toolCalls", max=0), Outcome.PASS),
        (Gate("errors", max=0), Outcome.PASS),
    ],
    ids=str,
)
async def test_direction(gate: Gate, outcome: Outcome) -> None:
    """Quality must reach its threshold and budgets must stay under theirs; the threshold itself is enough."""
    rows = [{"inputs": f"w{i}", "expected_output": "other" if i == 0 else f"w{i}"} for i in range(10)]
    assert judge(gate, await results(dataset(rows), repeats=3)).outcome is outcome


async def test_latency_percentiles() -> None:
    """P50 and P95 are the nearest rank, and a question without an answer took the whole time limit."""

    async def ask(request: AskRequest) -> AskReply:
        return AskReply(request.input, latency_s=int(request.input[4:]) + 1.0)

    done = await results(numbered(100), ask)
    assert (measure("latencyP50", done)[0], measure("latencyP95", done)[0]) == (50.0, 95.0)
    lost = await results(numbered(20), failing(lambda r: r.input in ("word0", "word1")), timeout=30.0)
    assert measure("latencyP95", lost)[0] == 30.0


async def test_means_over_answers() -> None:
    """Tokens and tool calls are means over the samples that have an answer."""

    async def ask(request: AskRequest) -> AskReply:
        calls = (ToolCallSeen("docs.search"),) * (int(request.input[4:]) % 2)
        return AskReply(request.input, input_tokens=int(request.input[4:]), tool_calls=calls)

    done = await results(numbered(4), ask)
    assert measure("tokens", done) == (1.5, 4)
    assert measure("toolCalls", done) == (0.5, 4)


async def test_an_agent_that_never_answers() -> None:
    """When no question at all is answered, every gate fails and none is invalid: it is the agent's fault."""
    done = await results(numbered(3, evaluators=GRADED), failing(lambda _: True))
    for gate in [*_all(0.01), Gate("errors", max=0.5)]:
        if gate.max != 1e9 or gate.metric != "errors":
            assert judge(gate, done).outcome is Outcome.FAIL, gate.metric


@pytest.mark.parametrize("metric", sorted(QUALITY))
async def test_a_metric_without_grader(metric: str) -> None:
    """A gate on a metric that no case is graded for is an error at the gate's line, before and after the run."""
    data = dataset([{"inputs": "q", "evaluators": [{"Latency": 5}]}])
    gate = Gate(metric, min=0.0, where="agent.yaml:12")
    (problem,) = check_gates(suite(gate), data)
    assert (problem.code, str(problem.where)) == ("BP511", "agent.yaml:12")
    done = await results(data)
    with pytest.raises(BedplateError):
        judge(gate, done)
    with pytest.raises(BedplateError):
        judge_all(suite(gate), done)


@pytest.mark.parametrize(
    "gate", [Gate("contians", min=1), Gate("contains", max=1), Gate("tokens", min=1), Gate("tokens")]
)
def test_gates_that_make_no_sense(gate: Gate) -> None:
    """A metric that does not exist or a threshold that points the wrong way is an error."""
    assert [p.code for p in check_gates(suite(gate), numbered(1))] == ["BP512"]


def test_every_quality_metric_is_in_the_manifest() -> None:
    """Each metric that an evaluator counts for can be named by a gate, and each that a gate can name is computed."""
    assert set(DIRECTIONS) >= QUALITY
    assert set(DIRECTIONS) - QUALITY == {"passRate", "latencyP50", "latencyP95", "tokens", "toolCalls", "errors"}
    assert all(DIRECTIONS[metric] == "min" for metric in QUALITY)


@given(st.integers(0, 6))
async def test_measured_shares_are_shares(lost: int) -> None:
    """Every metric that the manifest calls a share is measured as one, `errors` too: no bound is out of reach."""
    done = await results(numbered(6, evaluators=GRADED), failing(lambda r: int(r.input[4:]) < lost))
    for name, metric in METRICS.items():
        if metric.unit == "share":
            value, _ = measure(name, done)
            assert value is not None
            assert 0 <= value <= 1
    assert METRICS["errors"].unit == "share"
    assert measure("errors", done)[0] == pytest.approx(lost / 6)


async def test_failed_gates_are_problems_with_exit_4() -> None:
    """Failed gates become BP513 at their line in the manifest, and the exit code 4; an invalid run wins with 9."""
    done = await results(numbered(2), failing(lambda _: True))
    verdicts = judge_all(suite(Gate("contains", min=0.9, where="agent.yaml:30")), done)
    (problem,) = gate_problems(done, verdicts)
    assert (problem.code, str(problem.where)) == ("BP513", "agent.yaml:30")
    assert BedplateError(problem).exit_code is ExitCode.GATE_FAILED
    assert exit_of([Outcome.PASS, Outcome.FAIL]) is ExitCode.GATE_FAILED
    assert exit_of([Outcome.FAIL, Outcome.INVALID]) is ExitCode.INVALID_EVIDENCE
    assert exit_of([]) is ExitCode.OK


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.95]))
def test_percentile_is_a_value_with_the_share_below(values: list[float], share: float) -> None:
    """The percentile is one of the values, and at least that share of them is no larger."""
    found = _percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


async def test_values_do_not_depend_on_the_order_of_cases() -> None:
    """Reversing the dataset changes no metric."""
    rows = [{"name": f"c{i}", "inputs": f"w{i}", "expected_output": f"w{i % 3}"} for i in range(12)]
    forth, back = await results(dataset(rows), echo), await results(dataset(rows[::-1]), echo)
    assert [measure(metric, forth) for metric in DIRECTIONS] == [measure(metric, back) for metric in DIRECTIONS]
