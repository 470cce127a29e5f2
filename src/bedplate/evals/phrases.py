"""Picks the words of an answer that an agent can only say if it found the answer.

A corpus of passages and a first sentence go in; a phrase comes out that is rare in the corpus and not in the question.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from bedplate.evals.text import normalise

MIN_WORDS, MAX_WORDS = 3, 8
MAX_PASSAGES = 3
"""In how many passages a phrase may stand and still tell them apart; more in a large corpus (1 % of it)."""

_WORD = re.compile(r"[^\W_]+(?:['’.\-/_][^\W_]+)*")
_BREAK = re.compile(r"[,;:()\[\]{}\"“”!?]|\s[–—-]\s|\.\s")
_POINTS = re.compile(
    r"(?i)\b(below|following|as follows|"
    r"(this|these|next|other|previous) (sections?|chapters?|pages?|documents?|examples?)|see)\b"
)
_CODE = re.compile(r"`([^`\n]{4,60})`")
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
        a about after all also an and any are as at be because been before being between both but by can
        cannot could did do does each either else for from had has have he her here his how i if in into is it
        its itself just like may me might more most must my no nor not of on once one only or other our out
        over own per same she should so some such than that the their them then there these they this those
        through to too under until up use used using very via was we were what when where which while who
        whose why will with within without would you your
        """,
    )
)


def words(text: str) -> list[str]:
    """The words of `text`, folded."""
    return [word.casefold() for word in _WORD.findall(text)]


def sentences_of(text: str) -> list[str]:
    """The sentences of the first paragraph that is prose; none where there is no such paragraph."""
    for block in re.split(r"\n\s*\n", re.sub(r"(?ms)^(`{3,}).*?^\1[^\n]*$", "", text)):
        line = " ".join(block.split())
        if len(line.split()) >= 4 and not re.match(r"([-*+|>#]|\d+[.)])\s?", line):
            return re.split(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[A-Z0-9`*])", line)
    return []


def answer_of(sentences: Sequence[str]) -> str:
    """The first sentence that says something itself: not `Yes.`, and none that only points to another place."""
    return next((s for s in sentences if len(s.split()) >= 4 and not s.endswith(":") and not _POINTS.search(s)), "")


class Corpus:
    """Knows in which passages each word stands."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [normalise(text) for text in texts]
        self._holders: dict[str, set[int]] = defaultdict(set)
        for number, text in enumerate(self._texts):
            for word in set(words(text)):
                self._holders[word].add(number)

    def rarity(self, word: str) -> float:
        """Inverse document frequency: 0 for a word in every passage."""
        return math.log((1 + len(self._texts)) / (1 + len(self._holders.get(word, ()))))

    def spread(self, phrase: str) -> int:
        """In how many passages the phrase stands."""
        wanted = normalise(phrase)
        sets = [self._holders.get(word, set()) for word in words(wanted)]
        rarest = min(sets, key=len, default=set())
        return sum(wanted in self._texts[number] for number in rarest)

    def is_distinctive(self, phrase: str) -> bool:
        """Whether the phrase stands in few enough passages to show which one was found."""
        return 0 < self.spread(phrase) <= max(MAX_PASSAGES, len(self._texts) // 100)


def phrase_of(sentence: str, question: str, corpus: Corpus) -> str | None:
    """The most telling piece of code in the sentence, else its most telling run of words; None where nothing tells."""
    asked = set(words(question))
    codes: list[str] = [code.strip() for code in _CODE.findall(sentence)]
    fresh = [code for code in codes if words(code) and not set(words(code)) <= asked and corpus.is_distinctive(code)]
    if fresh:
        return max(fresh, key=lambda code: (_weight(words(code), asked, corpus), -len(code)))
    runs = sorted(_runs(sentence.replace("`", "").replace("*", ""), asked, corpus), reverse=True)
    return next((text for _, _, text in runs[:20] if corpus.is_distinctive(text)), None)


def _weight(these: Iterable[str], asked: set[str], corpus: Corpus) -> float:
    return sum(corpus.rarity(word) for word in these if word not in _STOP and word not in asked)


def _runs(sentence: str, asked: set[str], corpus: Corpus) -> Iterable[tuple[bool, float, str]]:
    """Runs of 3 to 8 words inside one clause: whether the run is a whole stretch of words, its weight, its text.

    A whole stretch begins and ends where a clause does or beside a word such as `the` or `of`, so that no name is cut
    in two. The weight favours rare words over many words.
    """
    for clause in _BREAK.split(sentence.rstrip(".")):
        found = list(_WORD.finditer(clause))
        folded = [match[0].casefold() for match in found]
        for start in range(len(found)):
            for end in range(start + MIN_WORDS, min(start + MAX_WORDS, len(found)) + 1):
                run = folded[start:end]
                telling = {word for word in run if word not in _STOP and word not in asked}
                if run[0] not in _STOP and run[-1] not in _STOP and len(telling) >= 2:
                    text = clause[found[start].start() : found[end - 1].end()]
                    yield _is_whole(folded, start, end), _weight(run, asked, corpus) / (len(run) + 2), text


def _is_whole(folded: Sequence[str], start: int, end: int) -> bool:
    before = start == 0 or folded[start - 1] in _STOP
    after = end == len(folded) or folded[end] in _STOP
    return before and after
