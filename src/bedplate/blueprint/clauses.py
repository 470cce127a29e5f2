"""The clauses of a scope (`where`, `only`, `ask`, `limit`), typed by the operations that it is about.

Goes in: clauses as written and what is known of the arguments. Comes out: `Clauses`, or problems with their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bedplate.access.model import Argument, Ask, Budget, Condition, Kind, Operation, Present
from bedplate.access.values import UNIT
from bedplate.blueprint.conditions import Misfit, meet, typed
from bedplate.manifest.arguments import ArgumentTest, Conditions, Limit
from bedplate.manifest.overlay import Source
from bedplate.manifest.words import did_you_mean, suggest
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem

Names = tuple[str, ...]


@dataclass(frozen=True)
class Clauses:
    """What a grant demands besides its pattern."""

    conditions: tuple[Condition, ...] = ()
    only: tuple[str, ...] | None = None
    ask: Ask | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True)
class Typed:
    """What is known of one argument: its kind, its enum, whether every call has it."""

    kind: Kind
    values: tuple[str, ...] = ()
    required: bool = False


Known = Callable[[Names], Typed]
"""From a path to what is known of the argument there. Raises Misfit."""


class ClauseReader:
    """Reads the clauses of one scope at `path`. `problems` has everything that is wrong with them."""

    def __init__(self, source: Source, path: Path, known: Known) -> None:
        self.source = source
        self.path = path
        self.known = known
        self.problems: list[Problem] = []
        # Only where nothing of the scope was left out follows something from what it does not say.
        self.whole = source.whole_at(*path)

    def tested(self, clause: str, tests: Mapping[str, ArgumentTest], prefix: Names = ()) -> Iterator[Condition]:
        """The conditions of a mapping of tests; `prefix` stands before the paths of its arguments."""
        for written, test in tests.items():
            try:
                yield from self._conditions(clause, (*prefix, *written.split(".")), written, test)
            except Misfit as found:
                self._report(found, clause, written)

    def _conditions(self, clause: str, path: Names, written: str, test: ArgumentTest) -> Iterator[Condition]:
        argument = self.known(path)
        where = self.source.where((*self.path, clause, written), key=True)
        for one in typed(test, argument.kind, argument.values):
            if one == Present(False) and argument.required and clause != "ask":
                fix = "remove the test, or the scope"
                raise Misfit("BP806", "nothing can match: every call has this argument", fix, "present")
            yield Condition(path, argument.kind, one, f"{where.file}:{where.line}")

    def asked(self, ask: bool | Mapping[str, ArgumentTest] | None, conditions: Sequence[Condition]) -> Ask | None:
        """When a person must agree. `conditions` are what the scope demands anyway."""
        if ask is None or isinstance(ask, bool):
            return Ask(always=True) if ask else None
        when = tuple(self.tested("ask", ask))
        for one in when:
            if self.whole and not all(meet(one.test, other.test) for other in conditions if other.path == one.path):
                fix = "ask within what `where` allows"
                self._report(Misfit("BP806", "it never asks: `where` excludes that", fix), "ask", ".".join(one.path))
        return Ask(when)

    def limited(self, limit: Limit | None, conditions: Sequence[Condition]) -> tuple[Budget, ...]:
        """The budgets: calls in whole numbers, sums in ten-thousandths."""
        if limit is None:
            return ()
        calls = [Budget(int(limit.calls.amount), limit.calls.window, (), limit.per)] if limit.calls else []
        tested = {c.path for c in conditions if c.test != Present(False)}
        sums: list[Budget] = []
        for written, rate in limit.sum.items():
            path = tuple(written.split("."))
            try:
                self._summed(path, tested)
            except Misfit as found:
                self._report(found, "limit", "sum", written)
            sums.append(Budget(int(rate.amount * UNIT), rate.window, path, limit.per))
        return (*calls, *sums)

    def _summed(self, path: Names, tested: set[Names]) -> None:
        argument = self.known(path)
        if argument.kind not in ("integer", "decimal"):
            raise Misfit("BP812", "only numbers have a sum", "limit the calls by `calls`")
        if self.whole and not argument.required and path not in tested:
            fix = "test it by `where` as well, e.g. {min: 0}: then a call without it is denied"
            raise Misfit("BP812", "a call without it would not count", fix)

    def only(self, scope: Conditions) -> tuple[str, ...] | None:
        """The arguments that may be given, where no others may. It says nothing of what is inside an object."""
        if not scope.only:
            return None
        for written in scope.where:
            if "." in written:
                fix = "remove `only`, or test arguments that are not inside of another"
                self._report(Misfit("BP819", "`only` would not keep out what stands beside it", fix), "where", written)
        return tuple(sorted(scope.where))

    def _report(self, found: Misfit, clause: str, *rest: str) -> None:
        path = (*self.path, clause, *rest, *([found.word] if found.word else []))
        summary = f"`{rest[-1]}`: {found.summary}"
        self.problems.append(Problem(found.code, summary, self.source.where(path, key=True), fix=found.fix))


def clauses_of(reader: ClauseReader, scope: Conditions, operations: Sequence[Operation]) -> Clauses:
    """The clauses of a scope over some operations, of which none is known where there are none."""
    conditions = tuple(reader.tested("where", scope.where))
    ask = reader.asked(scope.ask, conditions)
    budgets = reader.limited(scope.limit, conditions)
    only = reader.only(scope)
    if operations and reader.whole and not reader.problems:
        _usable(reader, operations, conditions, only)
    return Clauses(conditions, only, ask, budgets)


def _usable(
    reader: ClauseReader, operations: Sequence[Operation], conditions: Sequence[Condition], only: Names | None
) -> None:
    """Some operation has every argument that must be given, and needs none that may not."""
    demanded = {c.path for c in conditions if c.test != Present(False)}
    able = [op for op in operations if demanded <= {argument.path for argument in op.arguments}]
    where = reader.source.where(reader.path)
    if not able:
        fix = "write a scope for each operation, with its own arguments"
        reader.problems.append(Problem("BP806", "no one operation has all arguments of `where`", where, fix=fix))
    elif only is not None and not any(set(_required(op)) <= set(only) for op in able):
        missing = sorted(set(_required(able[0])) - set(only))
        fix = "name them in `where` too, or remove `only`"
        what = f"nothing can match: `only` leaves out {', '.join(missing)}, which a call must have"
        reader.problems.append(Problem("BP806", what, where, fix=fix))


def _required(operation: Operation) -> list[str]:
    return [argument.path[0] for argument in operation.arguments if argument.required and len(argument.path) == 1]


def arguments_of(operations: Sequence[Operation]) -> Known:
    """What some operations together say of an argument."""
    paths = dict.fromkeys(argument.path for operation in operations for argument in operation.arguments)

    def known(path: Names) -> Typed:
        found = [(op.name, argument) for op in operations for argument in op.arguments if argument.path == path]
        if not found:
            fix = did_you_mean(".".join(path), [".".join(p) for p in paths], "the operation takes no arguments")
            raise Misfit("BP805", "there is no such argument", fix)
        kinds = {argument.kind: name for name, argument in found}
        if len(kinds) > 1:
            said = " and ".join(f"{kind or 'something else'} in {name}" for kind, name in kinds.items())
            raise Misfit("BP803", f"it is {said}", "write a scope for each operation")
        if found[0][1].kind is None:
            fix = "only texts, numbers, true or false, times, addresses and lists of texts can be tested"
            raise Misfit("BP803", "its pinned schema says no kind that can be tested", fix)
        return _joined(found[0][1].kind, [argument for _, argument in found], len(found) == len(operations))

    return known


def _joined(kind: Kind, arguments: Sequence[Argument], everywhere: bool) -> Typed:
    enums = [argument.values for argument in arguments]
    values = tuple(dict.fromkeys(value for enum in enums for value in enum)) if all(enums) else ()
    return Typed(kind, values, everywhere and all(argument.required for argument in arguments))


def columns_of(table: str, source: str, kinds: Mapping[str, Mapping[str, Kind]]) -> Known:
    """What a data source says of the columns of a table: paths are `rows.COLUMN` and `set.COLUMN`."""

    def known(path: Names) -> Typed:
        if len(path) != 2 or path[0] not in ("rows", "set"):
            raise Misfit("BP805", "there is no such argument", "write `rows.COLUMN` or `set.COLUMN`")
        columns = kinds.get(table, {})
        if path[1] not in columns:
            said = f"say what it holds: `tables: {{{table}: {{{path[1]}: string}}}}` in the data source `{source}`"
            meant = suggest(path[1], columns)
            fix = f"did you mean `{meant}`? else {said}" if meant else said
            raise Misfit("BP811", f"the data source does not say what this column of {table} holds", fix)
        return Typed(columns[path[1]])

    return known
