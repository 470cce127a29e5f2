"""Finding what a user says of themselves, by rules. Goes in: a message. Comes out: sentences, word for word.

Deterministic and deliberately narrow: a sentence counts only where it *begins* as a statement about the speaker.
Questions, quoted speech, code, and what others said or are never count. What it misses, the agent can still write by
the tool `memory.remember`.
"""

from __future__ import annotations

import re

_MAX_SENTENCE = 500
_MAX_MESSAGE = 20_000

# Quotes and code are someone else's words. Bounded lengths keep matching linear.
_QUOTED = re.compile(
    r"```.{0,20000}?(?:```|\Z)|`[^`\n]{0,500}`|\"[^\"\n]{0,500}\"|“[^”]{0,500}”|«[^»]{0,500}»", re.DOTALL
)
_QUOTED_LINE = re.compile(r"^\s*>.*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+|;\s+")
_OPENING = re.compile(
    r"(?:(?:hi|hello|hey|ok|okay|well|so|yes|no|thanks|thank you|by the way|btw|fyi|actually|also|please|and"
    r"|but)\b[ ,!.]*)+",
    re.IGNORECASE,
)
_OF_SELF = re.compile(
    r"""(?:
      my\ (?:full\ |first\ |last\ |preferred\ |nick|user)?name\ is
    | (?:you\ can\ |please\ |just\ )?call\ me\b
    | my\ (?:[\w-]+\ ){1,4}(?:is|are|was)\b
    | i(?:\ am|'m)\ (?!asking|wondering|looking|trying|going|not\ sure|sure|sorry|afraid|getting|seeing|having|confused
                     |curious|here|back|done|glad|happy\ to|unable|stuck|thinking|reading|hoping|just|still|about\ to)
    | i\ (?:currently\ |now\ |also\ |mostly\ |usually\ |always\ |really\ |only\ |just\ moved|recently\ )?
        (?:live|lived|work|prefer|like|love|hate|dislike|use|need|speak|own|study|studied|come\ from|was\ born|moved
          |manage|run|drive|play|teach
          |don't\ (?:like|eat|use|drink)|do\ not\ (?:like|eat|use|drink)|can't\ (?:eat|drink)
          |have\ (?:a|an|two|three|four|no)\b|never\ (?:eat|drink|use))\b
    | (?:please\ )?(?:remember|note|keep\ in\ mind|don't\ forget|do\ not\ forget)\ that\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# "I need help with…", "I like your answer", "I use it": of the moment, not of the person.
_PASSING = re.compile(
    r"i (?:need|like|love|use|have)\b(?: to)? (?:help|know|understand|find|see|ask|a (?:question|problem|moment|second)"
    r"|an (?:question|error|issue|answer)|your|this|that|it|the answer|how|what)\b",
    re.IGNORECASE,
)
_REPORTED = re.compile(r"\b(?:says?|said|told me|writes?|wrote|according to|claims?|claimed)\b", re.IGNORECASE)
_ASKING = re.compile(r"\b(?:can|could|would|will|should) you\b|\bwhat\b.{0,80}\bdo i\b|\bhow do i\b", re.IGNORECASE)

# Subjects with one answer at a time: a newer statement replaces the older.
_SUBJECTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        (
            "name",
            r"(?:my (?:full |first |preferred )?name is|(?:you can |please |just )?call me|i am called|i'm called)\b",
        ),
        ("home", r"i (?:currently |now |recently )?(?:live|moved)\b|i(?: am|'m) (?:now )?(?:based|living)\b"),
        ("work", r"i (?:currently |now )?work (?:at|for|as)\b|my (?:job|employer|company) is\b"),
        ("birth", r"i was born\b|my birthday is\b"),
        ("age", r"i(?: am|'m) \d{1,3}(?: years old)?\W*$|my age is\b"),
    )
)
_PREFIX = re.compile(r"(?:please )?(?:remember|note|keep in mind|don't forget|do not forget) that[ :,]+", re.IGNORECASE)
_MY = re.compile(r"my ((?:[\w-]+ ){1,4})(?:is|are|was)\b", re.IGNORECASE)


def facts_in(text: str) -> list[str]:
    """The sentences in which the user states something of themselves, in order, without doubles."""
    plain = _QUOTED_LINE.sub(" ", _QUOTED.sub(" ", _straight(text[:_MAX_MESSAGE])))
    found = (_statement(sentence) for sentence in _SENTENCE_END.split(plain))
    return list(dict.fromkeys(s for s in found if s))


def subject_of(fact: str) -> str | None:
    """What the fact is about where only one such fact can hold (`name`, `home`, `my:favourite colour`), else None."""
    said = _PREFIX.sub("", _straight(fact).strip(), count=1)
    for name, pattern in _SUBJECTS:
        if pattern.match(said):
            return name
    if my := _MY.match(said):
        return f"my:{my[1].strip().lower()}"
    return None


def _statement(sentence: str) -> str | None:
    said = " ".join(sentence.split())
    if opening := _OPENING.match(said):
        said = said[opening.end() :].lstrip(" ,!.-")
    if not said or len(said) > _MAX_SENTENCE or said.endswith("?") or not _OF_SELF.match(said):
        return None
    if _PASSING.match(said) or _REPORTED.search(said) or _ASKING.search(said):
        return None
    told = _PREFIX.sub("", said, count=1)
    return told[:1].upper() + told[1:]


def _straight(text: str) -> str:
    return text.replace("’", "'")
