"""Runs a suite: every case of the dataset, each repeat of it, through the `ask` function that is passed in.

A dataset and `ask` go in, `Results` come out, in the same order whatever answered first. A question without an answer
is a zero for its case (intention to treat); a fault of the infrastructure is tried once more first. The runner does not
know how the agent is reached, and judges nothing.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace

from bedplate.blueprint.model import EvalSuite
from bedplate.evals.graders import grade_all, zero
from bedplate.evals.model import Ask, AskFailed, AskReply, AskRequest, Case, Dataset, Results, Sample, SampleError

GRACE = 5.0
"""Seconds beyond its time limit after which an `ask` that has not come back is given up."""

ATTEMPTS = 2
"""How often a question is asked where the infrastructure fails."""


@dataclass(frozen=True)
class Progress:
    """So many of so many samples are done; `sample` is the one just finished."""

    done: int
    total: int
    sample: Sample


async def run(
    suite: EvalSuite,
    dataset: Dataset,
    ask: Ask,
    *,
    concurrency: int = 4,
    repeats: int | None = None,
    timeout: float = 90.0,
    progress: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.time,
    run_id: str | None = None,
) -> Results:
    """Asks each case `repeats` times (the suite's number where None), at most `concurrency` questions at once.

    `timeout` is seconds a turn. `run_id` begins the names of sessions and users. Raises what `ask` raises but for
    AskFailed; then no question is left running.
    """
    times = suite.repeats if repeats is None else repeats
    if times < 1 or concurrency < 1:
        raise ValueError("repeats and concurrency begin at 1")
    asker = _Asker(ask, timeout, run_id or uuid.uuid4().hex)
    plan = [(index, repeat) for repeat in range(1, times + 1) for index in range(len(dataset.cases))]
    started = clock()
    done: dict[tuple[int, int], Sample] = {}

    async def work(queue: Iterator[tuple[int, int]]) -> None:
        for index, repeat in queue:
            done[index, repeat] = sample = await asker.sample(dataset.cases[index], index, repeat)
            if progress:
                progress(Progress(len(done), len(plan), sample))

    queue = iter(plan)
    await _together([work(queue) for _ in range(min(concurrency, len(plan)))])
    samples = tuple(done[key] for key in sorted(done))
    return Results(suite.name, dataset, times, samples, started, max(0.0, clock() - started), timeout)


async def _together(workers: list[Coroutine[None, None, None]]) -> None:
    """Runs the workers at once; the first error ends them all and is raised as it is."""
    tasks = [asyncio.create_task(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Asker:
    """Asks the turns of one sample, each sample in a session and as a user of its own."""

    def __init__(self, ask: Ask, timeout: float, run_id: str) -> None:
        self._ask, self._timeout, self._run_id = ask, timeout, run_id

    async def sample(self, case: Case, index: int, repeat: int) -> Sample:
        """The case asked once and graded; again in a new session where the infrastructure failed."""
        error = SampleError("infrastructure", "not asked")
        traces: list[str] = []
        for attempt in range(1, ATTEMPTS + 1):
            traces.clear()
            name = f"eval-{self._run_id}-{index + 1:05d}-{repeat}-{attempt}"
            try:
                reply = await self._turns(case, name, traces)
            except AskFailed as failed:
                error = SampleError(failed.kind, failed.message)
                if failed.kind == "agent":
                    break
            else:
                return Sample(case, repeat, grade_all(case, reply), reply, None, tuple(traces), attempt)
        return Sample(case, repeat, zero(case, error), None, error, tuple(traces), attempt)

    async def _turns(self, case: Case, name: str, traces: list[str]) -> AskReply:
        replies: list[AskReply] = []
        for turn in case.turns:
            reply = await self._one(AskRequest(turn, session=name, user=name, timeout=self._timeout))
            replies.append(reply)
            if reply.trace_id:
                traces.append(reply.trace_id)
        return merged(replies)

    async def _one(self, request: AskRequest) -> AskReply:
        try:
            async with asyncio.timeout(request.timeout + GRACE) as limit:
                return await self._ask(request)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise AskFailed("agent", f"no answer within {request.timeout:g} s") from error


def merged(replies: list[AskReply]) -> AskReply:
    """The last reply, with the tokens and tool calls of all and the latency of the slowest."""
    return replace(
        replies[-1],
        latency_s=max(reply.latency_s for reply in replies),
        input_tokens=sum(reply.input_tokens for reply in replies),
        output_tokens=sum(reply.output_tokens for reply in replies),
        tool_calls=tuple(call for reply in replies for call in reply.tool_calls),
    )
