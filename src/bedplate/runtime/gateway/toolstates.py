"""What the gateway says of its tools, for who looks at the stage without a key: `run/tools.json`.

Goes in: the states of tools, asked again and again. Comes out: a file `{tool: {"state": "ready" | "failed", "reason",
"operations"}}`, written whole whenever something in it changed and removed at the end. It mends nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

EVERY = 1.0
"""Seconds between two looks."""

States = Mapping[str, Mapping[str, Any]]
log = logging.getLogger("bedplate.gateway")


class ToolStates:
    """Keeps the file. `states` gives how the tools are now."""

    def __init__(self, path: Path, states: Callable[[], Awaitable[States]]) -> None:
        self._path = path
        self._states = states
        self._written: States | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Write the file; look again from now on."""
        await self._look()
        self._task = asyncio.create_task(self._keep_looking())

    async def close(self) -> None:
        """Stop looking and remove the file. Safe to call twice, and without a start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._path.unlink(missing_ok=True)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self._look()

    async def _look(self) -> None:
        states = await self._states()
        if states == self._written:
            return
        try:
            draft = self._path.with_name(f".{self._path.name}.new")
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(states, indent=1, sort_keys=True), "utf-8")
            draft.replace(self._path)
        except OSError as error:  # a full disk must end no turn; the next look tries again
            log.error("the state of the tools was not written: %s", error)
            return
        self._written = states
