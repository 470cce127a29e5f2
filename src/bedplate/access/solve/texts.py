"""Texts that match some globs and not others, those first that a person would write. Exact. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from bedplate.access.automata import TooManyStates, witness
from bedplate.access.globs import covers, matches

MOST_WAYS = 2_000
"""Combinations of globs, one of each choice, that are tried."""
_UNLIKELY = (
    *("*/", "*_", "*-", "*.", ".*", "_*", "-*", "*/.*", "*/_*", "*/-*"),
    *("*._*", "*.-*", "*_.*", "*-.*", "*..*", "*://*//*", "* ", " *"),
)
"""Forms that few real names have: what a shortest text looks like where a `*` stands for nothing."""
_COMPARED = 20
"""Ways of which the one with the shortest name is taken."""
Globs = tuple[str, ...]


def texts(
    wanted: Sequence[Globs], refused: Sequence[str], among: Sequence[str] | None, likely: Iterable[str] = ()
) -> Iterator[str]:
    """All texts that one glob of each of `wanted` matches, none of `refused`, and that are `among` these, if given.

    Without repetition: `likely` ones first, then those that globs spell, then one like a name, then shortest ones.
    Raises TooManyStates where it is not known whether there is a further one.
    """
    spelt = sorted({glob for globs in wanted for glob in globs if "*" not in glob})
    seen: set[str] = set()
    for text in (*likely, *spelt) if among is None else (*(t for t in likely if t in among), *among):
        if text not in seen and fits(text, wanted, refused):
            seen.add(text)
            yield text
    if among is None and not any(all("*" not in glob for glob in globs) for globs in wanted):
        yield from _shortest(_ways(wanted), refused, seen)


def fits(text: str, wanted: Iterable[Globs], refused: Iterable[str]) -> bool:
    """Whether a text is one of them."""
    return all(any(matches(glob, text) for glob in globs) for globs in wanted) and not any(
        matches(glob, text) for glob in refused
    )


def exists(wanted: Sequence[Globs], refused: Sequence[str], among: Sequence[str] | None) -> bool:
    """Whether there is such a text. Raises TooManyStates where it is not known."""
    if among is not None or any(all("*" not in glob for glob in globs) for globs in wanted):
        return next(texts(wanted, refused, among), None) is not None
    spelt = (glob for globs in wanted for glob in globs if "*" not in glob)
    return any(fits(text, wanted, refused) for text in spelt) or any(
        _found(way, tuple(refused)) is not None for way in _ways(wanted)
    )


def _shortest(ways: Sequence[Globs], refused: Sequence[str], seen: set[str]) -> Iterator[str]:
    """First one like a name, if any way has one; then all others, by ways and length."""
    without = (*refused, *sorted(seen))
    likely = [text for way in ways[:_COMPARED] if (text := _named(way, without)) is not None]
    if likely:
        first = min(likely, key=len)
        seen.add(first)
        yield first
    for way in ways:
        while (found := _found(way, (*refused, *sorted(seen)))) is not None:
            seen.add(found)
            yield found


def _named(way: Globs, refused: Globs) -> str | None:
    try:
        return _found(way, (*refused, *_UNLIKELY))
    except TooManyStates:
        return None  # the looks are for the reader only


def _ways(wanted: Sequence[Globs]) -> list[Globs]:
    """One glob with stars of each choice, in every way. What globs spell is tried apart."""
    ways: list[Globs] = [()]
    for globs in wanted:
        wild = [g for i, g in enumerate(globs) if "*" in g and not _told(i, globs)]
        ways = [way if any(covers(glob, held) for held in way) else (*way, glob) for way in ways for glob in wild]
        if len(ways) > MOST_WAYS:
            raise TooManyStates
    return list(dict.fromkeys(ways))


def _told(place: int, globs: Globs) -> bool:
    """Whether another glob of the choice covers it; of two that cover each other the first stays."""
    mine = globs[place]
    return any(
        covers(other, mine) and (i < place or not covers(mine, other)) for i, other in enumerate(globs) if i != place
    )


@lru_cache(maxsize=8192)
def _found(wanted: Globs, refused: Globs) -> str | None:
    return witness(wanted, refused)
