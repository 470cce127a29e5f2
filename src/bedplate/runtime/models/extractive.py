"""`bedplate:extractive`: a model that needs no key. It calls the search tools and quotes the best passage.

Goes in: a conversation and the names of the search tools granted. Comes out: one assistant message. It does no I/O,
claims nothing beyond what it quotes, and gives the same answer to the same conversation every time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from bedplate.runtime.models import wording
from bedplate.runtime.models.api import Body
from bedplate.runtime.models.chunks import estimate, of_message, usage_of
from bedplate.runtime.models.reading import RECALL, REMEMBER, Conversation, Found, Passage, lines_of, read
from bedplate.search.model import CONFIDENT

QUOTE = 700
"""Characters of a passage that are quoted at most, unless its best paragraph is longer."""
_SUPPORTING = 2
_NEAR = 0.5  # share of CONFIDENT from which the nearest passage is worth naming


class Extractive:
    """The model as an upstream of the router."""

    def __init__(self, search_tools: Callable[[], frozenset[str]]) -> None:
        self._search_tools = search_tools

    async def stream(self, body: Mapping[str, Any], *, timeout: float) -> AsyncGenerator[Body]:  # noqa: ARG002
        """The answer in pieces, with an estimated usage. It never waits, so `timeout` cannot pass."""
        message = respond(body, self._search_tools())
        usage = usage_of(estimate([body.get("messages"), body.get("tools")]), estimate(_said(message)))
        for data in of_message(message, usage):
            yield data


def respond(body: Mapping[str, Any], search_tools: frozenset[str]) -> Body:
    """The assistant message that comes next: tool calls, or an answer."""
    talk = read(body)
    searchable = sorted(talk.tools & search_tools)
    if talk.found:
        return _say(_answer(talk, search_tools))
    if reply := _small_talk(talk, searchable):
        return _say(reply)
    if kept := wording.statement(talk.question):
        return _take_note(talk, kept)
    return _look_up(talk, searchable)


def searches(body: Mapping[str, Any], search_tools: frozenset[str]) -> Body | None:
    """The search step alone, for models that cannot call tools: tool calls, or None where none are due."""
    talk = read(body)
    if talk.found or _small_talk(talk, []) or wording.statement(talk.question):
        return None
    message = _look_up(talk, sorted(talk.tools & search_tools))
    return message if message.get("tool_calls") else None


def query_of(talk: Conversation) -> str:
    """What to search for: the question, behind the one before it where it means nothing alone."""
    before = next((said for said in reversed(talk.earlier) if not wording.statement(said)), "")
    return f"{before} {talk.question}" if before and wording.continues(talk.question) else talk.question


def _small_talk(talk: Conversation, searchable: list[str]) -> str:
    if not talk.question:
        return "There is no question in this conversation yet."
    if wording.is_thanks(talk.question):
        return "You are welcome."
    if wording.asks_who(talk.question):
        return _who(searchable)
    if wording.is_greeting(talk.question):
        return f"Hello. {_who(searchable)}"
    return ""


def _who(searchable: list[str]) -> str:
    what = "I am bedplate:extractive, a retrieval model and no language model:"
    if not searchable:
        return f"{what} I quote what search tools find, and I have none here."
    names = ", ".join(name.partition("___")[0] for name in searchable)
    return f"{what} I search what I am given ({names}) and quote the best passage with its source. Ask me a question."


def _take_note(talk: Conversation, kept: str) -> Body:
    if wording.wants_kept(talk.question) and REMEMBER in talk.tools:
        return _call([(REMEMBER, {"fact": kept})], talk)
    if RECALL in talk.tools or REMEMBER in talk.tools:
        return _say(f"Noted: “{kept}”")
    return _say(f"I have read “{kept}”, but I have no long-term memory to keep it in.")


def _look_up(talk: Conversation, searchable: list[str]) -> Body:
    query = query_of(talk)
    calls = [(name, {"query": query}) for name in searchable]
    personal = wording.about_the_user(talk.question)
    if personal and (known := _known(talk, talk.facts)):
        return _say(known)
    if personal and RECALL in talk.tools:
        calls.append((RECALL, {"query": talk.question}))
    if not calls:
        return _say("I cannot answer: I am a retrieval model, and this agent has given me no search tool.")
    return _call(calls, talk)


def _call(calls: Sequence[tuple[str, Mapping[str, str]]], talk: Conversation) -> Body:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": _id(name, talk), "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for name, arguments in calls
        ],
    }


def _id(name: str, talk: Conversation) -> str:
    """The same call in the same place of the conversation has the same id."""
    place = json.dumps([name, *talk.earlier, talk.question])
    return "call_" + hashlib.sha256(place.encode()).hexdigest()[:20]


def _answer(talk: Conversation, search_tools: frozenset[str]) -> str:
    if any(f.tool == REMEMBER and not f.error for f in talk.found):
        return f"I will remember: “{wording.statement(talk.question) or talk.question}”"
    known = _known(talk, tuple(line for f in talk.found if f.tool == RECALL for line in lines_of(f.text)))
    if known:
        return known
    searched = [f for f in talk.found if f.tool in search_tools or f.tool not in (RECALL, REMEMBER)]
    return _quote(talk, searched) or _nothing(searched)


def _known(talk: Conversation, facts: tuple[str, ...]) -> str:
    """The facts that answer a question about the user: those that share a word with it, or all where it names none."""
    if not facts or not wording.about_the_user(talk.question):
        return ""
    asked = wording.content_words(talk.question)
    ranked = sorted(facts, key=lambda fact: -len(asked & wording.content_words(fact)))
    if asked:
        best = len(asked & wording.content_words(ranked[0]))
        ranked = [f for f in ranked if best and len(asked & wording.content_words(f)) == best]
    said = [f"“{fact}”" for fact in dict.fromkeys(ranked)]
    return f"You told me: {', '.join(said)}" if said else ""


def _quote(talk: Conversation, searched: list[Found]) -> str:
    # Within a tool in the order of its search, which weighs more than the words that `confidence` counts.
    fitting = [[p for p in f.passages if p.text.strip() and _confidence(p) >= CONFIDENT] for f in searched]
    passages = [p for found in sorted(filter(None, fitting), key=lambda ps: -_confidence(ps[0])) for p in found]
    if not passages:
        return ""
    best, others = passages[0], _others(passages)
    quoted = "\n".join(f"> {line}".rstrip() for line in cut(best.text, query_of(talk)).splitlines())
    lines = [quoted, ""]
    lines.append(f"Source: {best.source}" if best.source else "The tool gave no source for this.")
    if others:
        lines.append(f"See also: {'; '.join(others)}")
    return "\n".join(lines)


def _others(passages: list[Passage]) -> list[str]:
    places = dict.fromkeys(p.source for p in passages[1:] if p.source and p.source != passages[0].source)
    return list(places)[:_SUPPORTING]


def _confidence(passage: Passage) -> float:
    """Plain text of a tool that says nothing of its confidence is taken at its word."""
    return 1.0 if passage.confidence is None else passage.confidence


def _nothing(searched: list[Found]) -> str:
    if errors := [f"{f.tool.replace('___', '.')}: {f.error}" for f in searched if f.error]:
        return f"I could not search: {'; '.join(errors)}"
    near = max((p for f in searched for p in f.passages if p.text.strip()), key=_confidence, default=None)
    plain = "I found nothing in what I can search that answers this."
    if near is None or _confidence(near) < CONFIDENT * _NEAR or not near.source:
        return plain
    return f"{plain} The nearest passage, which may not help, is {near.source}."


def cut(text: str, query: str, size: int = QUOTE) -> str:
    """The paragraphs of `text` that share most words with `query`, about `size` characters, in their order."""
    if len(text) <= size:
        return text.strip()
    blocks = [block for block in text.strip().split("\n\n") if block.strip()]
    asked = wording.content_words(query)
    start = max(range(len(blocks)), key=lambda i: (len(asked & wording.content_words(blocks[i])), -i))
    end = start + 1
    while end < len(blocks) and sum(map(len, blocks[start : end + 1])) <= size:
        end += 1
    return "\n\n".join(blocks[start:end])


def _say(text: str) -> Body:
    return {"role": "assistant", "content": text}


def _said(message: Body) -> object:
    return message.get("tool_calls") or message.get("content") or ""
