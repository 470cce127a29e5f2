"""The gateway put together. Goes in: configuration and parts. Comes out: two faces, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bedplate import __version__
from bedplate.blueprint.model import Blueprint
from bedplate.problems import BedplateError
from bedplate.runtime.gateway.config import API_KEY, SINK_TOKEN, GatewayConfig
from bedplate.runtime.gateway.dispatch import Dispatch
from bedplate.runtime.gateway.inner import Inner
from bedplate.runtime.gateway.memory_tool import NAME as MEMORY
from bedplate.runtime.gateway.memory_tool import MemoryToolset
from bedplate.runtime.gateway.modelface import ModelFace, Price, Router, prices
from bedplate.runtime.gateway.outer import Outer
from bedplate.runtime.gateway.remembering import Remembering
from bedplate.runtime.gateway.toolstates import ToolStates
from bedplate.runtime.gateway.turns import Turns
from bedplate.runtime.tools.api import Toolset
from bedplate.store import Store
from bedplate.traces.emit import GatewayTracer, TraceResource
from bedplate.traces.redact import Redactor

DRAIN = 8.0
"""Seconds that running turns get when the gateway is told to stop."""
EXPIRE_AT_LEAST, EXPIRE_AT_MOST = 3600.0, 5.0
"""Seconds between two deletions of what is past its retention: half the shortest retention, within these."""

log = logging.getLogger("bedplate.gateway")


@dataclass(frozen=True)
class Parts:
    """What the gateway works with; it closes store, tracer and toolsets.

    `secrets` are the exact values that may stand in no trace, no audit line and no remembered fact. `tools_file` is
    where it tells how its tools are, None: nowhere.
    """

    store: Store
    tracer: GatewayTracer
    toolsets: Mapping[str, Toolset]
    secrets: tuple[str, ...] = ()
    tools_file: Path | None = None


class Gateway:
    """One agent's gateway. `router` may be set once the gateway exists, because a router asks it for search tools."""

    def __init__(self, blueprint: Blueprint, parts: Parts, api_key: str) -> None:
        self._parts = parts
        self._toolsets = _with_memory(blueprint, parts)
        remembering = Remembering(blueprint, parts.store, parts.tracer, parts.secrets)
        self.turns = Turns(blueprint, parts.store, parts.tracer, remembering)
        self.dispatch = Dispatch(blueprint, self._toolsets, parts.store, parts.tracer, self.turns, parts.secrets)
        self.outer = Outer(blueprint, self.turns, api_key)
        self._model = blueprint.model.id
        self._memory = blueprint.memory
        self._router: Router | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._states = ToolStates(parts.tools_file, self.dispatch.states) if parts.tools_file else None

    def with_router(self, router: Router, price: Price) -> Inner:
        """The inner face, with the models behind it and their prices."""
        self._router = router
        models = ModelFace(self._model, router, price, self._parts.tracer, self.turns)
        return Inner(self.turns, self.dispatch, models, self._parts.tracer)

    async def start(self) -> None:
        """Start the tools, settle what an earlier gateway left. Raises BedplateError with all that cannot work."""
        results = await asyncio.gather(*(t.start() for t in self._toolsets.values()), return_exceptions=True)
        problems = [p for r in results if isinstance(r, BedplateError) for p in r.problems]
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BedplateError):
                raise result
        if problems:
            raise BedplateError(*problems)
        await (self._states.start() if self._states is not None else self.dispatch.refresh())
        self._expire()
        self.turns.recover()
        self._expiry = asyncio.create_task(self._keep_expiring())

    def _retentions(self) -> tuple[int | None, int | None]:
        sessions, facts = self._memory.sessions, self._memory.long_term
        return sessions.retention if sessions else None, facts.retention if facts else None

    async def _keep_expiring(self) -> None:
        shortest = min((r for r in self._retentions() if r is not None), default=EXPIRE_AT_LEAST)
        while True:
            await asyncio.sleep(min(EXPIRE_AT_LEAST, max(EXPIRE_AT_MOST, shortest / 2)))
            self._expire()

    def _expire(self) -> None:
        try:
            # the gateway before this one may have written with the retention of its day
            self._parts.store.set_retention(*self._retentions())
            gone = self._parts.store.expire()
        except BedplateError as error:
            log.error("retention was not applied: %s", error)
            return
        if gone.sessions or gone.facts:
            log.info("retention: %d sessions and %d facts erased", gone.sessions, gone.facts)

    async def stop(self) -> None:
        """Let running turns finish, then close tools, models, traces and store."""
        await self.turns.drain(DRAIN)
        if self._expiry is not None:
            self._expiry.cancel()

    async def close(self) -> None:
        """Close tools, models, traces and store, in this order."""
        if self._states is not None:
            await self._states.close()
        closing = [t.close() for t in self._toolsets.values()]
        if self._router is not None:
            closing.append(self._router.aclose())
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, BaseException):
                log.error("something did not close", exc_info=result)
        await asyncio.to_thread(self._parts.tracer.close)
        self._parts.store.close()


def _with_memory(blueprint: Blueprint, parts: Parts) -> dict[str, Toolset]:
    toolsets = dict(parts.toolsets)
    if blueprint.memory.long_term is not None:
        toolsets[MEMORY] = MemoryToolset(blueprint.name, blueprint.memory.long_term, parts.store, parts.secrets)
    return toolsets


def secrets_for(config: GatewayConfig) -> tuple[str, ...]:
    """The values of every secret that the stage holds."""
    from bedplate.blueprint.model import secrets_of

    known = [config.read_secret(n) for n in secrets_of(config.blueprint) if config.stage.secret(n).exists()]
    return (config.read_secret(SINK_TOKEN), config.read_secret(API_KEY), *known)


def tracer_for(config: GatewayConfig, secrets: tuple[str, ...]) -> GatewayTracer:
    """The tracer of a stage. Secrets of the stage never pass it, whatever `tracing.content` says."""
    blueprint, digests = config.blueprint, config.blueprint.digests
    token = config.read_secret(SINK_TOKEN)
    resource = TraceResource(
        blueprint.name, blueprint.stage, digests.build, digests.behaviour, blueprint.owner, __version__
    )
    tracing = blueprint.tracing
    return GatewayTracer(
        resource, config.sink, token, sample_ratio=tracing.sample_ratio, content=tracing.content,
        redactor=Redactor(content=tracing.content, secrets=secrets),
    )  # fmt: skip


def build(config: GatewayConfig) -> tuple[Gateway, Inner]:
    """A gateway from real parts, not started. Raises BedplateError where one cannot be had."""
    from bedplate.runtime.models import ModelRouter
    from bedplate.runtime.tools.build import build_toolsets

    toolsets = build_toolsets(
        config.blueprint, stage=config.stage, read_secret=config.read_secret, sandbox=config.sandbox
    )
    secrets = secrets_for(config)
    stage = config.stage
    parts = Parts(Store.open(stage.memory), tracer_for(config, secrets), toolsets, secrets, stage.tools)
    gateway = Gateway(config.blueprint, parts, config.read_secret(API_KEY))
    router = ModelRouter(
        config.blueprint.model,
        read_secret=lambda name: config.stage.secret(name).read_text("utf-8"),  # the router has an error of its own
        search_tools=gateway.dispatch.search_tools,
        local_url=config.local_model,
    )
    return gateway, gateway.with_router(router, prices(config.blueprint.model))
