"""How a turn fails. Goes in: an exception; comes out: a code and a message for the gateway."""

from __future__ import annotations

import sys
import traceback

import httpx2
from pydantic_ai.exceptions import UnexpectedModelBehavior, UsageLimitExceeded


class GatewayRefused(Exception):
    """The gateway answered a call of the agent with an error of its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class GatewayGone(Exception):
    """The gateway did not answer, or answered with something that is no answer."""


def failure(error: Exception) -> tuple[str, str]:
    """Code and message of what ended a turn. What nobody foresaw goes to the log whole."""
    match error:
        case GatewayRefused():
            return error.code, error.message
        case UsageLimitExceeded():
            return "BP491", "the agent was about to ask the model more often than limits.requests allows"
        case UnexpectedModelBehavior():
            return "BP492", f"the model did not come to an answer: {error}"
        case TimeoutError():
            return "BP494", "the turn's time ran out"
        case GatewayGone() | httpx2.HTTPError():
            return "BP495", f"the gateway was lost ({type(error).__name__}: {error})"
        case _:
            traceback.print_exception(error, file=sys.stderr)
            return "BP493", f"the agent failed ({type(error).__name__}: {error})"
