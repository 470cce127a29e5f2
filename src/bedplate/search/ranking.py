"""The order of what FTS5 found: how much of the query stands in a passage, in its heading, and side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bedplate.search.words import STOP_WORDS, Token

# Weights of the parts of a score, each part being 0 to 1. Chosen on the questions of CPython's FAQ with and without
# their headings (bench/search_cpython.py) and kept round: a change of a fifth in any of them moves few questions.
BM25, COVERAGE, HEADING, ADJACENT = 0.6, 1.0, 0.5, 0.4
EXACT = 1.0  # on top, where the query is the heading word for word
WORDING = 0.3  # at most, for a heading that shares the question's words, `who` and `where` among them
DEFINES = 0.8  # on top, for a passage that says what the thing is that the question asks the meaning of
RELATED = 0.6  # of a word's weight, where only a related word stands
OPENING = 0.1  # on top, for the passage that opens its section


@dataclass(frozen=True)
class Term:
    """A token of the query with its stems (alternatives for a compound name) and its weight: rare words weigh more."""

    token: Token
    stems: tuple[tuple[str, ...], ...]
    weight: float
    related: tuple[tuple[str, ...], ...] = ()

    def within(self, stems: frozenset[str]) -> float:
        """1 where one of its forms stands in `stems`, less for a related word, else 0."""
        if _any(self.stems, stems):
            return 1.0
        return RELATED if _any(self.related, stems) else 0.0


@dataclass(frozen=True)
class Candidate:
    """A passage that FTS5 found: `bm25` is higher for better; stems are those of its texts, in order."""

    id: int
    document: int
    part: int
    bm25: float
    title: Sequence[str]
    heading: Sequence[str]
    last: Sequence[str]
    body: Sequence[str]
    defines: bool = False


@dataclass(frozen=True)
class Ranked:
    """A candidate with its score and its confidence."""

    candidate: Candidate
    score: float
    confidence: float


def _any(forms: Sequence[Sequence[str]], stems: frozenset[str]) -> bool:
    return any(form and all(stem in stems for stem in form) for form in forms)


def weight(passages: int, having: int) -> float:
    """Inverse document frequency, in (0, 1]: 1 for a word that stands nowhere, least for the commonest."""
    return math.log((passages + 1) / (having + 0.5) + 1) / math.log((passages + 1) / 0.5 + 1)


def rank(terms: Sequence[Term], candidates: Iterable[Candidate], query: Sequence[str] = ()) -> list[Ranked]:
    """The candidates, best first. `query` holds the stems of all its words, for headings that are the query."""
    found = list(candidates)
    best = max((c.bm25 for c in found), default=0.0) or 1.0
    ranked = [_score(terms, c, c.bm25 / best, query) for c in found]
    return sorted(ranked, key=lambda r: (-r.score, r.candidate.id))


def coverage(terms: Sequence[Term], stems: frozenset[str]) -> float:
    """The share of the query's weight whose words stand in `stems`."""
    total = sum(term.weight for term in terms)
    return sum(term.weight * term.within(stems) for term in terms) / total if total else 0.0


def diverse(ranked: Sequence[Ranked], limit: int, first: int = 5, per_document: int = 2) -> list[Ranked]:
    """At most `per_document` of one document among the `first`; what that pushed back follows in order."""
    head: list[Ranked] = []
    rest: list[Ranked] = []
    counts: dict[int, int] = {}
    for item in ranked:
        number = counts.get(item.candidate.document, 0)
        if len(head) < first and number < per_document:
            head.append(item)
            counts[item.candidate.document] = number + 1
        else:
            rest.append(item)
    return (head + rest)[:limit]


def _score(terms: Sequence[Term], candidate: Candidate, bm25: float, query: Sequence[str]) -> Ranked:
    own = frozenset((*candidate.heading, *candidate.body))
    whole = own | frozenset(candidate.title)
    covered = coverage(terms, own)
    score = (
        (EXACT if query and list(candidate.last) == list(query) else 0.0)
        + (0.0 if candidate.part else OPENING)
        + (DEFINES if candidate.defines else 0.0)
        + WORDING * _shared(candidate.last, query)
        + BM25 * bm25
        + COVERAGE * (0.7 * covered + 0.3 * coverage(terms, whole))
        + HEADING * _likeness(terms, candidate.last)
        + ADJACENT * max(_adjacent(terms, candidate.body), _adjacent(terms, candidate.heading))
    )
    return Ranked(candidate, score, coverage(terms, whole))


def _likeness(terms: Sequence[Term], heading: Sequence[str]) -> float:
    """How alike query and heading are: the harmonic mean of what each has of the other."""
    topical = frozenset(stem for stem in heading if stem not in STOP_WORDS)
    covered = coverage(terms, frozenset(heading))
    if not topical or not covered:
        return 0.0
    asked = {stem for term in terms for form in term.stems for stem in form}
    said = len(topical & asked) / len(topical)
    return 2 * covered * said / (covered + said) if said else 0.0


def _shared(left: Sequence[str], right: Sequence[str]) -> float:
    """The share of words that two texts have in common, of all that either has."""
    both = set(left) | set(right)
    return len(set(left) & set(right)) / len(both) if both else 0.0


def _adjacent(terms: Sequence[Term], stems: Sequence[str]) -> float:
    """The share of neighbouring words of the query that stand at most three words apart in the same order."""
    if len(terms) < 2:
        return 0.0
    places: dict[str, list[int]] = {}
    for place, stem in enumerate(stems):
        places.setdefault(stem, []).append(place)
    pairs = [(a.stems[0][-1:], b.stems[0][:1]) for a, b in pairwise(terms)]
    near = sum(1 for a, b in pairs if a and b and _near(places.get(a[0], ()), places.get(b[0], ())))
    return near / len(pairs)


def _near(left: Sequence[int], right: Sequence[int]) -> bool:
    after = set(right)
    return any(place + gap in after for place in left for gap in (1, 2, 3))
