"""Scope sets as terms of `access.second.Question`. Written apart from the prover, which it is to check.

A list of strings has as many elements as there are tests of it, since each test needs at most one to fail. A whole
number is any real number that rounds to it, so that no solver for whole numbers is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from bedplate.access.fits import numbers
from bedplate.access.model import (
    Argument,
    Ask,
    Claim,
    Condition,
    Grant,
    Kind,
    Operation,
    Present,
    ScopeSet,
    Spans,
    Subset,
    Texts,
)
from bedplate.access.second import Any1, Opinion, Parts, Question, Term, installed
from bedplate.access.values import DOMAINS

Path = tuple[str, ...]
_OTHER = "\ue000"  # no manifest has it: it stands for every argument that nobody names
_SHARED = ({"string", "time"}, {"string", "ip"}, {"integer", "decimal"})
_HALF = Fraction(1, 2)


class _Unknown(Exception):
    """The question has something that is not put into terms."""


def of_scopes(seconds: float) -> Callable[[ScopeSet, ScopeSet], Opinion] | None:
    """A second opinion for `access.prove.widens`, within `seconds` for each tool; None if cvc5 is not installed.

    It is about requests, as `decide` is: neither budgets nor what changes of pins mean.
    """
    if not installed():
        return None

    def ask(old: ScopeSet, new: ScopeSet) -> Opinion:
        keys = dict.fromkeys((grant.tool, grant.verb) for grant in new.grants)
        found = [_wider(Question(seconds), old, new, *key) for key in keys]
        return "wider" if True in found else "unknown" if None in found else "not wider"

    return ask


def _wider(question: Question, old: ScopeSet, new: ScopeSet, tool: str, verb: str) -> bool | None:
    """Whether a request of one tool and verb has a higher effect; None if it is not known."""
    encoder = _Encoder(question, (old, new), tool, verb)
    try:
        before, now = encoder.effects(old), encoder.effects(new)
        higher = [question.all([b, question.no(a)]) for a, b in zip(before, now, strict=True)]
        return question.possible(encoder.world(), question.any(higher))
    except _Unknown:
        return None


class _Encoder:
    """The requests of one tool and verb."""

    def __init__(self, question: Question, sides: Iterable[ScopeSet], tool: str, verb: str) -> None:
        self._q, self._tool, self._verb = question, tool, verb
        self._tests: dict[Path, dict[Subset, None]] = {}
        self._kinds: dict[Path, set[Kind]] = {(_OTHER,): set()}
        self._measured: set[Path] = set()
        for side in sides:
            self._collect(side)

    def effects(self, scopes: ScopeSet) -> tuple[Term, Term]:
        """That a request is at least asked for, and that it is allowed."""
        q = self._q
        grants = [g for g in scopes.grants if (g.tool, g.verb) == (self._tool, self._verb)]
        matched = [self._matches(grant) for grant in grants]
        free = [q.all([m, q.no(self._asks(g.ask))]) for g, m in zip(grants, matched, strict=True)]
        common = q.all([self._fits(scopes), *(q.no(self._forbids(never.pattern)) for never in scopes.never)])
        return q.all([common, q.any(matched)]), q.all([common, q.any(free)])

    def world(self) -> Term:
        """What every request is like: names are not empty, and a value has one kind."""
        q = self._q
        names = [q.no(q.like(text, [("",)])) for text in (self._object(), self._name())]
        return q.all([*names, *(term for path in sorted(self._kinds) for term in self._place(path))])

    def _collect(self, scopes: ScopeSet) -> None:
        """The paths that matter, the kinds in which they are read, and the tests of lists."""
        for grant in scopes.grants:
            if (grant.tool, grant.verb) != (self._tool, self._verb):
                continue
            for condition in (*grant.conditions, *(grant.ask.when if grant.ask else ())):
                self._add(condition.path, condition.kind)
                if isinstance(condition.test, Subset):
                    self._tests.setdefault(condition.path, {})[condition.test] = None
                if isinstance(condition.test, Spans):
                    self._measured.add(condition.path)
            for name in grant.only or ():
                self._add((name,), None)
        for operation in scopes.pinned.get(self._tool, {}).values():
            for argument in operation.arguments:
                self._add(argument.path, argument.kind)
                if argument.values:
                    self._measured.add(argument.path)

    def _add(self, path: Path, kind: Kind | None) -> None:
        for depth in range(1, len(path) + 1):
            self._kinds.setdefault(path[:depth], set())
        if kind:
            self._kinds[path].add(kind)

    def _object(self) -> Term:
        return self._name() if self._verb == "call" else self._q.text("object")

    def _name(self) -> Term:
        return self._q.text("operation")

    def _given(self, path: Path) -> Term:
        return self._q.choice(f"given {path}")

    def _is(self, path: Path, kind: Kind) -> Term:
        return self._q.choice(f"{kind} {path}")

    def _place(self, path: Path) -> Iterator[Term]:
        q, kinds = self._q, sorted(self._kinds[path])
        if any(set(kinds) >= shared for shared in _SHARED):
            raise _Unknown
        for kind in kinds:
            yield self._implies(self._is(path, kind), self._given(path))
            yield from (q.no(q.all([self._is(path, kind), self._is(path, o)])) for o in kinds if o > kind)
            yield from self._within(path, kind)
        for child in (p for p in self._kinds if len(p) == len(path) + 1 and p[: len(path)] == path):
            no_kind = [q.no(self._is(path, kind)) for kind in kinds]
            yield self._implies(self._given(child), q.all([self._given(path), *no_kind]))

    def _within(self, path: Path, kind: Kind) -> Iterator[Term]:
        if kind in DOMAINS:
            yield self._in(path, kind, *DOMAINS[kind])

    def _implies(self, one: Term, other: Term) -> Term:
        return self._q.any([self._q.no(one), other])

    def _forbids(self, pattern: str) -> Term:
        """`never` over `tool.operation`: what is left of it behind the tool's name, wherever that may end."""
        ends = {0}
        for ch in f"{self._tool}.":
            ends = {end for start in ends for end in _after(pattern, start, ch)}
        return self._q.like(self._name(), [_parts(pattern[end:]) for end in sorted(ends)])

    def _matches(self, grant: Grant) -> Term:
        q = self._q
        named = q.like(self._object(), [_parts(grant.pattern)])
        tops = (path for path in self._kinds if len(path) == 1)
        more = [] if grant.only is None else [q.no(self._given(p)) for p in tops if p[0] not in grant.only]
        return q.all([named, *more, *map(self._holds, grant.conditions)])

    def _asks(self, ask: Ask | None) -> Term:
        q = self._q
        if ask is None or ask.always:
            return q.truth(ask is not None)
        return q.any([q.any([q.no(self._is(c.path, c.kind)), self._holds(c)]) for c in ask.when])

    def _holds(self, condition: Condition) -> Term:
        path, kind, q = condition.path, condition.kind, self._q
        if condition.test == Present(False):
            return q.no(self._given(path))
        return q.all([self._is(path, kind), self._passes(condition)])

    def _passes(self, condition: Condition) -> Term:
        path, kind, q = condition.path, condition.kind, self._q
        match condition.test:
            case Present():
                return q.truth(True)
            case Texts(globs=globs) if kind == "string":
                return q.like(self._text(path), [_parts(glob) for glob in globs])
            case Spans(spans=spans) if kind in DOMAINS:
                return q.any([self._in(path, kind, low, high) for low, high in spans])
            case Subset(globs=globs) if kind == "strings":
                return self._all_like(path, [_parts(glob) for glob in globs])
            case Claim(name=name) if kind == "string":
                return q.all([q.choice(f"claim {name}"), q.same(self._text(path), q.text(f"claim {name}"))])
            case Claim(name=name) if kind == "integer" and path not in self._measured:
                text = self._text(path)
                return q.all([q.choice(f"claim {name}"), q.same(text, q.text(f"claim {name}")), q.whole(text)])
            case _:
                raise _Unknown

    def _text(self, path: Path) -> Term:
        return self._q.text(f"text {path}")

    def _in(self, path: Path, kind: Kind, low: int | None, high: int | None) -> Term:
        """From the half below `low`, included, to the half above `high`, excluded."""
        q, number = self._q, self._q.number(f"{kind} {path}")
        least = [] if low is None else [q.between(number, low - _HALF, None)]
        most = [] if high is None else [q.no(q.between(number, high + _HALF, None))]
        return q.all([*least, *most])

    def _all_like(self, path: Path, globs: list[Parts]) -> Term:
        q = self._q
        elements = [f"element {i} of {path}" for i in range(len(self._tests.get(path, ())) + 1)]
        return q.all([self._implies(q.choice(name), q.like(q.text(name), globs)) for name in elements])

    def _fits(self, scopes: ScopeSet) -> Term:
        known = scopes.pinned.get(self._tool, {})
        if self._verb not in scopes.called.get(self._tool, ()):
            return self._q.truth(True)
        named = [(self._q.like(self._name(), [(name,)]), operation) for name, operation in known.items()]
        return self._q.any([self._q.all([name, *self._schema(operation)]) for name, operation in named])

    def _schema(self, operation: Operation) -> Iterator[Term]:
        q = self._q
        for argument in operation.arguments:
            given = self._given(argument.path)
            yield self._implies(given, self._admitted(argument))
            if argument.required:
                parent = q.truth(True) if len(argument.path) == 1 else self._given(argument.path[:-1])
                yield self._implies(parent, given)
        if operation.closed:
            tops = {argument.path[0] for argument in operation.arguments}
            yield from (q.no(self._given(p)) for p in self._kinds if len(p) == 1 and p[0] not in tops)

    def _admitted(self, argument: Argument) -> Term:
        path, kind, q = argument.path, argument.kind, self._q
        if kind is None:
            return q.truth(True)
        body = q.truth(True)
        if argument.values and kind == "string":
            body = q.like(self._text(path), [(value,) for value in argument.values])
        elif argument.values and kind == "strings":
            body = self._all_like(path, [(value,) for value in argument.values])
        elif argument.values:
            body = q.any([self._in(path, kind, n, n) for n in sorted(numbers(argument))])
        return q.all([self._is(path, kind), body])


def _parts(glob: str) -> Parts:
    """A glob in the terms of the question."""
    first, *rest = glob.split("*")
    return (first, *(part for text in rest for part in (Any1(run=True), text)))


def _after(pattern: str, start: int, ch: str) -> set[int]:
    """Where in a glob one may be after a character more."""
    found: set[int] = set()
    for place in range(start, len(pattern)):
        if pattern[place] == "*":
            found.add(place)
            continue
        if pattern[place] == ch:
            found.add(place + 1)
        break
    return found
