"""One condition key: absent, one value, or several; values for which some tests hold and others fail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bedplate.access.iam.document import Test
from bedplate.access.iam.elements import Asked, element, family_of
from bedplate.access.iam.known import ALWAYS, ONE, SEVERAL, liked_values
from bedplate.access.iam.operators import Family, negated
from bedplate.access.iam.texts import Spent, Text

Values: TypeAlias = tuple[Text, ...]
# How many values a key may have. `mixed`: some tests take it for one, others for several.
Count = Literal["one", "several", "mixed"]


@dataclass(frozen=True)
class Absent:
    """The request does not have the key."""


ABSENT = Absent()


@dataclass(frozen=True)
class Key:
    """A condition key as all its tests see it."""

    name: str
    family: Family
    count: Count

    @staticmethod
    def of(name: str, tests: Iterable[Test]) -> Key:
        """From every test of the key. Raises Mixed where they take it for values of two kinds."""
        tests = [test for test in tests if test.operator.name != "Null"]
        return Key(name, family_of(name, tests), _count(name, tests))

    def solve(self, hold: Sequence[Test], fail: Sequence[Test], loose: bool, spent: Spent) -> Values | Absent | None:
        """Values with which all of `hold` hold and all of `fail` fail; None where there are none.

        `loose`: tests that take a `mixed` key for one value are left out, for what they make of several is not known.
        """
        absent = all(_on_absent(t) for t in hold) and not any(_on_absent(t) for t in fail)
        if absent and self.name not in ALWAYS:
            return ABSENT
        return self._present(hold, fail, loose, spent) or (ABSENT if absent else None)

    def _present(self, hold: Sequence[Test], fail: Sequence[Test], loose: bool, spent: Spent) -> Values | None:
        asked = [*((t, True) for t in hold), *((t, False) for t in fail)]
        if any((False in t.values) != truth for t, truth in asked if t.operator.name == "Null"):
            return None
        asked = [(t, truth) for t, truth in asked if t.operator.name != "Null"]
        if self.count == "one" or (self.count == "mixed" and not loose):
            found = element(self.family, asked, liked_values(self.name), spent)
            return None if found is None else (found,)
        if self.count == "mixed":
            asked = [(t, truth) for t, truth in asked if t.operator.each]
        return self._several(asked, spent)

    def _several(self, asked: Sequence[Asked], spent: Spent) -> Values | None:
        """What must be so of every value is asked of each; what must be so of one gets a value of its own."""
        of_each = [a for a in asked if _of_each(*a)]
        found: dict[Text, None] = {}
        of_one: list[Asked | None] = [a for a in asked if not _of_each(*a)]
        for one in of_one or [None]:
            value = element(self.family, [*of_each, one] if one else of_each, liked_values(self.name), spent)
            if value is None:
                return None
            found[value] = None
        return tuple(found)


def _of_each(test: Test, truth: bool) -> bool:
    every = test.operator.each == "all" or (not test.operator.each and negated(test.operator.name))
    return every == truth


def _on_absent(test: Test) -> bool:
    """What a test makes of a key that is not there."""
    if test.operator.name == "Null":
        return True in test.values
    if test.operator.if_exists or test.operator.each == "all":
        return True
    return not test.operator.each and negated(test.operator.name)


def _count(name: str, tests: Sequence[Test]) -> Count:
    if "tag/" in name or name in ONE:
        return "one"
    several = [bool(test.operator.each) for test in tests]
    if all(several) and several:
        return "several"
    if any(several):
        return "mixed"
    return "mixed" if name in SEVERAL else "one"
