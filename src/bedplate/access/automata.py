"""Whether some text fits several globs at once and none of others, with a shortest such text. Exact. Pure.

All globs run side by side as one automaton whose state is one integer, a bit for each place in a pattern; a search
breadth first over its states meets the shortest texts first. One character that no pattern names stands for all such.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from bedplate.access.globs import covers

MOST_STATES = 20_000
_READABLE = "xyz" + "abcdefghijklmnopqrstuvw" + string.digits
_Path = dict[int, tuple[int, str]]


class TooManyStates(Exception):
    """The search was given up: whether such a text exists is not known."""


def witness(all_of: Sequence[str], none_of: Sequence[str], most: int = MOST_STATES) -> str | None:
    """A shortest text that every glob of `all_of` matches and none of `none_of`; None where there is none.

    Raises TooManyStates after `most` states, so that no caller takes "not found" for "does not exist".
    """
    wanted = _narrowest(collapse(p) for p in all_of) or ["*"]
    refused = [p for p in map(collapse, none_of) if all(may_meet(p, w) for w in wanted)]
    if any(covers(p, w) for p in refused for w in wanted):
        return None
    return _Machine(wanted, refused).shortest(most)


def collapse(pattern: str) -> str:
    """The same pattern without stars in a row."""
    return re.sub(r"\*\*+", "*", pattern) if "**" in pattern else pattern


def fresh(patterns: Iterable[str]) -> str:
    """A printable character that no pattern names: a letter or digit where one is left."""
    used = set().union(*patterns)
    free = (ch for ch in _READABLE if ch not in used)
    return next(free, None) or next(ch for ch in map(chr, range(0xE0, 0x10000)) if ch.isalpha() and ch not in used)


def _narrowest(patterns: Iterable[str]) -> list[str]:
    """Without patterns that follow from another one."""
    kept: list[str] = []
    for pattern in dict.fromkeys(patterns):
        if not any(covers(pattern, other) for other in kept):
            kept = [*(other for other in kept if not covers(other, pattern)), pattern]
    return kept


def may_meet(a: str, b: str) -> bool:
    """False only where what stands before the first stars, or behind the last ones, differs."""
    (a_start, a_end), (b_start, b_end) = _ends(a), _ends(b)
    starts = a_start.startswith(b_start) or b_start.startswith(a_start)
    return starts and (a_end.endswith(b_end) or b_end.endswith(a_end))


@lru_cache(maxsize=4096)
def _ends(pattern: str) -> tuple[str, str]:
    """What stands before the first star and behind the last one; twice the whole where there is none."""
    return pattern.partition("*")[0], pattern.rpartition("*")[2]


class _Machine:
    """The automaton of all patterns. Bit `base + i` is set where the first `i` places of a pattern are matched."""

    def __init__(self, wanted: Sequence[str], refused: Sequence[str]) -> None:
        self._other = fresh((*wanted, *refused))
        self._text: list[str] = []
        self._letters: dict[str, int] = {}
        self._stars = self._start = 0
        self._below: dict[int, int] = {}
        self._regions: list[int] = []
        self._accepted = self._refused = self._lost = 0
        for pattern in wanted:
            region, last = self._lay(pattern)
            self._regions.append(region)
            self._accepted |= last
        for pattern in refused:
            _, last = self._lay(pattern)
            self._refused |= last
            self._lost |= last if pattern.endswith("*") else 0
        self._later = sum(self._below)
        self._start = self._closed(self._start)

    def _lay(self, pattern: str) -> tuple[int, int]:
        """Give a pattern its bits: all of them, and the last one."""
        base, seen_star = len(self._text), False
        for place, ch in enumerate(pattern):
            bit = 1 << (base + place)
            if ch == "*":
                self._stars |= bit
                if seen_star:
                    self._below[bit] = bit - (1 << base)
                seen_star = True
            else:
                self._letters[ch] = self._letters.get(ch, 0) | bit
            self._text.append(ch)
        self._text.append("")
        self._start |= 1 << base
        last = 1 << (base + len(pattern))
        return 2 * last - (1 << base), last

    def shortest(self, most: int) -> str | None:
        """A shortest accepted text, or None. Raises TooManyStates."""
        came: _Path = {self._start: (self._start, "")}
        level = [self._start]
        while level:
            following: list[int] = []
            for state in level:
                if state & self._accepted == self._accepted and not state & self._refused:
                    return self._spelled(came, state)
                for ch in self._choices(state):
                    reached = self._step(state, ch)
                    if reached not in came and self._alive(reached):
                        came[reached] = (state, ch)
                        following.append(reached)
                if len(came) > most:
                    raise TooManyStates
            level = following
        return None

    def _step(self, state: int, ch: str) -> int:
        return self._closed(((state & self._letters.get(ch, 0)) << 1) | (state & self._stars))

    def _closed(self, state: int) -> int:
        """With what stars match without taking a character, and without what a later star of a pattern includes."""
        state |= (state & self._stars) << 1
        later = state & self._later
        while later:
            star = later & -later
            state &= ~self._below[star]
            later ^= star
        return state

    def _alive(self, state: int) -> bool:
        return not state & self._lost and all(state & region for region in self._regions)

    def _choices(self, state: int) -> list[str]:
        """The characters that lead to different states: those that patterns name here, and any other one.

        Where a wanted pattern stands at no star, only its own next characters lead on.
        """
        for region in self._regions:
            if not state & region & self._stars:
                return sorted(set(self._named(state & region)))
        named = set(self._named(state))
        return [self._other, *sorted(named, key=lambda ch: (not ch.isalnum(), ch))]

    def _named(self, state: int) -> Iterator[str]:
        bits = state & ~self._stars
        while bits:
            bit = bits & -bits
            if ch := self._text[bit.bit_length() - 1]:
                yield ch
            bits ^= bit

    @staticmethod
    def _spelled(came: _Path, state: int) -> str:
        spelled: list[str] = []
        while came[state][1]:
            state, ch = came[state]
            spelled.append(ch)
        return "".join(reversed(spelled))
