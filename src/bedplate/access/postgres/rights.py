"""From grants to rights: what of a grant PostgreSQL can hold, as its tables, columns and rows know it.

The `set` tests of an insert or update speak of the row as it is afterwards, whichever columns the statement names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bedplate.access.artefacts import Remainder
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.globs import covers
from bedplate.access.model import Condition, Grant, ScopeSet, Spans, Subset, Texts
from bedplate.access.postgres.ranges import clamped, within
from bedplate.problems import BedplateError, Problem, Where

VERBS: Final = {"read": "SELECT", "insert": "INSERT", "update": "UPDATE", "delete": "DELETE"}
_ROWS: Final = frozenset({"read", "update", "delete"})
_SETS: Final = frozenset({"insert", "update"})
Columned = tuple[str, Condition]


@dataclass(frozen=True)
class Right:
    """One grant as rights: `columns` None is all of them; `rows` and `sets` are tests by column, all of which hold."""

    grant: Grant
    verb: str
    table: str
    columns: tuple[str, ...] | None
    rows: tuple[Columned, ...] = ()
    sets: tuple[Columned, ...] = ()

    def changes(self, column: str) -> bool:
        """Whether the verb may change this column."""
        return self.columns is None or column in self.columns


def rights(scopes: ScopeSet, tool: str, prefix: str = "") -> tuple[tuple[Right, ...], tuple[Remainder, ...]]:
    """The rights of one tool, and what is left of its scopes. `prefix` stands before its tables (see `Owner`).

    Raises BedplateError (BP850) with every grant that has no meaning in PostgreSQL.
    """
    own = [g for g in scopes.grants if g.tool == tool and g.pattern.startswith(prefix)]
    grants = [replace(grant, pattern=grant.pattern.removeprefix(prefix)) for grant in own]
    problems = [problem for grant in grants for problem in _faults(grant)]
    if problems:
        raise BedplateError(*problems)
    left = [*(rest for grant in grants for rest in _remainder(grant)), *_never(scopes, tool)]
    return tuple(_right(grant) for grant in grants), tuple(left)


def _right(grant: Grant) -> Right:
    lists = [c.test.globs for c in grant.conditions if c.path == ("columns",) and isinstance(c.test, Subset)]
    columns = None if not lists else tuple(name for name in lists[0] if all(name in other for other in lists))
    rows = tuple((c.path[1], c) for c in grant.conditions if c.path[0] == "rows" and len(c.path) == 2)
    sets = tuple((c.path[1], c) for c in grant.conditions if c.path[0] == "set" and len(c.path) == 2)
    return Right(grant, grant.verb, grant.pattern, None if grant.verb == "delete" else columns, rows, sets)


def _faults(grant: Grant) -> Iterator[Problem]:
    schema, _, name = grant.pattern.partition(".")
    if grant.verb not in VERBS:
        yield refused(grant, f"a table has no verb {grant.verb}")
    if not schema or not name or "." in name or "*" in grant.pattern:
        yield refused(grant, f"`{grant.pattern}` is not one table, written schema.table")
    for condition in grant.conditions:
        test = condition.test
        match condition.path:
            case ("columns",) if not isinstance(test, Subset) or not test.globs or any("*" in g for g in test.globs):
                yield refused(grant, "`columns` must be names of columns")
            case ("rows", _) if grant.verb not in _ROWS:
                yield refused(grant, f"{grant.verb} has no rows to test; test the new row with `set`")
            case ("set", _) if grant.verb not in _SETS:
                yield refused(grant, f"{grant.verb} sets no columns")
            case _:
                pass


def refused(grant: Grant, what: str) -> Problem:
    """The problem of a grant that cannot be compiled, and why."""
    file, _, rest = grant.where.partition(":")
    line = rest.partition(":")[0]
    where = Where(file, int(line) if line.isdigit() else 0) if file else None
    summary = f"scope `{grant.id}` of `{grant.tool}` cannot be compiled to PostgreSQL: {what}"
    return Problem("BP850", summary, where, fix="change the scope; `bedplate explain BP850` lists what it may say")


def _remainder(grant: Grant) -> Iterator[Remainder]:
    def left(clause: str, reason: str) -> Remainder:
        return Remainder(grant.id, clause, reason, grant.where)

    if grant.ask:
        yield left("ask", "PostgreSQL cannot ask a person; it permits what may go ahead once a person agrees")
    if grant.budgets:
        yield left("limit", "PostgreSQL keeps no count of calls or amounts")
    if grant.only is not None:
        yield left("only", "PostgreSQL sees columns and rows, not the arguments of a call")
    for condition in grant.conditions:
        known = condition.path == ("columns",) or (condition.path[0] in {"rows", "set"} and len(condition.path) == 2)
        if not known:
            yield left(".".join(condition.path), "it is no column of the table")


def _never(scopes: ScopeSet, tool: str) -> Iterator[Remainder]:
    """What `never` forbids of this tool: its operations are names that the database does not know."""
    for never in scopes.never:
        try:
            speaks = witness([never.pattern, f"{tool}.*"], []) is not None
        except TooManyStates:
            speaks = True
        if speaks:
            yield Remainder("", "never", f"PostgreSQL does not know operations such as `{never.pattern}`", never.where)


def groups(found: Iterable[Right]) -> dict[tuple[str, str], tuple[Right, ...]]:
    """By table and verb, without those that another of the same rows and values covers."""
    together: dict[tuple[str, str], tuple[Right, ...]] = {}
    for right in found:
        key = (right.table, right.verb)
        others = together.get(key, ())
        if not any(_covers(other, right) for other in others):
            together[key] = (*(other for other in others if not _covers(right, other)), right)
    return together


def _covers(wide: Right, narrow: Right) -> bool:
    columns = wide.columns is None or (narrow.columns is not None and set(narrow.columns) <= set(wide.columns))
    return columns and _implied(narrow.rows, wide.rows) and _implied(narrow.sets, wide.sets)


def _implied(narrow: Sequence[Columned], wide: Iterable[Columned]) -> bool:
    """Whether each test of the one follows from a test of the other. Told by pairs, so never wrongly said."""
    return all(any(_follows(test, given) for given in narrow) for test in wide)


def _follows(test: Columned, given: Columned) -> bool:
    (column, wanted), (other, had) = test, given
    if (column, wanted.kind) != (other, had.kind):
        return False
    match wanted.test, had.test:
        case Spans(wide), Spans(narrow):
            return within(clamped(wanted.kind, narrow), clamped(wanted.kind, wide))
        case (Texts(wide), Texts(narrow)) | (Subset(wide), Subset(narrow)):
            return all(any(covers(glob, part) for glob in wide) for part in narrow)
        case _:
            return wanted.test == had.test


def _meaning(tests: Iterable[Columned]) -> frozenset[object]:
    return frozenset((column, condition.kind, condition.test) for column, condition in tests)


def multiplies(group: Sequence[Right]) -> bool:
    """Whether the table's own grants and policies would allow more than the group does.

    Column grants add up apart from policies, and of an update the old row's tests apart from the new row's. So a group
    stands on the table itself only where all have the same columns, and, for an update, where one of the tests is the
    same for all or no tested column can change (then the new row is tested as well).
    """
    columns = {None if right.columns is None else frozenset(right.columns) for right in group}
    if len(columns) > 1:
        return True
    if len(group) == 1 or group[0].verb != "update" or not changing(group):
        return False
    return len({_meaning(right.rows) for right in group}) > 1 and len({_meaning(right.sets) for right in group}) > 1


def changing(group: Sequence[Right]) -> bool:
    """Whether some column that says which rows may be updated may itself be changed."""
    return any(other.changes(column) for right in group for column, _ in right.rows for other in group)
