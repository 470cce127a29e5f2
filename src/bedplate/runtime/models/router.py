"""The way to the models: tries the manifest's models in order, with the key that each needs, until one answers.

Goes in: an OpenAI chat completions request of the agent, and a deadline. Comes out: the answer, whole or in pieces,
with what it used and cost. It keeps keys to itself, decides no access and writes no trace.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.model import ModelSpec
from bedplate.problems import BedplateError, Problem
from bedplate.runtime.models.api import Body, ChatReply, Chunk, Upstream, UpstreamError
from bedplate.runtime.models.chunks import Gathering, chunk, estimate, new_id, says_something, usage_of
from bedplate.runtime.models.prices import price
from bedplate.runtime.models.providers import Target, not_installed, targets, where_of
from bedplate.runtime.models.request import accepted

if TYPE_CHECKING:
    import httpx2

_SILENCED = frozenset({"length", "content_filter"})
_SENDABLE = re.compile(r"[!-~]+")  # what an HTTP header can hold


@dataclass
class _Opened:
    """A model that has begun to answer: all that it has said, the chunk that began it, and where the rest comes."""

    target: Target
    gathered: Gathering
    first: Body
    rest: AsyncGenerator[Body]


class ModelRouter:
    """The models of one stage. One instance serves many concurrent requests."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        read_secret: Callable[[str], str],
        search_tools: Callable[[], frozenset[str]],
        local_url: str | None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        """`read_secret` gives a secret's value by name; `search_tools` the wire names of granted search operations.

        `local_url` is the address of the local model's process, without path. Raises BedplateError (BP471).
        """
        self._spec = spec
        self._targets = targets(spec)
        self._read_secret = read_secret
        self._search_tools = search_tools
        self._local_url = local_url
        self._http = http
        self._own_http = http is None

    async def aclose(self) -> None:
        """Closes the connections that it opened itself."""
        if self._http is not None and self._own_http:
            await self._http.aclose()

    async def chat(self, body: Mapping[str, Any], *, deadline: float) -> ChatReply:
        """The whole answer to `body`. `deadline` is a Unix time. Raises as `stream` does."""
        async with aclosing(self.stream(body, deadline=deadline)) as chunks:
            async for piece in chunks:
                if piece.reply:
                    return piece.reply
        raise AssertionError("a stream ends with its reply or raises")

    async def stream(self, body: Mapping[str, Any], *, deadline: float) -> AsyncGenerator[Chunk]:
        """The answer in pieces; the last carries usage and the whole reply.

        Raises BedplateError: BP470 no model answered, BP472 a key is missing, BP474 a key was refused, BP475 the
        request may not be sent, BP476 the stream broke off, BP477 the model refused the request, BP479 out of time,
        BP496 a secret is no key.
        """
        request = accepted(body, self._spec.settings)
        opened = await self._open(request, deadline)
        head = {"id": new_id(), "created": int(time.time()), "model": opened.target.id}
        role = {"role": "assistant"}
        async with aclosing(_all(opened, deadline)) as pieces:  # a caller who goes away ends the provider's work, too
            async for data in pieces:
                for choice in data["choices"]:
                    if choice["delta"]:
                        yield Chunk(chunk(role | choice["delta"]) | head)
                        role = {}
        reply = self._reply(opened.target, request, opened.gathered)
        finish = reply.body["choices"][0]["finish_reason"]
        yield Chunk(chunk(role, finish, reply.body["usage"]) | head, reply)

    async def _open(self, request: Body, deadline: float) -> _Opened:
        """Tries each model once, and one of them again where it asks to wait and there is time."""
        failed: list[tuple[str, str]] = []
        waited = False
        queue = list(self._targets)
        while queue:
            target, share = queue[0], _share(deadline, len(queue), failed)
            try:
                return await self._begin(target, request, share, last=len(queue) == 1)
            except UpstreamError as error:
                failed.append((target.id, error.reason))
                if not error.again:
                    raise self._refused(target, error) from error
                wait = error.retry_after
                if wait is not None and not waited and wait <= share / 2:
                    waited = True
                    await asyncio.sleep(wait)
                else:
                    queue.pop(0)
        raise BedplateError(_none_answered(failed))

    async def _begin(self, target: Target, request: Body, share: float, *, last: bool) -> _Opened:
        """Waits, at most `share` seconds, until the model says something. Raises UpstreamError."""
        from bedplate.runtime.models.border import checked  # its pydantic models take time, and `check` needs none

        key = self._key(target)
        rest = checked(self._upstream(target, key).stream(_for(target, request), timeout=share), key)
        gathered = Gathering()
        try:
            async with asyncio.timeout(share):
                return _Opened(target, gathered, await _beginning(rest, gathered, last=last), rest)
        except TimeoutError as error:
            await rest.aclose()
            raise UpstreamError(f"no answer within {share:.{0 if share >= 10 else 1}f} s of limits.timeout") from error
        except BaseException:
            await rest.aclose()
            raise

    def _upstream(self, target: Target, key: str | None) -> Upstream:
        match target.provider.dialect:
            case "extractive":
                from bedplate.runtime.models.extractive import Extractive

                return Extractive(self._search_tools)
            case "local":
                return self._local()
            case "anthropic":
                from bedplate.runtime.models.anthropic_upstream import AnthropicUpstream

                return AnthropicUpstream(self._client(), target.base_url or "", target.name, key)
            case _:
                from bedplate.runtime.models.openai_upstream import OpenAIUpstream

                asks = target.provider.stream_usage
                return OpenAIUpstream(self._client(), target.base_url or "", target.name, key, stream_usage=asks)

    def _local(self) -> Upstream:
        from bedplate.runtime.models.grounded import Grounded
        from bedplate.runtime.models.openai_upstream import OpenAIUpstream

        if self._local_url is None:
            raise BedplateError(not_installed(where_of(self._spec)))
        url = self._local_url.rstrip("/").removesuffix("/v1") + "/v1"
        return Grounded(OpenAIUpstream(self._client(), url, "local", None), self._search_tools)

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:
            import httpx2

            self._http = httpx2.AsyncClient(trust_env=False, follow_redirects=False)
        return self._http

    def _key(self, target: Target) -> str | None:
        ref = self._spec.secret_of(target.id)
        if ref is None:
            return None
        fix = f"Put {ref.variable}=… in .env or the environment, then run `bedplate up`."
        try:
            if not (key := self._read_secret(ref.name).strip()):
                raise LookupError(ref.name)
        except (LookupError, OSError) as error:
            summary = f"secret {ref.name} for model {target.id} is not set"
            raise BedplateError(Problem("BP472", summary, where_of(self._spec), fix=fix)) from error
        if not _SENDABLE.fullmatch(key):
            summary = f"secret {ref.name} for model {target.id} is no key: it has spaces or characters beyond ASCII"
            raise BedplateError(Problem("BP496", summary, where_of(self._spec), fix=fix))
        return key

    def _refused(self, target: Target, error: UpstreamError) -> BedplateError:
        ref = self._spec.secret_of(target.id)
        if error.status not in (401, 403):
            summary = f"model {target.id} refused the request: {error.reason}"
            return BedplateError(Problem("BP477", summary, where_of(self._spec)))
        what = f"the key in secret {ref.name}" if ref else "a call without a key"
        fix = f"Put a valid key in {ref.variable}, then run `bedplate up`." if ref else "Add model.credentials."
        summary = f"model {target.id} refused {what}: {error.reason}"
        return BedplateError(Problem("BP474", summary, where_of(self._spec), fix=fix))

    def _reply(self, target: Target, request: Body, gathered: Gathering) -> ChatReply:
        given = gathered.usage or {}
        message = gathered.message()
        read = given.get("prompt_tokens") or estimate([request["messages"], request.get("tools")])
        wrote = given.get("completion_tokens") or estimate(message.get("tool_calls") or message.get("content") or "")
        completion = gathered.completion(target.id, int(time.time()), usage_of(read, wrote))
        return ChatReply(completion, target.id, read, wrote, price(target.provider, target.name, read, wrote))


