"""The caller's side of a running stage: ask the agent over HTTP, as `bedplate ask`, `chat` and `eval` do.

Goes in: a stage's address and key. Comes out: answers, as a whole or in pieces. It knows the outer face of the gateway
(docs/internals.md) and nothing behind it.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedplate.problems import BedplateError, Problem

if TYPE_CHECKING:
    import httpx2

RETRY_FOR = 10.0
"""Seconds for which a caller waits for a gateway that is being restarted."""
_LIMIT_MARGIN = 15.0


@dataclass(frozen=True)
class Answer:
    """A completed turn. `usage` counts tokens, `cost` in it is in US dollars or absent.

    `asks` are calls that wait for a person, as the gateway tells them (`id`, `tool`, `operation`, `arguments`).
    """

    output: str
    session: str
    turn: str
    trace: str
    sources: tuple[str, ...] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)
    asks: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Answer:
        """The answer in a `/invocations` reply."""
        return cls(
            output=str(body["output"]),
            session=str(body["sessionId"]),
            turn=str(body.get("turnId", "")),
            trace=str(body.get("traceId", "")),
            sources=tuple(str(s) for s in body.get("sources", ())),
            usage=body.get("usage") or {},
            asks=tuple(body.get("asks", ())),
        )


class StageClient:
    """Asks one stage's agent. Use as an async context manager; one instance serves many concurrent questions."""

    def __init__(self, url: str, api_key: str, *, timeout: float) -> None:
        """`timeout` is the stage's limit for a turn, in seconds."""
        self._url = url.rstrip("/")
        self._key = api_key
        self._timeout = timeout + _LIMIT_MARGIN
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> StageClient:
        import ssl

        import httpx2

        limits = httpx2.Timeout(self._timeout, connect=5.0)
        # Plain HTTP needs no certificates, and reading them takes 20 ms: this context trusts nobody.
        trust: ssl.SSLContext | bool = self._url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx2.AsyncClient(
            timeout=limits, trust_env=False, verify=trust, headers={"Authorization": f"Bearer {self._key}"}
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http:
            await self._http.aclose()

    async def ask(
        self,
        text: str,
        *,
        user: str,
        session: str | None = None,
        on_text: Callable[[str], None] | None = None,
        on_reset: Callable[[], None] | None = None,
    ) -> Answer:
        """Ask and wait for the answer; `on_text` gets the pieces as they come.

        `on_reset` is called when the agent died and the turn begins anew: the pieces so far are void.

        A connection that breaks (the gateway was restarted) is tried again with the same idempotency key, so the turn
        runs once. Raises BedplateError with the gateway's own code, or BP720 where nothing answers.
        """
        body = {"input": text, "userId": user, **({"sessionId": session} if session else {})}
        return await self._asked(body, on_text, on_reset)

    async def resume(self, ask: str, *, user: str, on_text: Callable[[str], None] | None = None) -> Answer:
        """Go on with the conversation of an ask that a person has decided, as `ask` does."""
        return await self._asked({"resume": ask, "userId": user}, on_text, None)

    async def _asked(
        self,
        body: Mapping[str, Any],
        on_text: Callable[[str], None] | None,
        on_reset: Callable[[], None] | None,
    ) -> Answer:
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Accept": "text/event-stream"}
        deadline = asyncio.get_running_loop().time() + RETRY_FOR
        while True:
            try:
                return await self._once(body, headers, on_text, on_reset)
            except (ConnectionError, EOFError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise unreachable(self._url, error) from error
                await asyncio.sleep(0.2)

    async def _once(
        self,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        on_text: Callable[[str], None] | None,
        on_reset: Callable[[], None] | None,
    ) -> Answer:
        import httpx2

        assert self._http is not None
        try:
            async with self._http.stream(
                "POST", f"{self._url}/invocations", json=dict(body), headers=dict(headers)
            ) as reply:
                if reply.status_code != 200:
                    raise _refused(reply.status_code, await reply.aread())
                async for event, data in _events(reply.aiter_lines()):
                    match event:
                        case "text" if on_text:
                            on_text(data["delta"])
                        case "reset" if on_reset:
                            on_reset()
                        case "result":
                            return Answer.of(data)
                        case "error":
                            raise _error(data)
        except httpx2.TransportError as error:
            raise ConnectionError(str(error) or type(error).__name__) from error
        raise EOFError("the answer ended early")


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    """Server-sent events of a stream of lines: name and JSON data."""
    event = ""
    async for line in lines:
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            yield event, json.loads(line[5:])


def _refused(status: int, body: bytes) -> BedplateError:
    try:
        return _error(json.loads(body))
    except (ValueError, KeyError, TypeError):
        return BedplateError(
            Problem("BP721", f"the gateway answered HTTP {status}", detail=body[:500].decode("utf-8", "replace"))
        )


def _error(body: Mapping[str, Any]) -> BedplateError:
    error = body.get("error", body)
    return BedplateError(Problem(error["code"], error["message"], fix=error.get("fix", "")))


def unreachable(url: str, cause: BaseException) -> BedplateError:
    """The error for a gateway that does not answer."""
    return BedplateError(
        Problem(
            "BP720",
            f"nothing answers at {url}",
            detail=str(cause),
            fix="see `bedplate status` and `bedplate logs gateway`; `bedplate up` starts what is down",
        )
    )
