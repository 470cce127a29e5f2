"""Values for regions that claims of the session tie together. Exact. Pure.

A claim that no value has to equal is absent, which fails every test of it. What equals the same claim is one text; what
must differ gets another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from bedplate.access.solve.literals import Path
from bedplate.access.solve.numbers import Closed, both
from bedplate.access.solve.regions import Region, Unclear, values
from bedplate.access.solve.texts import fits, texts

_TRIED = 2_000
_DIGITS = re.compile(r"[-0-9*]*")
_NUMBER = re.compile(r"0|-?[1-9][0-9]*")


@dataclass
class _Group:
    """What is one text: the values at `paths` and the claims `names`."""

    names: set[str] = field(default_factory=set)
    paths: list[Path] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)


def assign(tied: Mapping[Path, Region]) -> tuple[dict[Path, int | str], dict[str, str]] | None:
    """A value for each region and a text for each claim that one equals; None where there is none.

    Raises TooManyStates or Unclear where that is not known.
    """
    groups = _groups(tied)
    place = {name: i for i, group in enumerate(groups) for name in group.names}
    apart = {
        frozenset((i, place[name]))
        for i, group in enumerate(groups)
        for found in group.regions
        for name in found.differ
        if name in place
    }
    if any(len(pair) == 1 for pair in apart):
        return None
    degree = [sum(i in pair for pair in apart) for i in range(len(groups))]
    # A value has to differ from `degree` others, so that one more than that many is always enough.
    choices = [list(islice(_choices(group), n + 1)) for group, n in zip(groups, degree, strict=True)]
    chosen = _distinct(choices, apart, [])
    if chosen is None:
        return None
    given = {
        path: int(text) if found.spans else text
        for group, text in zip(groups, chosen, strict=True)
        for path, found in zip(group.paths, group.regions, strict=True)
    }
    return given, {name: text for group, text in zip(groups, chosen, strict=True) for name in sorted(group.names)}


def _groups(tied: Mapping[Path, Region]) -> list[_Group]:
    found: list[_Group] = []
    for path, region in tied.items():
        mine = _Group(set(region.equal), [path], [region])
        for other in [group for group in found if group.names & mine.names]:
            found.remove(other)
            mine.names |= other.names
            mine.paths += other.paths
            mine.regions += other.regions
        found.append(mine)
    return found


def _choices(group: _Group) -> Iterator[str]:
    """Texts that every region of a group has."""
    named = sorted(group.names) or [group.paths[0][-1]]
    likely = [f"{name}-{n}" for n in (1, 2) for name in named]
    whole = [region for region in group.regions if region.spans]
    spelt = [region for region in group.regions if not region.spans]
    if not whole:
        wanted = [globs for region in spelt for globs in region.wanted]
        refused = [glob for region in spelt for glob in region.refused]
        yield from texts(wanted, refused, _among(spelt), likely)
        return
    spans: Sequence[Closed] = whole[0].spans
    for region in whole[1:]:
        spans = both(spans, region.spans)
    yield from _numbers(replace(whole[0], spans=tuple(spans)), spelt)


def _numbers(numbers: Region, spelt: Sequence[Region]) -> Iterator[str]:
    """Whole numbers of a region whose digits are texts of others."""
    choices = [globs for region in spelt for globs in region.wanted]
    choices += [region.among for region in spelt if region.among is not None]
    short = [globs for globs in choices if not any(_DIGITS.fullmatch(glob) and "*" in glob for glob in globs)]
    found: Iterator[int] = values(numbers)
    if short:  # only what globs spell can be
        inside = dict.fromkeys(int(text) for text in short[0] if _NUMBER.fullmatch(text))
        found = iter([n for n in inside if any(low <= n <= high for low, high in numbers.spans)])
    for tried, number in enumerate(found):
        text = str(number)
        if all(fits(text, r.wanted, r.refused) and (r.among is None or text in r.among) for r in spelt):
            yield text
        elif tried > _TRIED:
            raise Unclear("a claim is both a number of many and a text of a pattern")


def _among(regions: Sequence[Region]) -> tuple[str, ...] | None:
    lists = [region.among for region in regions if region.among is not None]
    return tuple(text for text in lists[0] if all(text in more for more in lists)) if lists else None


def _distinct(choices: Sequence[Sequence[str]], apart: set[frozenset[int]], chosen: list[str]) -> list[str] | None:
    """One of each list so that pairs `apart` differ."""
    at = len(chosen)
    if at == len(choices):
        return chosen
    for text in choices[at]:
        if all(chosen[other] != text for other in range(at) if frozenset((at, other)) in apart):
            found = _distinct(choices, apart, [*chosen, text])
            if found is not None:
                return found
    return None
