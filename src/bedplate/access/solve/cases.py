"""What a request must be so that one grant matches it and others do not, as demands for the search. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bedplate.access.automata import may_meet
from bedplate.access.globs import covers, matches
from bedplate.access.model import Argument, Condition, Grant, Operation
from bedplate.access.solve.literals import (
    ABSENT,
    GIVEN,
    REQUIRED,
    Lit,
    Path,
    asking,
    failing,
    holding,
    like,
    quiet,
    unlike,
)
from bedplate.access.solve.search import Option, Step
from bedplate.access.solve.slots import Slots

OBJECT: Path = ("\ue000object",)
NAME: Path = ("\ue000name",)
"""Places of the object and of the operation's name, which no argument has (loading refuses the character)."""


@dataclass(frozen=True)
class Cell:
    """Requests of one tool and verb: with the operation `name`, or with any; its schema where it is pinned.

    The object fits `within` and nothing of `without`. For the verb `call` it is the operation's name.
    """

    tool: str
    verb: str
    name: str | None = None
    schema: Operation | None = None
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the object is not known."""
        return self.verb != "call" or self.name is None

    @property
    def named(self) -> Path:
        """The place of the operation's name."""
        return OBJECT if self.verb == "call" else NAME


@dataclass(frozen=True)
class Puzzle:
    """Demands, and options of each of which one step must be taken."""

    slots: Slots
    options: tuple[Option, ...]


def puzzle(
    grant: Grant, others: Iterable[Grant], cell: Cell, *, allow: bool, forbidden: str = "", never: Iterable[str] = ()
) -> Puzzle | None:
    """Requests of a cell that `grant` matches and no one of `others` does; None where it is plain that there are none.

    `allow`: such that the grant asks nobody, and of the others some may match that ask. `never` does not forbid it;
    `forbidden` is a `never` that does.
    """
    if not _named(cell, forbidden, never) or (not cell.open and not matches(grant.pattern, str(cell.name))):
        return None
    steps = [*_object(grant, cell), *_name(cell, forbidden, never)]
    steps += [Step(c.path, holding(c)) for c in grant.conditions]
    steps += [Step(c.path, quiet(c)) for c in (grant.ask.when if grant.ask and allow else ())]
    steps += _schema(cell.schema)
    build = _Others(grant, cell, allow=allow, steps=steps)
    options: list[Option] = []
    for other in others:
        option = build.option(other)
        if option is None:
            continue
        if not option:
            return None
        options.append(option)
    tops = {s.path[0] for o in (steps, *options) for s in o} - {OBJECT[0], NAME[0]}
    steps += [Step((top,), ABSENT) for top in sorted(tops) if not build.permitted(top)]
    return Puzzle(_slots(steps), tuple(options))


class _Others:
    """How other grants may fail to match."""

    def __init__(self, grant: Grant, cell: Cell, *, allow: bool, steps: Sequence[Step]) -> None:
        self._grant, self._cell, self._allow = grant, cell, allow
        self._held = set(steps)

    def option(self, other: Grant) -> Option | None:
        """The steps by which it fails; none where it cannot, None where it does anyway."""
        steps: list[Step] = []
        if self._cell.open:
            if not may_meet(self._grant.pattern, other.pattern):
                return None
            if not covers(other.pattern, self._grant.pattern):
                steps.append(Step(OBJECT, unlike(other.pattern)))
        elif not matches(other.pattern, str(self._cell.name)):
            return None
        if self._allow and other.ask:
            if other.ask.always:
                return None
            steps += [Step(c.path, asking(c)) for c in other.ask.when if Step(c.path, quiet(c)) not in self._held]
        steps += [Step(c.path, failing(c)) for c in other.conditions if Step(c.path, holding(c)) not in self._held]
        return [*steps, *self._more(other)]

    def permitted(self, name: str) -> bool:
        """Whether an argument of this name may be given."""
        schema, only = self._cell.schema, self._grant.only
        closed = schema is not None and schema.closed
        known = not closed or name in {argument.path[0] for argument in schema.arguments}  # type: ignore[union-attr]
        return known and (only is None or name in only)

    def _more(self, other: Grant) -> list[Step]:
        """Arguments that the other grant does not take."""
        if other.only is None:
            return []
        schema = self._cell.schema.arguments if self._cell.schema else ()
        known = dict.fromkeys([*(a.path[0] for a in schema), *(self._grant.only or ())])
        names = [name for name in known if name not in other.only and self.permitted(name)]
        if (self._cell.schema is None or not self._cell.schema.closed) and self._grant.only is None:
            names.append(next(n for n in _names() if n not in other.only and n not in known))
        return [Step((name,), GIVEN) for name in names]


def _names() -> Iterable[str]:
    yield "extra"
    number = 2
    while True:
        yield f"extra{number}"
        number += 1


def _slots(steps: Iterable[Step]) -> Slots:
    found: dict[Path, frozenset[Lit]] = {}
    for step in steps:
        found[step.path] = found.get(step.path, frozenset()) | {step.lit}
    return found


def _object(grant: Grant, cell: Cell) -> list[Step]:
    if not cell.open:
        return []
    return [Step(OBJECT, lit) for lit in (like(grant.pattern), unlike("", *cell.without), *map(like, cell.within))]


def _named(cell: Cell, forbidden: str, never: Iterable[str]) -> bool:
    """Whether the cell's operation, where it has one, is forbidden as demanded."""
    if cell.name is None:
        return True
    name = f"{cell.tool}.{cell.name}"
    return not any(matches(n, name) for n in never) and (not forbidden or matches(forbidden, name))


def _name(cell: Cell, forbidden: str, never: Iterable[str]) -> list[Step]:
    """What `never` demands of an operation that is not known."""
    if cell.name is not None:
        return []
    dot = f"{cell.tool}."
    kept = tuple(sorted({rest for pattern in never for rest in residuals(pattern, dot)}))
    wanted = [like(*residuals(forbidden, dot))] if forbidden else []
    return [Step(cell.named, lit) for lit in (unlike("", *kept), *wanted)]


def residuals(pattern: str, prefix: str) -> tuple[str, ...]:
    """Globs of what may follow `prefix` in a text that the pattern matches. Exact."""
    places = {0}
    for ch in prefix:
        places = _closed(pattern, places)
        places = {p + (pattern[p] != "*") for p in places if p < len(pattern) and pattern[p] in {"*", ch}}
    return tuple(dict.fromkeys(pattern[p:] for p in sorted(places)))


def _closed(pattern: str, places: set[int]) -> set[int]:
    """With what stars match without taking a character."""
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "*":
            place += 1
            found.add(place)
    return found


def _schema(operation: Operation | None) -> list[Step]:
    return [step for argument in (operation.arguments if operation else ()) for step in _argument(argument)]


def _argument(argument: Argument) -> list[Step]:
    fits = [Step(argument.path, Lit("fits", argument=argument))]
    if not argument.required:
        return fits
    return [*fits, Step(argument.path, GIVEN if len(argument.path) == 1 else REQUIRED)]


def bare(conditions: Iterable[Condition]) -> frozenset[tuple[object, ...]]:
    """Conditions without the lines where they stand."""
    return frozenset((c.path, c.kind, c.test) for c in conditions)
