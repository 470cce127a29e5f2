"""Run a manifest's eval suites against a running stage, and keep the results.

Goes in: a running stage and suite names. Comes out: reports with verdicts, written below the stage's folder. Every
sample asks as a user of its own, who is forgotten when the run is over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate import __version__
from bedplate.blueprint.model import Blueprint, EvalSuite, PythonTool, SearchTool
from bedplate.problems import BedplateError, ExitCode, Problem
from bedplate.release.behaviour import result_name

if TYPE_CHECKING:
    from bedplate.evals.model import Ask, AskReply, AskRequest, Dataset, Fault
    from bedplate.evals.report import SuiteReport
    from bedplate.evals.runner import Progress
    from bedplate.release.running import RunningStage
    from bedplate.runtime.client import StageClient
    from bedplate.store import Store

_INFRASTRUCTURE = {"BP720", "BP721"}
"""Codes that are no fault of the agent: nothing answered, or something else did."""


def check_suites(blueprint: Blueprint) -> tuple[Problem, ...]:
    """Every problem of the stage's datasets and gates."""
    from bedplate.evals.dataset import load_dataset, unknown_tools
    from bedplate.evals.gates import check_gates

    problems: list[Problem] = []
    for suite in blueprint.evals:
        try:
            dataset = load_dataset(Path(blueprint.project) / suite.dataset, file=suite.dataset)
        except BedplateError as error:
            problems += error.problems
        else:
            problems += check_gates(suite, dataset)
            problems += unknown_tools(dataset, _operations(blueprint, dataset))
    return tuple(problems)


def _operations(blueprint: Blueprint, dataset: Dataset) -> set[str]:
    """Every `tool.operation` that cases may name.

    What an MCP server or an API document offers shows only when it is asked: of such a tool any operation that a case
    names is taken for one.
    """
    from bedplate.evals.evaluators import ForbiddenTools, Trajectory

    named = {
        g for c in dataset.cases for e in c.evaluators if isinstance(e, Trajectory | ForbiddenTools) for g in e.tools
    }
    found = {"memory.recall", "memory.remember"} if blueprint.memory.long_term else set()
    for tool in blueprint.tools:
        match tool:
            case SearchTool():
                found |= {f"{tool.name}.search", f"{tool.name}.open"}
            case PythonTool():
                found.add(f"{tool.name}.{tool.entrypoint.rpartition(':')[2]}")
            case _:
                found |= {f"{tool.name}.{glob.partition('.')[2]}" for glob in named}
    return found


def choose_suites(blueprint: Blueprint, names: Sequence[str]) -> tuple[EvalSuite, ...]:
    """The suites to run: those named, or all. Raises BP709 for a name that the manifest does not have."""
    known = {suite.name: suite for suite in blueprint.evals}
    unknown = [name for name in names if name not in known]
    if unknown or not known:
        what = f"no eval named {', '.join(unknown)}" if unknown else "the manifest has no evals"
        fix = f"known: {', '.join(known)}" if known else "add an `evals` section; see docs/evals.md"
        raise BedplateError(Problem("BP709", what, fix=fix), exit_code=ExitCode.USAGE)
    return tuple(known[name] for name in names) if names else blueprint.evals


def evaluate(
    stage: RunningStage,
    names: Sequence[str] = (),
    *,
    repeats: int | None = None,
    concurrency: int = 4,
    progress: Callable[[Progress], None] | None = None,
    results: Path | None = None,
) -> list[SuiteReport]:
    """Run the suites and judge their gates; reports are kept in `results`, else in the stage's folder.

    Raises BedplateError before anything is asked where that cannot be done.
    """
    blueprint = stage.target.blueprint
    suites = choose_suites(blueprint, names)
    if not stage.current:
        raise BedplateError(
            Problem("BP708", "what runs differs from the manifest", fix=f"bedplate up --stage {blueprint.stage}")
        )
    run = _Run(stage, repeats, concurrency, progress, results or stage.target.paths.evals)
    return asyncio.run(_evaluate(run, suites))


@dataclass(frozen=True)
class _Run:
    """How suites are run: against which stage, how often, how many at once, and where reports go."""

    stage: RunningStage
    repeats: int | None
    concurrency: int
    progress: Callable[[Progress], None] | None
    results: Path


async def _evaluate(run: _Run, suites: Sequence[EvalSuite]) -> list[SuiteReport]:
    from bedplate.evals.dataset import load_dataset
    from bedplate.runtime.client import StageClient
    from bedplate.store import Store

    stage, blueprint = run.stage, run.stage.target.blueprint
    store = Store.open(stage.target.paths.memory)
    users: set[str] = set()
    reports = []
    try:
        async with StageClient(stage.url, stage.api_key, timeout=blueprint.limits.timeout) as client:
            ask = _asker(client, store, users)
            for suite in suites:
                dataset = load_dataset(Path(blueprint.project) / suite.dataset, file=suite.dataset)
                reports.append(await _run(run, suite, dataset, ask))
    finally:
        for user in users:
            store.forget(str(stage.outputs.get("agent") or blueprint.name), user)  # it may have been renamed since
        store.close()
    return reports


async def _run(how: _Run, suite: EvalSuite, dataset: Dataset, ask: Ask) -> SuiteReport:
    from bedplate.evals.gates import judge_all
    from bedplate.evals.model import RunInfo
    from bedplate.evals.report import SuiteReport
    from bedplate.evals.runner import run

    blueprint = how.stage.target.blueprint
    results = await run(
        suite,
        dataset,
        ask,
        concurrency=how.concurrency,
        repeats=how.repeats,
        timeout=blueprint.limits.timeout,
        progress=how.progress,
    )
    info = RunInfo(
        agent=blueprint.name,
        stage=blueprint.stage,
        model=blueprint.model.id,
        build_digest=blueprint.digests.build,
        behaviour_digest=blueprint.digests.behaviour,
        tool_version=__version__,
    )
    report = SuiteReport(results, judge_all(suite, results), info)
    _keep(how.results, report)
    return report


def _keep(results: Path, report: SuiteReport) -> Path:
    from bedplate.evals.report import dumps

    folder = results / report.results.suite
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, exist_ok=True)
    path = folder / result_name(report.results.started, report.info.behaviour_digest)
    path.touch(mode=0o600)
    path.write_text(dumps(report), "utf-8")
    return path


def _asker(client: StageClient, store: Store, users: set[str]) -> Ask:
    """The `ask` of the runner: over HTTP, with the turn's tool calls read from the store."""
    from bedplate.evals.model import AskFailed, AskReply, ToolCallSeen

    async def ask(request: AskRequest) -> AskReply:
        users.add(request.user)
        started = time.perf_counter()
        try:
            answer = await client.ask(request.input, user=request.user, session=request.session)
        except BedplateError as error:
            problem = error.problems[0]
            kind: Fault = "infrastructure" if problem.code in _INFRASTRUCTURE else "agent"
            raise AskFailed(kind, f"{problem.code} {problem.summary}") from error
        calls = tuple(
            ToolCallSeen(f"{call.tool}.{call.operation}", decision=call.decision) for call in store.calls(answer.turn)
        )
        return AskReply(
            output=answer.output,
            trace_id=answer.trace,
            latency_s=time.perf_counter() - started,
            input_tokens=int(answer.usage.get("inputTokens", 0)),
            output_tokens=int(answer.usage.get("outputTokens", 0)),
            tool_calls=calls,
            sources=answer.sources,
        )

    return ask
