"""The values that pass between router and upstreams, and what an upstream has to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Body = dict[str, Any]
"""A JSON object of the OpenAI chat completions API: a request, a completion or a chunk."""


@dataclass(frozen=True)
class ChatReply:
    """A complete answer. `model` is the manifest's id of the one that answered; `cost` in US dollars, None: unknown."""

    body: Body
    model: str
    input_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True)
class Chunk:
    """One piece of a streamed answer: `data` is an OpenAI `chat.completion.chunk`.

    The last chunk has `usage` in `data` and the whole answer as `reply`; all others have None there.
    """

    data: Body
    reply: ChatReply | None = None


class UpstreamError(Exception):
    """One model could not be had. `reason` is for people; it may repeat a key until `border` has cleaned it.

    `status` is the HTTP status (0: none came). `again` tells whether another model is to be tried; `retry_after` is
    what the provider asked to wait, in seconds.
    """

    def __init__(self, reason: str, *, status: int = 0, again: bool = True, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.again = again
        self.retry_after = retry_after


class Upstream(Protocol):
    """One model that answers."""

    def stream(self, body: Mapping[str, Any], *, timeout: float) -> AsyncGenerator[Body]:
        """The answer to a request as chat.completion.chunk objects; `usage` in one of them where the provider tells.

        They are as the provider sent them: only `border` says what they hold.
        `timeout` bounds the silence between two pieces, in seconds. Raises UpstreamError.
        """
