"""The history of a stack's updates, as lines of JSON.

Goes in: a `Begun` and how it ended. Comes out: `Update`s. A run that changed nothing leaves none.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedplate.engine.api import Update
from bedplate.problems import BedplateError, Problem, Where


@dataclass(frozen=True)
class Begun:
    """A run that has begun: what it is (`up`, `refresh`, …), since when (Unix seconds), for whom, and why."""

    kind: str
    started: float
    message: str = ""
    who: str = ""

    def ended(self, result: str, finished: float, counts: Mapping[str, int]) -> Update:
        """The update that this run has become. Its number comes when it is noted."""
        return Update(0, self.kind, result, self.started, finished, counts, self.message, self.who)


def whoami() -> str:
    """`user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def line_of(update: Update, number: int) -> bytes:
    """The update as a line of the history."""
    return json.dumps(asdict(replace(update, number=number)), separators=(",", ":")).encode() + b"\n"


def updates_of(lines: tuple[bytes, ...], label: str) -> tuple[Update, ...]:
    """The updates, the newest first. Raises BedplateError BP211 for a line that is none."""
    found: list[Update] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Update(**json.loads(line)))
        except (ValueError, TypeError) as error:
            where, fix = Where(label, number), "take that line out; nothing else depends on the history"
            raise BedplateError(Problem("BP211", "the history is damaged", where=where, fix=fix)) from error
    return tuple(reversed(found))


def begun_of(raw: Mapping[str, Any]) -> Begun:
    """The run that a journal names."""
    return Begun(**raw)