def _share(deadline: float, models: int, failed: list[tuple[str, str]]) -> float:
    """Seconds until which a model must begin to answer: what is left, divided by the models still to be tried."""
    left = deadline - time.time()
    if left <= 0:
        detail = "; ".join(f"{model}: {reason}" for model, reason in failed)
        raise BedplateError(Problem("BP479", "time ran out before a model answered", detail=detail))
    return left / models


async def _beginning(rest: AsyncGenerator[Body], gathered: Gathering, *, last: bool) -> Body:
    """The first chunk that says something; those before it leave nothing but their usage in `gathered`.

    An empty answer is worth another model's try, unless the bound on the answer or a filter made it so. With none left
    it is passed on as it is: the agent can ask again. Raises UpstreamError where nothing comes.
    """
    async for data in rest:
        gathered.add(data)
        if says_something(data) or gathered.finish in _SILENCED:
            return data
    if last and gathered.finish:
        return chunk({})
    raise UpstreamError("its answer is empty" if gathered.finish else "it ended without an answer")


async def _all(opened: _Opened, deadline: float) -> AsyncGenerator[Body]:
    """Everything that the model says, from its first chunk to its end. Raises BP476 or BP479."""
    try:
        async with aclosing(opened.rest):
            yield opened.first
            while True:
                async with asyncio.timeout(max(0.001, deadline - time.time())):
                    data = await anext(opened.rest)
                opened.gathered.add(data)
                yield data
    except StopAsyncIteration:
        if opened.gathered.finish is None:
            raise _broke_off(opened.target, "it ended in the middle") from None
    except UpstreamError as error:
        raise _broke_off(opened.target, error.reason) from error
    except TimeoutError as error:
        raise BedplateError(Problem("BP479", f"time ran out while model {opened.target.id} answered")) from error


def _broke_off(target: Target, reason: str) -> BedplateError:
    return BedplateError(Problem("BP476", f"the answer of model {target.id} broke off: {reason}"))


def _none_answered(failed: list[tuple[str, str]]) -> Problem:
    attempts = "; ".join(f"{model}: {reason}" for model, reason in failed)
    return Problem("BP470", f"no model answered ({attempts})", fix="Try again, or add a model to model.fallback.")


def _for(target: Target, request: Body) -> Body:
    """The request with the provider's name for the bound on the answer."""
    most = request.get("max_tokens")
    if most is None or target.provider.max_tokens_key == "max_tokens":
        return request
    rest = {key: value for key, value in request.items() if key != "max_tokens"}
    return rest | {target.provider.max_tokens_key: most}
