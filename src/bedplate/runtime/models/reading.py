"""Reading a conversation in the OpenAI dialect: who said what, what the tools found, what is known of the user.

Goes in: the messages of a request. Comes out: values for `extractive` and `grounded`. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FACTS_OPEN = "<facts-remembered-about-this-user>"
FACTS_CLOSE = "</facts-remembered-about-this-user>"
"""The agent puts what is remembered of the user between these lines of the system message."""

RECALL = "memory___recall"
REMEMBER = "memory___remember"

Message = Mapping[str, Any]
_BULLET = re.compile(r"^\s*[-*•]\s+")


@dataclass(frozen=True)
class Passage:
    """A passage that a search tool found. `confidence` is 0 to 1; None where the tool gave plain text."""

    text: str
    path: str = ""
    anchor: str = ""
    heading: str = ""
    confidence: float | None = None

    @property
    def source(self) -> str:
        """`path#anchor (heading)`, as far as known."""
        place = f"{self.path}#{self.anchor}" if self.anchor else self.path
        return f"{place} ({self.heading})" if self.heading else place


@dataclass(frozen=True)
class Found:
    """What one tool answered in this turn. `error` is its message where it failed."""

    tool: str
    passages: tuple[Passage, ...] = ()
    text: str = ""
    error: str = ""


@dataclass(frozen=True)
class Conversation:
    """A request as the built-in model sees it."""

    question: str
    earlier: tuple[str, ...]
    """What the user said before, oldest first."""
    found: tuple[Found, ...]
    facts: tuple[str, ...]
    tools: frozenset[str]


def read(body: Mapping[str, Any]) -> Conversation:
    """Reads a request. Text before the last message of the user is history, tool messages after it are results."""
    messages: Sequence[Message] = body.get("messages") or ()
    said = [i for i, m in enumerate(messages) if m.get("role") == "user"]
    last = said[-1] if said else len(messages)
    system = "\n".join(text_of(m) for m in messages if m.get("role") in ("system", "developer"))
    return Conversation(
        question=text_of(messages[last]).strip() if said else "",
        earlier=tuple(text_of(messages[i]).strip() for i in said[:-1]),
        found=_results(messages[last + 1 :]),
        facts=_facts(system),
        tools=frozenset(t["function"]["name"] for t in body.get("tools") or () if "function" in t),
    )


def text_of(message: Message) -> str:
    """The text of a message: its content, or its text parts one below the other."""
    match message.get("content"):
        case str(text):
            return text
        case list(parts):
            return "\n".join(str(p.get("text", "")) for p in parts if p.get("type") == "text")
        case _:
            return ""


def _results(messages: Sequence[Message]) -> tuple[Found, ...]:
    names = {
        call.get("id"): call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls") or ()
        if "function" in call
    }
    return tuple(_found(names.get(m.get("tool_call_id"), ""), text_of(m)) for m in messages if m.get("role") == "tool")


def _found(tool: str, content: str) -> Found:
    """A tool's answer: JSON with passages, JSON with an error, or plain text."""
    data = _json(content)
    match data:
        case {"passages": list(passages)}:
            return Found(tool, tuple(_passage(p) for p in passages if isinstance(p, dict)), content)
        case {"error": error}:
            return Found(tool, error=str(error))
        case {"facts": list(facts)}:
            return Found(tool, text="\n".join(_fact_text(f) for f in facts))
        case _ if tool == RECALL:  # a list of facts; a line without a bullet only says that there are none
            return Found(tool, text="\n".join(line for line in content.splitlines() if _BULLET.match(line)))
        case _:
            return Found(tool, (Passage(content),) if content.strip() else (), content)


def _fact_text(fact: object) -> str:
    return str(fact.get("text", "")) if isinstance(fact, dict) else str(fact)


def _json(content: str) -> Any:
    if not content.lstrip().startswith("{"):
        return None
    try:
        return json.loads(content)
    except ValueError:
        return None


def _passage(raw: Mapping[str, Any]) -> Passage:
    confidence = raw.get("confidence")
    return Passage(
        text=str(raw.get("excerpt") or raw.get("text") or ""),
        path=str(raw.get("path") or ""),
        anchor=str(raw.get("anchor") or ""),
        heading=str(raw.get("heading") or raw.get("title") or ""),
        confidence=float(confidence) if isinstance(confidence, int | float) else None,
    )


def _facts(system: str) -> tuple[str, ...]:
    block = re.search(f"{re.escape(FACTS_OPEN)}(.*?){re.escape(FACTS_CLOSE)}", system, re.DOTALL)
    return lines_of(block[1]) if block else ()


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a list, without their bullets."""
    return tuple(clean for line in text.splitlines() if (clean := _BULLET.sub("", line).strip()))
