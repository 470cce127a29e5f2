"""Statements as sets of numbered clauses, each about one variable of a request: resource, caller or a condition key.

A statement applies where all its clauses hold. What is written alike on both sides is one clause with one number.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from bedplate.access.iam.actions import ActionClause
from bedplate.access.iam.callers import Principals, callers, named_by
from bedplate.access.iam.document import Caller, Effect, Pattern, Rules, Statement, Test, Wild
from bedplate.access.iam.keys import Absent, Key, Values
from bedplate.access.iam.texts import Glob, OutOfTime, Spent, Text, find
from bedplate.access.iam.tokens import ARN, glob

T = TypeVar("T")
RESOURCE, CALLER = "resource", "caller"
Clauses: TypeAlias = frozenset[int]
Resources: TypeAlias = tuple[bool, frozenset[Pattern]]
Solution: TypeAlias = Text | Caller | Values | Absent
# What a request can be for: one resource, or `*` where an action knows no resources.
_RESOURCES: tuple[Glob, ...] = (ARN, ("*",))


@dataclass(frozen=True)
class Entry:
    """A statement: which layer it is in, what it does, its actions, and its other clauses."""

    layer: int
    effect: Effect
    actions: ActionClause
    clauses: Clauses


class Space:
    """All clauses of both sides, and the questions that can be asked of each variable. Raises Mixed when asked."""

    def __init__(self, spent: Spent) -> None:
        self._spent = spent
        self._numbers: dict[object, int] = {}
        self._resources: dict[int, Resources] = {}
        self._principals: dict[int, Principals] = {}
        self._tests: dict[int, Test] = {}
        self.variable: list[str] = []
        self._loose = False
        self._keys: dict[str, Key] = {}
        self._callers: tuple[Caller, ...] = ()
        self._known: dict[tuple[str, Clauses, Clauses], Solution | None] = {}

    def entries(self, rules: Rules) -> list[Entry]:
        """The statements of one side without those that never apply."""
        found: dict[Entry, None] = {}
        for layer, policies in enumerate(rules.layers):
            for policy in policies:
                for statement in policy.statements:
                    clauses = self._clauses(statement)
                    if clauses is not None:
                        found[Entry(layer, statement.effect, ActionClause.of(statement), clauses)] = None
        return list(found)

    def ready(self) -> None:
        """All clauses are known: the keys can be told. Raises Mixed."""
        by_key: dict[str, list[Test]] = defaultdict(list)
        for test in self._tests.values():
            by_key[test.key].append(test)
        self._keys = {key: Key.of(key, tests) for key, tests in by_key.items()}
        self._callers = callers(self._principals.values())

    def loosen(self) -> None:
        """From here on a key that is tested both as one value and as several may have several."""
        self._loose = True
        self._known.clear()

    @property
    def mixed(self) -> list[str]:
        """Keys that are tested both as one value and as several."""
        return [key for key, known in self._keys.items() if known.count == "mixed"]

    def _clauses(self, statement: Statement) -> Clauses | None:
        """The numbers of its clauses; None where it never applies."""
        numbers: set[int] = set()
        if statement.resources is not None:
            everything = any(pattern.parts == (Wild.RUN,) for pattern in statement.resources)
            if everything and statement.not_resources:
                return None
            if not everything:
                resources = (statement.not_resources, frozenset(statement.resources))
                numbers.add(self._number(RESOURCE, resources, self._resources))
        if statement.principals is not None:
            everybody = any(principal.kind == "*" for principal in statement.principals)
            if everybody and statement.not_principals:
                return None
            if not everybody:
                principals = (statement.not_principals, frozenset(statement.principals))
                numbers.add(self._number(CALLER, principals, self._principals))
        for test in statement.tests:
            alike = Test(test.operator, test.key.lower(), tuple(dict.fromkeys(sorted(test.values, key=repr))))
            numbers.add(self._number(alike.key, alike, self._tests))
        return frozenset(numbers)

    def _number(self, variable: str, clause: T, kept: dict[int, T]) -> int:
        number = self._numbers.setdefault((variable, clause), len(self._numbers))
        if number not in kept:
            kept[number] = clause
            self.variable.append(variable)
        return number

    def solve(self, variable: str, hold: Clauses, fail: Clauses) -> Solution | None:
        """A value of the variable for which `hold` hold and `fail` fail, or None. Raises OutOfTime."""
        question = (variable, hold, fail)
        if question not in self._known:
            if self._spent():
                raise OutOfTime
            self._known[question] = self._solve(variable, hold, fail)
        return self._known[question]

    def _solve(self, variable: str, hold: Clauses, fail: Clauses) -> Solution | None:
        if hold & fail:
            return None
        if variable == RESOURCE:
            return self._resource(hold, fail)
        if variable == CALLER:
            return self._caller(hold, fail)
        tests = self._tests
        return self._keys[variable].solve([tests[c] for c in hold], [tests[c] for c in fail], self._loose, self._spent)

    def _resource(self, hold: Clauses, fail: Clauses) -> Text | None:
        wanted: list[tuple[Glob, ...]] = [_RESOURCES]
        refused: list[Glob] = []
        for clauses, holds in ((hold, True), (fail, False)):
            for clause in clauses:
                others, patterns = self._resources[clause]
                globs = tuple(glob(pattern) for pattern in patterns)
                if others != holds:
                    wanted.append(globs)
                else:
                    refused += globs
        return find(wanted, refused, self._spent)

    def _caller(self, hold: Clauses, fail: Clauses) -> Caller | None:
        for caller in self._callers:
            if all(named_by(self._principals[c], caller) for c in hold) and not any(
                named_by(self._principals[c], caller) for c in fail
            ):
                return caller
        return None
