"""The agent's report on a turn: newline-delimited JSON events while it works.

Goes in: the bytes of one request. Comes out: checked events. It knows no turn.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from bedplate.problems import BedplateError, Problem
from bedplate.runtime.gateway import faults
from bedplate.runtime.gateway.web import strict_json

MAX_LINE = 4 * 1024 * 1024
MAX_REPORT = 16 * 1024 * 1024
_CODE = re.compile(r"BP\d{3}")


@dataclass(frozen=True)
class Said:
    """A piece of the answer."""

    delta: str


@dataclass(frozen=True)
class Finished:
    """The answer, and the turn's messages for the session (pydantic-ai, as JSON)."""

    output: str
    messages: list[dict[str, Any]]


@dataclass(frozen=True)
class Gave:
    """The agent gave up on the turn."""

    error: BedplateError


Report = Said | Finished | Gave


async def reports(chunks: AsyncIterator[bytes]) -> AsyncIterator[Report]:
    """The events, one a line; blank lines are skipped. Raises BedplateError BP420 for anything else."""
    async for line in _lines(chunks):
        if line.strip():
            yield _report(line)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest, size = bytearray(), 0
    async for chunk in chunks:
        size += len(chunk)
        rest += chunk
        *whole, tail = rest.split(b"\n") if b"\n" in chunk else [rest]
        if size > MAX_REPORT or any(len(line) > MAX_LINE for line in (*whole, tail)):
            raise faults.bad_stream("is too large")
        rest = bytearray(tail)
        for line in whole:
            yield bytes(line)
    if rest:
        yield bytes(rest)


def _report(line: bytes) -> Report:
    try:
        event = strict_json(line)
    except ValueError as error:
        raise faults.bad_stream("is no JSON") from error
    match event:
        case {"type": "text", "delta": str(delta)}:
            return Said(delta)
        case {"type": "result", "output": str(output), "messages": list(messages)}:
            if all(isinstance(m, dict) for m in messages):
                return Finished(output, messages)
        case {"type": "error", "code": str(code), "message": str(message)}:
            return Gave(_given(code, message[:2000]))
    raise faults.bad_stream("has an event of no known kind")


def _given(code: str, message: str) -> BedplateError:
    """The agent's own words; its code is kept where it has the shape of ours, and believed no further."""
    if _CODE.fullmatch(code):
        return BedplateError(Problem(code, message, fix=f"See `bedplate explain {code}`."))
    return faults.agent_failed(f"{message} ({code[:64]})")
