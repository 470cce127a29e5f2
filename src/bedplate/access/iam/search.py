"""Whether the new side permits a request that the old one does not: search for values of all variables. Exact.

For an action, the statements that name it are known. A request is let through by one new Allow of each layer, and not
by the old side: either every old Allow of one layer fails, or an old Deny applies. So some statements must apply (all
their clauses hold) and others must not (one clause of each fails). Variables are independent of each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from bedplate.access.iam.actions import ActionClause, classes
from bedplate.access.iam.clauses import Clauses, Entry, Solution, Space
from bedplate.access.iam.texts import OutOfTime, Spent

Model: TypeAlias = dict[str, Solution]


@dataclass(frozen=True)
class Side:
    """The statements of one side that name an action: the Allows of each layer, and the Denies."""

    allows: tuple[frozenset[Clauses], ...]
    denies: frozenset[Clauses]


def gains(space: Space, new: Sequence[Entry], old: Sequence[Entry], layers: tuple[int, int], spelled: Iterable[str],
          spent: Spent) -> Iterator[tuple[str, Model]]:  # fmt: skip
    """Actions with the values of a request that `new` permits and `old` does not. Raises OutOfTime, Mixed."""
    clauses = list(dict.fromkeys(entry.actions for entry in (*new, *old)))
    number = {clause: 1 << i for i, clause in enumerate(clauses)}
    asked: set[tuple[Side, Side]] = set()
    search = _Search(space, spent)
    for mask, action in _by_wish(classes(clauses, spelled, spent)):
        sides = _side(new, layers[0], number, mask), _side(old, layers[1], number, mask)
        if sides in asked or _follows(*sides):
            continue
        asked.add(sides)
        model = search.between(*sides)
        if model is not None:
            yield action, model


def _by_wish(found: dict[int, str]) -> list[tuple[int, str]]:
    return list(found.items())


def _side(entries: Sequence[Entry], layers: int, number: dict[ActionClause, int], mask: int) -> Side:
    active = [entry for entry in entries if number[entry.actions] & mask]
    allows = tuple(
        frozenset(e.clauses for e in active if e.effect == "Allow" and e.layer == layer) for layer in range(layers)
    )
    return Side(allows, frozenset(e.clauses for e in active if e.effect == "Deny"))


def _follows(new: Side, old: Side) -> bool:
    """Whether it can be seen without a search that `new` permits nothing more."""
    if not all(new.allows) or frozenset() in new.denies:
        return True
    if not old.denies <= new.denies or len(old.allows) > len(new.allows):
        return False
    return all(a <= b for a, b in zip(new.allows, old.allows, strict=False))


class _Search:
    def __init__(self, space: Space, spent: Spent) -> None:
        self._space = space
        self._spent = spent
        self._failed: set[tuple[Clauses, frozenset[Clauses]]] = set()

    def between(self, new: Side, old: Side) -> Model | None:
        """Values with which the new side permits and the old one does not."""
        for chosen in product(*(sorted(layer, key=sorted) for layer in new.allows)):
            applies = frozenset[int]().union(*chosen)
            for allows in old.allows:
                if (model := self._case(applies, allows | new.denies)) is not None:
                    return model
            for deny in sorted(old.denies - new.denies, key=sorted):
                if (model := self._case(applies | deny, new.denies)) is not None:
                    return model
        return None

    def _case(self, applies: Clauses, never: Iterable[Clauses]) -> Model | None:
        """Values with which all clauses of `applies` hold and one of each of `never` fails."""
        left = frozenset(clauses - applies for clauses in never)
        if frozenset() in left:
            return None
        left = frozenset(c for c in left if not any(other < c for other in left))
        if (applies, left) in self._failed:
            return None
        model = self._solve(applies, left)
        if model is None:
            self._failed.add((applies, left))
        return model

    def _solve(self, applies: Clauses, left: frozenset[Clauses]) -> Model | None:
        hold: dict[str, Clauses] = {}
        for variable, clauses in self._by_variable(applies).items():
            hold[variable] = clauses
            if self._space.solve(variable, clauses, frozenset()) is None:
                return None
        options = self._options(hold, left)
        if options is None:
            return None
        fail: dict[str, Clauses] = {}
        remaining = self._fail_all(hold, options, fail)
        chosen = self._choose(hold, fail, remaining)
        if chosen is None:
            return None
        none: Clauses = frozenset()
        model: Model = {}
        for variable in (*hold, *(v for v in chosen if v not in hold)):
            value = self._space.solve(variable, hold.get(variable, none), chosen.get(variable, none))
            assert value is not None
            model[variable] = value
        return model

    def _by_variable(self, clauses: Clauses) -> dict[str, Clauses]:
        found: dict[str, set[int]] = defaultdict(set)
        for clause in sorted(clauses):
            found[self._space.variable[clause]].add(clause)
        return {variable: frozenset(numbers) for variable, numbers in found.items()}

    def _options(self, hold: dict[str, Clauses], left: frozenset[Clauses]) -> list[list[int]] | None:
        """For each statement that must not apply, its clauses that can fail; None where one has none."""
        found: list[list[int]] = []
        for clauses in sorted(left, key=sorted):
            can = [c for c in sorted(clauses) if self._can_fail(c, hold, frozenset())]
            if not can:
                return None
            found.append(can)
        return found

    def _can_fail(self, clause: int, hold: dict[str, Clauses], fail: Clauses) -> bool:
        variable = self._space.variable[clause]
        return self._space.solve(variable, hold.get(variable, frozenset()), fail | {clause}) is not None

    def _fail_all(
        self, hold: dict[str, Clauses], options: list[list[int]], fail: dict[str, Clauses]
    ) -> list[list[int]]:
        """Variable by variable: where all clauses of it that can fail can fail at once, they do. What is left over."""
        left = options
        for variable in dict.fromkeys(self._space.variable[c] for can in options for c in can):
            clauses = frozenset(c for can in left for c in can if self._space.variable[c] == variable)
            if clauses and self._space.solve(variable, hold.get(variable, frozenset()), clauses) is not None:
                fail[variable] = clauses
                left = [can for can in left if not clauses & frozenset(can)]
        return left

    def _choose(self, hold: dict[str, Clauses], fail: dict[str, Clauses], left: list[list[int]]
                ) -> dict[str, Clauses] | None:  # fmt: skip
        """A clause to fail for each statement that is left, tried out in order, the most constrained first."""
        if self._spent():
            raise OutOfTime
        if not left:
            return fail
        current = sorted(left, key=len)[0]
        for clause in current:
            variable = self._space.variable[clause]
            clauses = fail.get(variable, frozenset())
            if not self._can_fail(clause, hold, clauses):
                continue
            more = {**fail, variable: clauses | {clause}}
            rest = self._narrowed(hold, more, variable, [can for can in left if clause not in can])
            if rest is None:
                continue
            found = self._choose(hold, more, rest)
            if found is not None:
                return found
        return None

    def _narrowed(self, hold: dict[str, Clauses], fail: dict[str, Clauses], changed: str, left: list[list[int]]
                  ) -> list[list[int]] | None:  # fmt: skip
        """Without the clauses of a variable that can no longer fail; None where a statement has none left."""
        rest: list[list[int]] = []
        for can in left:
            kept = [c for c in can if self._space.variable[c] != changed or self._can_fail(c, hold, fail[changed])]
            if not kept:
                return None
            rest.append(kept)
        return rest
