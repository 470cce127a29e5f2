"""What an agent sends, taken in so that it fills neither the gateway's memory nor its time.

Goes in: requests. Comes out: bodies. Callers are trusted with theirs; this is for the inner face only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.web import body_of, strict_json

ROOM = 64 * 1024 * 1024
"""Bytes of bodies that are on their way at a time."""
LONG = 0.005
"""Seconds of reading JSON after which everyone else gets as much time first."""


class Intake:
    """Bodies of one face, within `room` bytes at a time."""

    def __init__(self, room: int = ROOM) -> None:
        self._left = room
        self._parsing = asyncio.Lock()

    async def body(self, request: Request, limit: int) -> bytes:
        """As `web.body_of`; BP421 where too much is on its way."""
        with self._room(request, limit):
            return await body_of(request, limit)

    async def json(self, request: Request, limit: int) -> Any:
        """As `web.json_of`, one after the other; BP421 where too much is on its way."""
        with self._room(request, limit):
            raw = await body_of(request, limit)
            async with self._parsing:
                return await _paced(raw)

    @contextmanager
    def _room(self, request: Request, limit: int) -> Iterator[None]:
        """Room for what the request says that it holds, which it can hold at most."""
        told = request.headers.get("content-length", "")
        size = min(int(told), limit) if told.isdigit() else limit
        if size > self._left:
            raise faults.too_much_at_once()
        self._left -= size
        try:
            yield
        finally:
            self._left += size


async def _paced(raw: bytes) -> Any:
    began = time.perf_counter()
    try:
        return strict_json(raw)
    finally:
        took = time.perf_counter() - began
        if took > LONG:
            await asyncio.sleep(took)
