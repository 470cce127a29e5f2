"""An upstream that speaks the OpenAI chat completions dialect. Goes in: a request; out: chunks, or UpstreamError."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from bedplate.runtime.models.api import Body, UpstreamError
from bedplate.runtime.models.chunks import of_completion
from bedplate.runtime.models.http import events, opened, refusal

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
                for data in _whole(await response.aread()):
                    yield data
                return
            async for _, data in events(response):
                if "error" in data:
                    raise refusal(int(data.get("code") or 500), data)
                yield data


def _whole(raw: bytes) -> list[Body]:
    try:
        return list(of_completion(json.loads(raw)))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UpstreamError("its answer is no completion") from error
