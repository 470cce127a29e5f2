"""Models that cannot call tools (`local:`): the search step is done for them, and they answer from the passages.

Goes in: a request with tools. Comes out: first the search calls that `bedplate:extractive` would make; once their
results stand in the conversation, the model's own words over the best passages. It calls no tool by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from bedplate.runtime.models.api import Body, Upstream
from bedplate.runtime.models.chunks import estimate, of_message, usage_of
from bedplate.runtime.models.extractive import cut, searches
from bedplate.runtime.models.reading import Conversation, read, text_of

_PASSAGES = 2
_PASSAGE_CHARS = 900
_HISTORY = 4
"""Earlier messages that are kept: the model's context is small and it loses the thread in long ones."""
_DEFAULT_SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
# Without any system message the model wanders off into French.


class Grounded:
    """Wraps the upstream of a model without tools."""

    def __init__(self, inner: Upstream, search_tools: Callable[[], frozenset[str]]) -> None:
        self._inner = inner
        self._search_tools = search_tools

    async def stream(self, body: Mapping[str, Any], *, timeout: float) -> AsyncGenerator[Body]:
        """See `Upstream`."""
        if step := searches(body, self._search_tools()):
            usage = usage_of(estimate(body["messages"]), estimate(step["tool_calls"]))
            for data in of_message(step, usage):
                yield data
            return
        async with aclosing(self._inner.stream(without_tools(body), timeout=timeout)) as pieces:
            async for data in pieces:
                yield data


def without_tools(body: Mapping[str, Any]) -> Body:
    """The same conversation for a model without tools: passages found stand above the question."""
    talk = read(body)
    said = [
        {"role": m["role"], "content": text_of(m)}
        for m in body["messages"]
        if m["role"] in ("system", "user", "assistant") and text_of(m)
    ]
    system = [m for m in said if m["role"] == "system"][:1] or [_DEFAULT_SYSTEM]
    last_question = max((i for i, m in enumerate(said) if m["role"] == "user"), default=len(said))
    history = [m for m in said[:last_question] if m["role"] != "system"][-_HISTORY:]
    dropped = ("messages", "tools", "tool_choice", "parallel_tool_calls")
    kept = {key: value for key, value in body.items() if key not in dropped}
    return kept | {"messages": [*system, *history, {"role": "user", "content": _prompt(talk)}]}


def _prompt(talk: Conversation) -> str:
    passages = sorted((p for f in talk.found for p in f.passages), key=lambda p: -(p.confidence or 0.0))[:_PASSAGES]
    if not passages:
        return talk.question
    context = "\n\n".join(cut(p.text, talk.question, _PASSAGE_CHARS) for p in passages)
    return f"Answer from this text only.\n\n{context}\n\nQuestion: {talk.question}"
