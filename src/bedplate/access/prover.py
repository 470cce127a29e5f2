"""`Prover`: for one grant, a request that it lets through and another scope set does not. Exact. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bedplate.access.budgets import relation, within
from bedplate.access.covering import plainly_covers
from bedplate.access.decide import effect, level
from bedplate.access.globs import matches
from bedplate.access.model import Effect, Grant, Operation, Request, ScopeSet, calling
from bedplate.access.sharing import shared
from bedplate.access.solve.cases import NAME, OBJECT, Cell, puzzle
from bedplate.access.solve.literals import Path
from bedplate.access.solve.regions import Unclear
from bedplate.access.solve.search import Search, Solution, TimeUp
from bedplate.access.templates import alike

__all__ = ["Oracle", "Prover", "Spent", "TimeUp", "Unclear", "World", "patience"]
Spent = Callable[[], bool]
Oracle = Callable[[Request, ScopeSet], Effect]
"""Another judge of requests."""
Realm = tuple[tuple[str, ...], tuple[str, ...]]
"""Objects that all of the one globs match and none of the others."""
MOST_STEPS = 50_000
_SHOWN = 19
"""Characters of a pin that words show."""


@dataclass(frozen=True)
class World:
    """What is known to exist: where witnesses are looked for first, and for `realms` and `operations` only.

    `objects` and `names` (of operations) are texts by tool. `operations` are all that a tool has, as pairs of verb and
    name. `realms` are the objects of a tool and verb: globs, of which one pair of `within` and `without` must fit.
    """

    objects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    operations: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    realms: Mapping[tuple[str, str], Sequence[Realm]] = field(default_factory=dict)


def patience(most: int = MOST_STEPS) -> Spent:
    """A limit that does not depend on a clock: time is up after so many steps of the search."""
    steps = iter(range(most))
    return lambda: next(steps, None) is None


class Prover:
    """Looks for requests with a higher effect under `new` than under `old`."""

    def __init__(
        self, old: ScopeSet, new: ScopeSet, spent: Spent, oracle: Oracle | None = None, world: World | None = None
    ) -> None:
        self._old, self._new, self._spent, self._oracle = old, new, spent, oracle
        self._world = world or World()
        self._never = tuple(n.pattern for n in new.never)
        self.lifted = tuple(dict.fromkeys(n.pattern for n in old.never if n.pattern not in self._never))
        self._held: dict[tuple[str, str], list[Grant]] = {}
        for grant in old.grants:
            self._held.setdefault((grant.tool, grant.verb), []).append(grant)

    def gain(self, grant: Grant, lifted: str = "") -> Request | None:
        """A request that a new grant raises; with `lifted`, one that this `never` forbade.

        One that was denied comes before one that a person was asked for. Raises Unclear or TimeUp.
        """
        held = self._held.get((grant.tool, grant.verb), [])
        covered = not lifted and any(plainly_covers(old, grant) for old in held)
        cells = [cell for cell in self._cells(grant) if not covered or self._is_new(cell)]
        found = self._found(grant, held, cells, lifted)
        if found and self.asked(found):
            found = self._found(grant, held, cells, lifted, allow=(False,)) or found
        return self._replayed(found) if found else None

    def asked(self, request: Request) -> bool:
        """Whether a person was asked for a request before."""
        asking = any(grant.ask for grant in self._held.get((request.tool, request.verb), ()))
        return asking and level(self._old, request) is Effect.ASK

    def unlimited(self, grant: Grant) -> Request | None:
        """A request that old grants allow, but under narrower limits. Raises Unclear where they cannot be compared."""
        held = self._held.get((grant.tool, grant.verb), [])
        alike = [old for old in held if within(grant, old)]
        if len(alike) == len(held) or any(plainly_covers(old, grant) for old in alike):
            return None
        found = self._found(grant, alike, list(self._cells(grant)), "")
        if found is None:
            return None
        before = level(self._old, found)
        if level(self._new, found) > before:
            return self._replayed(found)
        bound = [old for old in held if old not in alike and effect(old, found) >= min(before, effect(grant, found))]
        if any(relation(grant.budgets, old.budgets) == "apart" for old in bound):
            raise Unclear("its limit cannot be compared with the one before")
        return found

    def reaches(self, grant: Grant, realms: Iterable[Realm]) -> Request | None:
        """A request of the grant with an object of one realm, a known one if there is any. Raises Unclear or TimeUp."""
        cells = [
            replace(cell, within=within_, without=without)
            for within_, without in realms
            for cell in self._cells(grant, [((), ())])
        ]
        return self._found(grant, (), cells, "", allow=(False,))

    def fresh(self, grant: Grant) -> tuple[str, ...]:
        """The operations of the grant that old grants name too, but that the old pins of its tool do not have."""
        patterns = [old.pattern for old in self._held.get((grant.tool, grant.verb), ())]
        names = {cell.name for cell in self._cells(grant) if self._is_new(cell) and cell.name}
        if grant.verb == "call":
            names = {n for n in names if matches(grant.pattern, n) and any(matches(p, n) for p in patterns)}
        return tuple(sorted(n for n in names if patterns and not self._forbidden(grant.tool, n)))

    def sharing(self) -> list[Grant]:
        """New grants that live together on what was one budget."""
        found: list[Grant] = []
        for key, held in self._held.items():
            if any(old.budgets for old in held):
                found += shared(held, [g for g in self._new.grants if (g.tool, g.verb) == key])
        return found

    def changed_pins(self) -> Iterator[tuple[str, str]]:
        """Operations that a new grant reaches and whose pinned schema is not the same, and what changed."""
        for tool, operations in self._old.pinned.items():
            reached = [grant for grant in self._new.grants if grant.tool == tool]
            if tool not in self._new.pinned and any(g.verb in self._old.called[tool] for g in reached):
                yield tool, "it is no longer pinned"
                continue
            for name, was in operations.items():
                operation = self._new.pinned.get(tool, {}).get(name)
                if operation and _schema(operation) != _schema(was) and self._reaches(reached, operation):
                    yield f"{tool}.{name}", f"its pin changed: {_pin(was)} → {_pin(operation)}"

    def newly_pinned(self) -> bool:
        """Whether a tool that the new set knows nothing of is pinned in the old one, and reached."""
        return any(
            g.verb in self._old.called.get(g.tool, ()) and g.tool not in self._new.pinned for g in self._new.grants
        )

    def _reaches(self, grants: Sequence[Grant], operation: Operation) -> bool:
        if self._forbidden(operation.tool, operation.name):
            return False
        verb = calling(operation)
        return any(g.verb == verb and (verb != "call" or matches(g.pattern, operation.name)) for g in grants)

    def _forbidden(self, tool: str, name: str) -> bool:
        return any(matches(never, f"{tool}.{name}") for never in self._never)

    def _found(
        self, grant: Grant, held: Sequence[Grant], cells: Sequence[Cell], lifted: str, allow: tuple[bool, ...] = ()
    ) -> Request | None:
        """The first request, or one with an object that is known to exist."""
        real = self._world.objects.get(grant.tool, ())
        best: Request | None = None
        doubt: Unclear | None = None
        for cell in cells:
            for allowed in allow or _levels(grant):
                try:
                    found = self._solved(
                        grant, () if lifted or self._is_new(cell) else held, cell, lifted, allow=allowed
                    )
                except Unclear as unclear:
                    doubt = doubt or unclear
                    continue
                if found and (not real or found.object in real):
                    return found
                best = best or found
        if best is None and doubt:
            raise doubt
        return best

    def _solved(self, grant: Grant, held: Sequence[Grant], cell: Cell, lifted: str, *, allow: bool) -> Request | None:
        posed = puzzle(grant, held, cell, allow=allow, forbidden=lifted, never=self._never)
        if posed is None:
            return None
        likely = {OBJECT: self._world.objects.get(cell.tool, ()), NAME: self._world.names.get(cell.tool, ())}
        likely |= {OBJECT: likely[NAME]} if cell.verb == "call" else {}
        found = Search(self._spent, likely).solve(posed.slots, posed.options)
        return self._coherent(cell, _request(cell, found)) if found else None

    def _coherent(self, cell: Cell, request: Request) -> Request:
        """The request so that its URL and its arguments say the same, if that shows it as well."""
        if cell.schema is None or not cell.schema.url:
            return request
        rise = level(self._new, request), level(self._old, request)
        return next(
            (r for r in alike(cell.schema, request) if (level(self._new, r), level(self._old, r)) == rise), request
        )

    def _cells(self, grant: Grant, realms: Sequence[Realm] = ()) -> Iterator[Cell]:
        """Every kind of request that the grant can be about."""
        tool, verb = grant.tool, grant.verb
        for within_, without in realms or self._world.realms.get((tool, verb), [((), ())]):
            cell = Cell(tool, verb, within=within_, without=without)
            if verb in self._new.called.get(tool, ()):
                for name, operation in self._new.pinned[tool].items():
                    if calling(operation) == verb:
                        yield replace(cell, name=name, schema=operation)
            elif tool in self._world.operations:
                yield from (replace(cell, name=name) for of, name in self._world.operations[tool] if of == verb)
            else:
                yield cell

    def _is_new(self, cell: Cell) -> bool:
        """Whether the operation is one that the old pins of its tool do not have."""
        return cell.schema is not None and cell.name not in self._old.pinned.get(cell.tool, {cell.name: None})

    def _replayed(self, request: Request) -> Request:
        """The request, once every judge agrees. Raises Unclear."""
        was, now = level(self._old, request), level(self._new, request)
        if now <= was:
            raise Unclear(f"the decider does not agree on {request}")
        if self._oracle and (self._oracle(request, self._old), self._oracle(request, self._new)) != (was, now):
            raise Unclear(f"another judge does not agree on {request}")
        return request


def _levels(grant: Grant) -> tuple[bool, ...]:
    """Whether to look for what is allowed, for what is at least asked for, or for both in turn."""
    if grant.ask is None:
        return (True,)
    return (False,) if grant.ask.always else (True, False)


def _schema(operation: Operation) -> tuple[object, ...]:
    return operation.pin, frozenset(operation.arguments), operation.closed


def _pin(operation: Operation) -> str:
    return operation.pin[:_SHOWN] or "not recorded"


def _request(cell: Cell, found: Solution) -> Request:
    values = dict(found.values)
    name = cell.name if cell.name is not None else str(values[cell.named])
    object_ = name if cell.verb == "call" else str(values[OBJECT])
    args = _args({path: value for path, value in values.items() if path not in {OBJECT, NAME}})
    return Request(cell.tool, name, cell.verb, object_, args=args, session=dict(found.session))


def _args(values: Mapping[Path, Any]) -> dict[str, Any]:
    """Nested objects of values by their paths."""
    args: dict[str, Any] = {}
    for path in sorted(values, key=len):
        inner = args
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = values[path]
    return args
