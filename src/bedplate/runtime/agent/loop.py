"""The agent's life: fetch jobs, run them side by side, stay alive while the gateway is away, end in order.

Goes in: the gateway's address. Comes out: turns. SIGTERM ends it: no new job, running turns get `GRACE` seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httpx2
from pydantic_ai import Agent

from bedplate.runtime.agent.job import MAX_TURNS, AgentConfig, Job
from bedplate.runtime.agent.turn import Turn

GRACE = 8.0
"""Seconds that running turns are given to end."""
_POLL = 40.0
_BACKOFF = (0.1, 5.0)


class Loop:
    """Takes jobs from one gateway until it is stopped."""

    def __init__(self, config: AgentConfig, http: httpx2.AsyncClient) -> None:
        self._config = config
        self._http = http
        self._agent: Agent[None, str] = Agent(name=config.name, output_type=str)
        self._free = asyncio.Semaphore(MAX_TURNS)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs jobs until `stop`, then waits for those that run."""
        fetching = asyncio.create_task(self._fetch())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if fetching.done():
            stopping.cancel()
            fetching.result()
        fetching.cancel()
        await self._finish()

    async def _finish(self) -> None:
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _fetch(self) -> None:
        wait = _BACKOFF[0]
        while True:
            await self._free.acquire()
            try:
                job = await self._next()
                wait = _BACKOFF[0]
            except (httpx2.HTTPError, ValueError, KeyError) as error:
                self._free.release()
                sys.stderr.write(f"gateway gave no job ({type(error).__name__}: {error}); trying again\n")
                await asyncio.sleep(wait)
                wait = min(2 * wait, _BACKOFF[1])
                continue
            self._start(job)

    async def _next(self) -> Job | None:
        response = await self._http.post("/agent/next", timeout=httpx2.Timeout(_POLL, connect=5.0))
        response.raise_for_status()
        return None if response.status_code == 204 else Job.of(response.json())

    def _start(self, job: Job | None) -> None:
        if job is None:
            self._free.release()
            return
        task = asyncio.create_task(self._turn(job))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _turn(self, job: Job) -> None:
        try:
            await Turn(self._config, self._agent, self._http, job).run()
        except* (httpx2.HTTPError, OSError) as lost:
            sys.stderr.write(f"turn {job.turn} could not be told to the gateway: {lost.exceptions[0]}\n")


async def serve(config: AgentConfig, url: str) -> None:
    """Runs the agent until SIGTERM or SIGINT. Says that it is ready on `BEDPLATE_READY_FD` where that is given."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    limits = httpx2.Limits(max_connections=4 * MAX_TURNS, max_keepalive_connections=2 * MAX_TURNS)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, verify=False, limits=limits) as http:
        loop = Loop(config, http)
        _say_ready()
        await loop.run(stop)


def _say_ready() -> None:
    if fd := os.environ.pop("BEDPLATE_READY_FD", None):
        with os.fdopen(int(fd), "w") as ready:
            ready.write("ready\n")
