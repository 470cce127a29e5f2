"""Whether some text fits unions of globs and none of others, with such a text. Exact. Pure.

A glob is a tuple of tokens: a character stands for itself, the names below for more. All globs run side by side as one
automaton whose state is one integer, a bit for each place in a glob; a breadth-first search meets short texts first.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

RUN, ONE = "**", "??"  # any run of characters, any one
RUN_IN_FIELD, ONE_IN_FIELD = "*:", "?:"  # the same, of no colon
FOLDED = "~"  # "~a" is "a" or "A"
TOKEN = "$"  # "$name" is one unknown character of its own, whatever "name" is
MOST_STATES = 200_000
_READABLE = "xyz" + "abcdefghijklmnopqrstuvw" + string.digits + "_-"
_WILD = {RUN, ONE, RUN_IN_FIELD, ONE_IN_FIELD}

Glob: TypeAlias = tuple[str, ...]
Union: TypeAlias = tuple[Glob, ...]
Text: TypeAlias = tuple[str, ...]
Spent: TypeAlias = Callable[[], bool]


class OutOfTime(Exception):
    """The search was given up: nothing is known."""


def find(wanted: Sequence[Union], refused: Sequence[Glob], spent: Spent) -> Text | None:
    """A text that one glob of every union matches and none of `refused`; None where there is none. Raises OutOfTime."""
    unions = sorted(dict.fromkeys(wanted), key=len) or [((RUN,),)]
    if len(unions) == 1:
        return _in_one(unions[0], refused, spent)
    for glob in unions[0]:
        if (found := _beside(glob, unions[1:], refused, spent)) is not None:
            return found
    return None


def _beside(glob: Glob, unions: Sequence[Union], refused: Sequence[Glob], spent: Spent) -> Text | None:
    """With one glob of the shortest union: what cannot meet it is left out, and unions that it implies."""
    left: list[Union] = []
    for union in unions:
        near = tuple(other for other in union if may_meet(glob, other))
        if not near:
            return None
        if not any(covers(other, glob) for other in near):
            left.append(near)
    if not left:
        return _in_one((glob,), refused, spent)
    near_refused = [other for other in refused if may_meet(glob, other)]
    if any(covers(other, glob) for other in near_refused):
        return None
    return Machine([(glob,), *left], near_refused).shortest(spent)


def _in_one(union: Union, refused: Sequence[Glob], spent: Spent) -> Text | None:
    gone = set(refused)
    for glob in union:
        if glob in gone:
            continue
        near = [other for other in refused if may_meet(glob, other)]
        sample = _sample(glob, near)
        met = [other for other in near if matches(other, sample)]
        if not met:
            return sample
        # Only wildcards take the character that no glob names: without a `?` what takes the sample takes all of `glob`.
        if any(covers(other, glob) for other in met):
            continue
        if (found := Machine([(glob,)], near).shortest(spent)) is not None:
            return found
    return None


def _sample(glob: Glob, others: Sequence[Glob]) -> Text:
    """A text of `glob` with a character that no glob names at every wildcard."""
    other = fresh((glob, *others))
    return tuple(ch for token in glob for ch in _sampled(token, other))


def _sampled(token: str, other: str) -> tuple[str, ...]:
    if token in _WILD:
        return (other,)
    return (token[1],) if token[0] == FOLDED and len(token) == 2 else (token,)


def covers(wide: Glob, narrow: Glob) -> bool:
    """Whether every text of `narrow` is one of `wide`. True is certain; False is so only if neither holds a `?`.

    A character that `wide` cannot name stands for each run; only a run of `wide` may take it.
    """
    if wide == narrow or wide == (RUN,):
        return True
    return _covering(wide).fullmatch("".join(_encoded(token, narrow=True) for token in narrow)) is not None


_RUN_MARK, _ONE_MARK, _RUN_FIELD_MARK, _ONE_FIELD_MARK = "\ue000", "\ue001", "\ue002", "\ue003"
_MARKS = {RUN: _RUN_MARK, ONE: _ONE_MARK, RUN_IN_FIELD: _RUN_FIELD_MARK, ONE_IN_FIELD: _ONE_FIELD_MARK}


@lru_cache(maxsize=65536)
def _name(token: str) -> str:
    """One private-use character for an unknown one, the same for the same name."""
    return chr(0xF0000 + _names.setdefault(token, len(_names)))


_names: dict[str, int] = {}


def _encoded(token: str, narrow: bool) -> str:
    if len(token) == 1:
        return token
    if token[0] == TOKEN:
        return _name(token)
    if token[0] == FOLDED:
        # A narrow letter of either case is covered only by one of either case or by a wildcard.
        return chr(0x100000 + ord(token[1])) if narrow and ord(token[1]) < 0xFFFD else token[1]
    return _MARKS[token]


@lru_cache(maxsize=65536)
def _covering(glob: Glob) -> re.Pattern[str]:
    """What a glob covers of another one, in which runs are marks that only runs may take."""
    made = {
        RUN: ".*",
        ONE: f"[^{_RUN_MARK}{_RUN_FIELD_MARK}]",
        RUN_IN_FIELD: f"[^:{_RUN_MARK}{_ONE_MARK}]*",
        ONE_IN_FIELD: f"[^:{_RUN_MARK}{_RUN_FIELD_MARK}{_ONE_MARK}]",
    }
    return re.compile("".join(made.get(token) or _covered_letter(token) for token in glob), re.DOTALL)


def _covered_letter(token: str) -> str:
    if len(token) == 2 and token[0] == FOLDED:
        return f"[{token[1].lower()}{token[1].upper()}{chr(0x100000 + ord(token[1]))}]"
    return re.escape(_encoded(token, narrow=False))


@lru_cache(maxsize=65536)
def _matcher(glob: Glob) -> re.Pattern[str]:
    made = {RUN: ".*", ONE: ".", RUN_IN_FIELD: "[^:]*", ONE_IN_FIELD: "[^:]"}
    return re.compile("".join(made.get(token) or _letter(token) for token in glob), re.DOTALL)


def _letter(token: str) -> str:
    if len(token) == 2 and token[0] == FOLDED:
        return f"[{token[1].lower()}{token[1].upper()}]"
    return re.escape(_encoded(token, narrow=False))


def matches(glob: Glob, text: Text) -> bool:
    """Whether `glob` matches the whole of `text`."""
    return _matcher(glob).fullmatch("".join(_encoded(ch, narrow=False) for ch in text)) is not None


def may_meet(a: Glob, b: Glob) -> bool:
    """False only where what stands before the first wildcards, or behind the last ones, differs."""
    (a_start, a_end), (b_start, b_end) = _ends(a), _ends(b)
    starts = a_start.startswith(b_start) or b_start.startswith(a_start)
    return starts and (a_end.endswith(b_end) or b_end.endswith(a_end))


@lru_cache(maxsize=65536)
def _ends(glob: Glob) -> tuple[str, str]:
    """What stands before the first wildcard or letter of either case, and behind the last; the whole if neither."""
    at = [i for i, token in enumerate(glob) if token in _WILD or (token[0] == FOLDED and len(token) == 2)]
    first, last = (at[0], at[-1] + 1) if at else (len(glob), 0)
    return ("".join(_encoded(t, False) for t in glob[:first]), "".join(_encoded(t, False) for t in glob[last:]))


def fresh(globs: Iterable[Glob]) -> str:
    """A printable character that no glob names: a letter or digit where one is left."""
    used: set[str] = set()
    for glob in globs:
        used.update(glob)
    free = (ch for ch in _READABLE if ch not in used and FOLDED + ch.lower() not in used)
    return next(free, None) or next(ch for ch in map(chr, range(0x4E00, 0x10000)) if ch not in used)


class Machine:
    """The automaton of all globs. Bit `base + i` is set where the first `i` tokens of a glob are matched."""

    def __init__(self, wanted: Sequence[Union], refused: Sequence[Glob]) -> None:
        self._other = fresh((*(glob for union in wanted for glob in union), *refused))
        self._size = 0
        self._letters: dict[str, int] = {}
        self._names: list[tuple[str, ...]] = []
        self._kinds = dict.fromkeys(_WILD, 0)
        self._regions: list[int] = []
        self._accepts: list[int] = []
        self._below: dict[int, int] = {}
        self._start = self._refused = self._lost = self._base = 0
        for union in wanted:
            lasts = [self._lay(glob) for glob in union]
            self._accepts.append(sum(lasts))
            self._regions.append(2 * lasts[-1] - (1 << self._base))
            self._base = self._size
        for glob in refused:
            last = self._lay(glob)
            self._refused |= last
            self._lost |= last if glob and glob[-1] == RUN else 0
        self._runs = self._kinds[RUN] | self._kinds[RUN_IN_FIELD]
        self._any = self._kinds[ONE]
        self._in_field = self._kinds[ONE_IN_FIELD]
        self._later = sum(self._below)
        self._start = self._closed(self._start)

    def _lay(self, glob: Glob) -> int:
        """Give a glob its bits; the last one is set where it is matched."""
        first = 1 << self._size
        self._start |= first
        for token in glob:
            bit = 1 << self._size
            if token == RUN and bit != first:
                self._below[bit] = bit - first
            named: tuple[str, ...] = ()
            if token in _WILD:
                self._kinds[token] |= bit
                named = (":",) if token[1] == ":" else ()
            else:
                named = (token[1].lower(), token[1].upper()) if token[0] == FOLDED and len(token) == 2 else (token,)
                for ch in dict.fromkeys(named):
                    self._letters[ch] = self._letters.get(ch, 0) | bit
            self._names.append(named)
            self._size += 1
        self._names.append(())
        self._size += 1
        return 1 << (self._size - 1)

    def shortest(self, spent: Spent) -> Text | None:
        """A shortest accepted text, or None. Raises OutOfTime."""
        came: dict[int, tuple[int, str]] = {self._start: (self._start, "")}
        level = [self._start]
        while level:
            following: list[int] = []
            for state in level:
                if not state & self._refused and all(state & accept for accept in self._accepts):
                    return self._spelled(came, state)
                for ch in self._choices(state):
                    reached = self._step(state, ch)
                    if reached not in came and self._alive(reached):
                        came[reached] = (state, ch)
                        following.append(reached)
                if len(came) > MOST_STATES or spent():
                    raise OutOfTime
            level = following
        return None

    def _step(self, state: int, ch: str) -> int:
        taken, kept = self._letters.get(ch, 0) | self._any, self._kinds[RUN]
        if ch != ":":
            taken, kept = taken | self._in_field, kept | self._kinds[RUN_IN_FIELD]
        return self._closed(((state & taken) << 1) | (state & kept))

    def _closed(self, state: int) -> int:
        """With what runs match without taking a character, and without what a later run of a glob includes.

        Two runs may stand side by side.
        """
        reached = state | (state & self._runs) << 1
        while reached != state:
            state, reached = reached, reached | (reached & self._runs) << 1
        later = state & self._later
        while later:
            run = later & -later
            state &= ~self._below[run]
            later ^= run
        return state

    def _alive(self, state: int) -> bool:
        return not state & self._lost and all(state & region for region in self._regions)

    def _choices(self, state: int) -> list[str]:
        """The characters that lead to different states: those that globs name here, and any other one.

        Where the globs of a union stand at no wildcard, only their own next characters lead on.
        """
        wild = self._runs | self._any | self._in_field
        for region in self._regions:
            if not state & region & wild:
                return sorted(set(self._named(state & region)))
        return [self._other, *sorted(set(self._named(state)), key=lambda ch: (not ch.isalnum(), ch))]

    def _named(self, state: int) -> Iterator[str]:
        while state:
            bit = state & -state
            yield from self._names[bit.bit_length() - 1]
            state ^= bit

    @staticmethod
    def _spelled(came: dict[int, tuple[int, str]], state: int) -> Text:
        spelled: list[str] = []
        while came[state][1]:
            state, ch = came[state]
            spelled.append(ch)
        return tuple(reversed(spelled))
