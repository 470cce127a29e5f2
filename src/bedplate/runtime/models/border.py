"""The border to the models: what a provider says is a chunk of known shape and bounded size, or an error.

Goes in: whatever a provider's JSON held. Comes out: chunks with the known fields only, each of its type, or
UpstreamError. A provider is not trusted: it can neither fill the gateway's memory nor make it fail, and the key that it
was called with passes neither in an answer nor in an error.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bedplate.runtime.masking import Mask
from bedplate.runtime.models.api import Body, UpstreamError

MAX_SAID = 4 * 1024 * 1024
"""Characters of text and arguments in one answer."""
MAX_CALLS = 128
"""Tool calls in one answer."""
MAX_TOKENS = 1_000_000_000
MIN_SECRET = 8
"""Characters. A shorter key is a stand-in ("none", "test") that would blank out ordinary words."""
_MAX_REASON = 260
_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
_FAILED = frozenset({"error", "insufficient_system_resource"})  # OpenRouter and DeepSeek, of answers given up half-way
# Providers repeat (parts of) keys in messages: "Incorrect API key provided: sk-proj-…".
_KEY_LIKE = re.compile(r"\b(?:sk|pk|gsk|key|xai|Bearer)[-_ ][\w*.-]{6,}|\b[A-Za-z0-9_*-]{32,}\b")


def _whole(text: object) -> object:
    """JSON can hold halves of characters, UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


_Text = Annotated[str, BeforeValidator(_whole)]
_Count = Annotated[int, Field(ge=0, le=MAX_TOKENS)]


class _Wire(BaseModel):
    """A part of a chunk. Providers add fields of their own, which are left out; any field may be null."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Function(_Wire):
    name: _Text | None = None
    arguments: _Text | None = None


class _Call(_Wire):
    index: Annotated[int, Field(ge=0, lt=MAX_CALLS)] | None = None
    id: _Text | None = None
    function: _Function | None = None


class _Part(_Wire):
    """Of a content in parts, as Mistral's reasoning models send it."""

    type: str
    text: _Text | None = None
    thinking: list[_Part] | None = None


class _Delta(_Wire):
    content: _Text | list[_Part] | None = None
    refusal: _Text | None = None
    reasoning: _Text | None = None
    reasoning_content: _Text | None = None
    tool_calls: Annotated[list[_Call], Field(max_length=MAX_CALLS)] | None = None

    def texts(self) -> dict[str, str]:
        """What is said, by field; nothing empty."""
        said = {"refusal": self.refusal, "reasoning": self.reasoning, "reasoning_content": self.reasoning_content}
        match self.content:
            case list(parts):
                said["content"] = "".join(p.text or "" for p in parts)
                said["reasoning"] = "".join(t.text or "" for p in parts for t in p.thinking or ()) or self.reasoning
            case text:
                said["content"] = text
        return {field: text for field, text in said.items() if text}


class _Choice(_Wire):
    delta: _Delta | None = None
    finish_reason: _Text | None = None


class _Usage(_Wire):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None


class _Chunk(_Wire):
    choices: Annotated[list[_Choice], Field(max_length=1)] | None = None
    usage: _Usage | None = None


async def checked(stream: AsyncGenerator[Body], key: str | None) -> AsyncGenerator[Body]:
    """The chunks of `stream`, checked, without `key`. Raises UpstreamError for the first that is none, or too much.

    Each chunk has `choices` (none or one, with `delta` and `finish_reason`) and perhaps `usage`. A delta has no empty
    text; each of its tool calls has an `index`.
    """
    mask = Mask(key, least=MIN_SECRET)
    answer = _Answer(mask)
    try:
        async with aclosing(stream):
            async for data in stream:
                yield answer.chunk(data)
        if held := answer.held():
            yield held
    except UpstreamError as error:
        raise _cleaned(error, mask) from None  # the original repeats what the provider said


class _Answer:
    """The chunks of one answer: each alone, and what they come to together."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._said = 0
        self._calls: set[int] = set()
        self._veils: dict[tuple[str, int], _Veil] = {}

    def chunk(self, data: Mapping[str, Any]) -> Body:
        """One chunk. Raises UpstreamError."""
        try:
            given = _Chunk.model_validate(data)
        except ValidationError as error:
            raise UpstreamError(f"its answer is no chat completion ({_place(error)})") from None
        body: Body = {"choices": [self._choice(choice) for choice in given.choices or ()]}
        usage = given.usage.model_dump(exclude_none=True) if given.usage else {}
        return body | ({"usage": usage} if usage else {})

    def _choice(self, choice: _Choice) -> Body:
        given = choice.delta or _Delta()
        texts = {field: self._passed(field, 0, text) for field, text in given.texts().items()}
        delta: Body = {field: text for field, text in texts.items() if text}
        if given.tool_calls:
            delta["tool_calls"] = [self._call(call) for call in given.tool_calls]
        return {"index": 0, "delta": delta, "finish_reason": _finish(choice.finish_reason)}

    def _call(self, call: _Call) -> Body:
        index = max(self._calls, default=-1) + 1 if call.index is None else call.index
        self._calls.add(index)
        if index >= MAX_CALLS:
            raise UpstreamError("its answer has too many tool calls")
        function = call.function or _Function()
        said = {
            "name": self._plain(function.name or ""),
            "arguments": self._passed("arguments", index, function.arguments or ""),
        }
        kept: Body = {"index": index, "function": {key: text for key, text in said.items() if text}}
        return kept | ({"id": self._plain(call.id), "type": "function"} if call.id else {})

    def _plain(self, text: str) -> str:
        return self._mask.text(self._counted(text))

    def _passed(self, field: str, index: int, text: str) -> str:
        self._counted(text)
        return self._veils.setdefault((field, index), _Veil(self._mask)).piece(text)

    def _counted(self, text: str) -> str:
        self._said += len(text)
        if self._said > MAX_SAID:
            raise UpstreamError("its answer is too long")
        return text

    def held(self) -> Body | None:
        """What was held back until the end, as a chunk."""
        rest = {place: veil.held for place, veil in self._veils.items() if veil.held}
        delta: Body = {field: text for (field, _), text in rest.items() if field != "arguments"}
        calls = [{"index": i, "function": {field: text}} for (field, i), text in rest.items() if field == "arguments"]
        if calls:
            delta["tool_calls"] = calls
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} if delta else None


class _Veil:
    """Passes one text on in pieces with the secret replaced; holds back what may be the secret's beginning."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self.held = ""

    def piece(self, text: str) -> str:
        """What of the text up to here can be passed on now."""
        text = self._mask.text(self.held + text)
        self.held = self._mask.begun(text)
        return text.removesuffix(self.held)


def _finish(reason: str | None) -> str | None:
    """A known reason; servers with words of their own ("eos") mean that the model stopped. Raises UpstreamError."""
    if reason in _FAILED:
        raise UpstreamError("it gave up its answer")
    return reason if reason in _FINISHES else "stop" if reason else None


def _place(error: ValidationError) -> str:
    """Where the first fault is; neither the value nor a name that the provider chose."""
    loc = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    return ".".join(str(step) for step in loc if isinstance(step, int) or step.isidentifier()) or "no object"


def _cleaned(error: UpstreamError, mask: Mask) -> UpstreamError:
    """The error without the key and its likes, cut short. Cutting comes last: half a key would not be found."""
    reason = mask.text(error.reason).encode("utf-8", "replace").decode()
    reason = _KEY_LIKE.sub("…", " ".join(reason.split()))[:_MAX_REASON]
    return UpstreamError(reason, status=error.status, again=error.again, retry_after=error.retry_after)
