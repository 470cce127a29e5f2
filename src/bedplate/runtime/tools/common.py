"""What all tool types share: bounds, errors, and how arguments and values become text."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from bedplate.blueprint.openapi import WIRE_GLUE as WIRE_GLUE
from bedplate.blueprint.openapi import WIRE_LIMIT
from bedplate.problems import BedplateError, Problem
from bedplate.runtime.tools.api import CallContext, ToolResult

MAX_RESULT = 1024 * 1024
"""Bytes (or characters) of one result; what is longer is refused, not cut, except where a tool type says otherwise."""
CALL_TIMEOUT = 60.0
"""Seconds that one call may take, if the turn's deadline does not come first."""

log = logging.getLogger("bedplate.tools")


def remaining(context: CallContext, limit: float = CALL_TIMEOUT) -> float:
    """Seconds that this call may still take; at least a tenth, so that a late call fails in the tool and not here."""
    return max(0.1, min(limit, context.deadline - time.time()))


def failed(text: str) -> ToolResult:
    """A result that says in `text` what went wrong, for the model."""
    return ToolResult(text, error=True)


def no_operation(tool: str, operation: str) -> BedplateError:
    """BP454."""
    return BedplateError(
        Problem("BP454", f"tool {tool} has no operation {operation}", fix="use one of the operations that are listed")
    )


def bad_argument(tool: str, operation: str, detail: str) -> BedplateError:
    """BP453: arguments that say nothing definite."""
    return BedplateError(
        Problem(
            "BP453", f"the arguments of {tool}.{operation} are refused: {detail}", fix="mend the argument and ask again"
        )
    )


def as_text(value: Any) -> str:
    """A value for a model to read: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def fits_wire(tool: str, operation: str) -> bool:
    """Whether `tool___operation` is short enough to be offered to a model."""
    return len(tool) + len(WIRE_GLUE) + len(operation) <= WIRE_LIMIT
