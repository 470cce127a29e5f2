"""An upstream that speaks the OpenAI chat completions dialect. Goes in: a request; out: chunks, or UpstreamError."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from bedplate.runtime.models.api import Body, UpstreamError
from bedplate.runtime.models.http import events, opened, refusal, whole

if TYPE_CHECKING:
    import httpx2


class OpenAIUpstream:
    """One model at one OpenAI-compatible address."""

    def __init__(
        self, http: httpx2.AsyncClient, base_url: str, model: str, key: str | None, *, stream_usage: bool = True
    ) -> None:
        self._http = http
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._stream_usage = stream_usage

    async def stream(self, body: Mapping[str, Any], *, timeout: float) -> AsyncGenerator[Body]:
        """See `Upstream`. A provider that answers in one piece although a stream was asked for is understood too."""
        request = {**body, "model": self._model, "stream": True}
        if self._stream_usage:
            request["stream_options"] = {"include_usage": True}
        async with opened(self._http, self._url, request, self._headers, timeout) as response:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                yield _chunk_of(_no_error(await whole(response)))
                return
            async for data in events(response):
                yield _no_error(data)


def _no_error(data: Body) -> Body:
    match data.get("error"):
        case None | False | "":
            return data
        case {"code": int(status)} if 400 <= status < 600:
            raise refusal(status, data)
        case _:
            code = data.get("code")
            raise refusal(code if isinstance(code, int) and 400 <= code < 600 else 500, data)


def _chunk_of(completion: Body) -> Body:
    """A whole completion as one chunk. What its fields hold is for `border` to say."""
    match completion:
        case {"choices": [{"message": dict(message), **choice}]}:
            finish = choice.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop")
            choices = [{"delta": message, "finish_reason": finish}]
            return {"choices": choices, "usage": completion.get("usage")}
        case _:
            raise UpstreamError("its answer is no completion")
