"""The search through the ways in which several demands may each be met. Exact. Pure.

Goes in: what is demanded of each argument, and options, of each of which one step must be taken. Comes out: arguments
and claims that do it all, or None where there are none. Unclear and TimeUp are raised where that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bedplate.access.automata import TooManyStates
from bedplate.access.solve.claims import assign
from bedplate.access.solve.literals import Lit, Mode, Path
from bedplate.access.solve.regions import Region, Unclear, as_json, values
from bedplate.access.solve.slots import Slots, family, possible, ways

MOST_WAYS = 5_000
TOO_MANY = "too many patterns to compare"
_OPPOSITE: Mapping[Mode, Mode] = {
    "holds": "fails", "fails": "holds", "quiet": "asks", "asks": "quiet", "given": "absent", "absent": "given",
}  # fmt: skip


class TimeUp(Exception):
    """The search was given up for want of time."""


@dataclass(frozen=True)
class Step:
    """One demand on the value at a path."""

    path: Path
    lit: Lit


Option = Sequence[Step]
"""Steps of which one must be taken."""


@dataclass(frozen=True)
class Solution:
    """A JSON value for each path that is given, and the text of each claim that matters."""

    values: Mapping[Path, Any]
    session: Mapping[str, str] = field(default_factory=dict)


class Search:
    """One search. `likely` has texts for a path that are to be tried first."""

    def __init__(self, spent: Callable[[], bool], likely: Mapping[Path, Sequence[str]]) -> None:
        self._spent, self._likely = spent, likely
        self._doubt = ""

    def solve(self, slots: Slots, options: Iterable[Option]) -> Solution | None:
        """Raises Unclear or TimeUp where it is not known whether there is a solution."""
        state = dict(slots)
        several: list[Option] = []
        for option in options:
            if len(option) == 1:
                _add(state, option[0])
            else:
                several.append(option)
        found = next(self._descend(state, several), None) if self._all_possible(state) else None
        if found is None and self._doubt:
            raise Unclear(self._doubt)
        return found

    def _descend(self, state: dict[Path, frozenset[Lit]], options: Sequence[Option]) -> Iterator[Solution]:
        if self._spent():
            raise TimeUp
        reduced = self._reduced(state, options)
        if reduced is None:
            return
        if not reduced:
            yield from self._solved(state)
            return
        first = min(reduced, key=len)
        rest = [option for option in reduced if option is not first]
        state = dict(state)
        for step in first:
            with_it = dict(state)
            _add(with_it, step)
            yield from self._descend(with_it, rest)
            _add(state, _opposite(step))  # what follows need not look at the same values again
            if not self._possible(state, step.path[0]):
                return

    def _reduced(self, state: dict[Path, frozenset[Lit]], options: Sequence[Option]) -> list[Option] | None:
        """The options that still leave a choice; the others are taken into `state`. None where one has no way left."""
        while True:
            open_: list[Option] = []
            forced = False
            for option in options:
                if any(self._implied(state, step) for step in option):
                    continue
                left = [step for step in option if self._may(state, step)]
                if not left:
                    return None
                if len(left) == 1:
                    _add(state, left[0])
                    forced = True
                else:
                    open_.append(left)
            if not forced:
                return open_
            options = open_

    def _implied(self, state: Slots, step: Step) -> bool:
        if step.lit in state.get(step.path, ()):
            return True
        return not self._may(state, _opposite(step))

    def _may(self, state: Slots, step: Step) -> bool:
        with_it = dict(state)
        _add(with_it, step)
        return self._possible(with_it, step.path[0])

    def _all_possible(self, state: Slots) -> bool:
        return all(self._possible(state, top) for top in dict.fromkeys(path[0] for path in state))

    def _possible(self, state: Slots, top: str) -> bool:
        """False only where it is sure."""
        try:
            return possible(family(state, top))
        except (TooManyStates, Unclear) as doubt:
            self._doubt = self._doubt or str(doubt) or TOO_MANY
            return True

    def _solved(self, state: Slots) -> Iterator[Solution]:
        """What does all of the state. Only claims can still be in the way."""
        families = {top: family(state, top) for top in dict.fromkeys(path[0] for path in state)}
        try:
            free = [next(ways(of)) for of in families.values() if not _tied(of)]
            tied = [of for of in families.values() if _tied(of)]
            for number, combined in enumerate(product(*map(ways, tied))):
                if self._spent():
                    raise TimeUp
                if number > MOST_WAYS:
                    raise Unclear("too many ways in which claims may be met")
                regions = dict(pair for way in (*free, *combined) for pair in way)
                assigned = assign({path: region for path, region in regions.items() if region.tied})
                if assigned:
                    yield self._solution(regions, *assigned)
                    return
        except (TooManyStates, Unclear) as doubt:
            self._doubt = self._doubt or str(doubt) or TOO_MANY

    def _solution(
        self, regions: Mapping[Path, Region], given: Mapping[Path, int | str], session: Mapping[str, str]
    ) -> Solution:
        found = {
            path: as_json(region, given[path] if path in given else next(values(region, self._hints(path))))
            for path, region in regions.items()
            if region.shape != "absent"
        }
        return Solution(found, session)

    def _hints(self, path: Path) -> Sequence[str]:
        return self._likely.get(path, ("example",))


def _add(state: dict[Path, frozenset[Lit]], step: Step) -> None:
    state[step.path] = state.get(step.path, frozenset()) | {step.lit}


def _opposite(step: Step) -> Step:
    return Step(step.path, Lit(_OPPOSITE[step.lit.mode], step.lit.kind, step.lit.test))


def _tied(of: tuple[tuple[Path, frozenset[Lit]], ...]) -> bool:
    return any(lit.test is not None and lit.test.op == "claim" for _, lits in of for lit in lits)
