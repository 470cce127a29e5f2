"""One form for rights that mean the same, so that what was asked for and what the catalog holds can be compared.

A right is told by its verb, its table, its columns, and its tests of old and new rows. Left out is what makes no
difference: grants that match nothing or are covered by another, the order, and tests that follow from others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from bedplate.access.conditions import said
from bedplate.access.model import Claim, Condition, Kind, Present, Spans, Subset, Test, Texts
from bedplate.access.postgres.expressions import storable
from bedplate.access.postgres.ranges import clamped, intersection, joined, without_mapped
from bedplate.access.postgres.rights import Columned, Right, groups

Meaning: TypeAlias = tuple[str, Kind, Test]
"""A column's name, the kind that its value is read as, and the test."""


@dataclass(frozen=True)
class Plain:
    """A right in its normal form."""

    verb: str
    table: str
    columns: frozenset[str] | None
    rows: frozenset[Meaning]
    sets: frozenset[Meaning]

    def __str__(self) -> str:
        columns = "all columns" if self.columns is None else ", ".join(sorted(self.columns))
        places = (("rows", self.rows), ("set", self.sets))
        tests = [f"{place}.{_words(test)}" for place, found in places for test in sorted(found, key=repr)]
        return f"{self.verb} {self.table} ({columns})" + (f" where {', '.join(tests)}" if tests else "")


def _words(meaning: Meaning) -> str:
    column, kind, test = meaning
    return said(Condition((column,), kind, test))


def normal(rights: Iterable[Right]) -> dict[Plain, Right]:
    """Every right that makes a difference, in its normal form, with the right it is of."""
    made: dict[Plain, Right] = {}
    simple = _settled([_simplified(right) for right in possible(rights)])
    for right in (one for group in groups(simple).values() for one in group):
        columns = None if right.columns is None else frozenset(right.columns)
        plain = Plain(right.verb, right.table, columns, _meanings(right.rows), _meanings(right.sets))
        made.setdefault(plain, right)
    return made


def possible(rights: Iterable[Right]) -> tuple[Right, ...]:
    """Without rights whose tests no row can pass."""
    return tuple(r for r in rights if _merged(r.rows) is not None and _merged(r.sets) is not None)


def _simplified(right: Right) -> Right:
    return replace(right, rows=_merged(right.rows) or (), sets=_merged(right.sets) or ())


def _settled(rights: Sequence[Right]) -> Iterator[Right]:
    """What is tested of a new row in a column that no update of the table may change is a test of the old row."""
    for right in rights:
        updates = [other for other in rights if other.verb == "update" and other.table == right.table]
        moved = [test for test in right.sets if not any(other.changes(test[0]) for other in updates)]
        if right.verb != "update" or not moved:
            yield right
            continue
        rows = _merged([*right.rows, *moved])
        if rows is not None:
            yield replace(right, rows=rows, sets=tuple(test for test in right.sets if test not in moved))


def _meanings(tests: Iterable[Columned]) -> frozenset[Meaning]:
    return frozenset((column, condition.kind, condition.test) for column, condition in tests)


def _merged(tests: Iterable[Columned]) -> tuple[Columned, ...] | None:
    """The tests with ranges of the same column intersected, in one order; None where they cannot all hold."""
    ranges: dict[tuple[str, Kind], tuple[tuple[int, int], ...]] = {}
    found: set[Meaning] = set()
    for column, condition in tests:
        kind, test = _said(condition)
        if isinstance(test, Spans):
            spans = clamped(kind, test.spans)
            before = ranges.get((column, kind), spans)
            ranges[column, kind] = tuple(intersection(before, spans))
        else:
            found.add((column, kind, test))
    for (column, kind), spans in ranges.items():
        found.add((column, kind, Spans(joined(without_mapped(spans) if kind == "ip" else spans))))
    if any(test in (Spans(()), Texts(())) for _, _, test in found):
        return None
    return tuple((column, Condition((column,), kind, test)) for column, kind, test in sorted(found, key=repr))


def _said(condition: Condition) -> tuple[Kind, Test]:
    """Kind and test as they can be told from the SQL."""
    match condition.test:
        case Claim() | Present(present=False):
            return "string", condition.test
        case Present():
            if condition.kind == "string":
                return "string", condition.test
            return condition.kind, Subset(("*",)) if condition.kind == "strings" else Spans(((None, None),))
        case Texts(globs=globs):
            return "string", Texts(tuple(sorted(set(storable(globs)))))
        case Subset(globs=globs):
            return "strings", Subset(tuple(sorted(set(storable(globs)))))
        case _:
            return condition.kind, condition.test
