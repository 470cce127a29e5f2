"""Actions in classes: all actions that the same clauses match, with one action of each class. Exact.

Literals are looked up by service, not multiplied. What they leave over is classed by the wildcards of each service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bedplate.access.iam import known
from bedplate.access.iam.classes import Classes
from bedplate.access.iam.document import Statement
from bedplate.access.iam.patterns import read_pattern
from bedplate.access.iam.texts import ONE, RUN, Glob, Spent, find, fresh, matches
from bedplate.access.iam.tokens import glob

# What a request may ask for: a service, a colon and a name.
_WELL_FORMED: Glob = (ONE, RUN, ":", ONE, RUN)


@dataclass(frozen=True)
class ActionClause:
    """The actions of a statement in lower case, and whether it is all the others that it means."""

    negated: bool
    patterns: frozenset[str]

    @staticmethod
    def of(statement: Statement) -> ActionClause:
        """From a statement."""
        return ActionClause(statement.not_actions, frozenset(a.lower() for a in statement.actions))


@dataclass
class _Service:
    """The patterns of one service: literals and prefixes with the clauses that have them, and the rest as globs."""

    literals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    prefixes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    globs: dict[Glob, int] = field(default_factory=lambda: defaultdict(int))

    def mask(self, action: str) -> int:
        """The clauses that match an action of this service."""
        found = self.literals.get(action, 0)
        for prefix, mask in self.prefixes.items():
            if action.startswith(prefix):
                found |= mask
        for pattern, mask in self.globs.items():
            if mask & ~found and matches(pattern, tuple(action)):
                found |= mask
        return found


def classes(clauses: Sequence[ActionClause], spelled: Iterable[str], spent: Spent) -> dict[int, str]:
    """For each set of clauses (bit i: clause i) that some action is in: such an action. Raises OutOfTime.

    `spelled` are the actions as the policies write them.
    """
    return _Partition(clauses, spelled, spent).all()


class _Partition:
    def __init__(self, clauses: Sequence[ActionClause], spelled: Iterable[str], spent: Spent) -> None:
        self._spent = spent
        self._services: dict[str, _Service] = defaultdict(_Service)
        self._everywhere: dict[Glob, int] = defaultdict(int)
        self._negated = 0
        self._always = 0
        self._found: dict[int, str] = {}
        self._spelling = {action.lower(): action for action in spelled}
        for i, clause in enumerate(clauses):
            self._negated |= clause.negated << i
            for pattern in clause.patterns:
                self._add(pattern, 1 << i)

    def _add(self, pattern: str, bit: int) -> None:
        service, colon, _ = pattern.partition(":")
        if pattern == "*":
            self._always |= bit
        elif not colon or "*" in service or "?" in service:
            self._everywhere[_glob(pattern)] |= bit
        elif "*" not in pattern and "?" not in pattern:
            self._services[service].literals[pattern] |= bit
        elif pattern.endswith("*") and "*" not in pattern[:-1] and "?" not in pattern:
            self._services[service].prefixes[pattern[:-1]] |= bit
        else:
            self._services[service].globs[_glob(pattern)] |= bit

    def all(self) -> dict[int, str]:
        """Known actions first, then those that policies name, then made up ones."""
        by_service: dict[str, list[str]] = defaultdict(list)
        for action in known.actions():
            by_service[action.split(":")[0]].append(action)
        for service in self._services:
            for action in by_service.get(service, ()):
                self._note(self._mask(service, action.lower()), action)
        for service, patterns in self._services.items():
            for action in patterns.literals:
                self._note(self._mask(service, action), self._spelling.get(action, action))
        for service, patterns in self._services.items():
            self._rest_of(service, patterns)
        self._other_services(by_service)
        return self._found

    def _note(self, mask: int, action: str) -> None:
        self._found.setdefault(mask ^ self._negated, action)

    def _mask(self, service: str, action: str) -> int:
        return self._services[service].mask(action) | self._anywhere(action)

    def _anywhere(self, action: str) -> int:
        mask = self._always
        for pattern, bits in self._everywhere.items():
            if matches(pattern, tuple(action)):
                mask |= bits
        return mask

    def _rest_of(self, service: str, patterns: _Service) -> None:
        """The actions of a service that no literal names."""
        if patterns.globs or self._everywhere:
            return self._search(service, patterns)
        for prefix in {f"{service}:", *patterns.prefixes}:
            mask = self._always
            for other, bits in patterns.prefixes.items():
                if prefix.startswith(other):
                    mask |= bits
            if mask ^ self._negated not in self._found:
                self._note(mask, self._made_up(prefix, patterns))
        return None

    def _made_up(self, prefix: str, patterns: _Service) -> str:
        """An action with that prefix which is no literal and has no longer prefix."""
        words = ("Example", "Other", "Something")
        taken = [*patterns.literals, *patterns.prefixes]
        unused = fresh(tuple(action) for action in taken)
        for word in (*words, unused + "Example"):
            action = prefix + word.lower()
            longer = any(action.startswith(other) and len(other) > len(prefix) for other in patterns.prefixes)
            if action not in patterns.literals and not longer:
                break
        return self._as_spelled(prefix) + word

    def _as_spelled(self, prefix: str) -> str:
        for action, spelled in self._spelling.items():
            if action.startswith(prefix):
                return spelled[: len(prefix)]
        return prefix

    def _search(self, service: str, patterns: _Service) -> None:
        """By one automaton of all its wildcards."""
        all_of: dict[Glob, int] = defaultdict(int, self._everywhere)
        for pattern, bits in patterns.globs.items():
            all_of[pattern] |= bits
        for prefix, bits in patterns.prefixes.items():
            all_of[(*prefix, RUN)] |= bits
        domain: Glob = (*service, ":", ONE, RUN)
        literals = [tuple(text) for text in patterns.literals]
        for mask, action in self._classes(all_of, domain, literals):
            self._note(mask | self._always, self._as_spelled(action) if action in self._spelling else action)

    def _classes(self, all_of: dict[Glob, int], domain: Glob, refused: list[Glob]) -> Iterator[tuple[int, str]]:
        """Every class of `domain` without `refused`, which are literals."""
        bits = sorted({1 << i for mask in all_of.values() for i in range(mask.bit_length()) if mask >> i & 1})
        unions = [tuple(g for g, mask in all_of.items() if mask & bit) for bit in bits]
        for found, text in Classes([(domain,), *unions]).all(self._spent):
            if not found & 1:
                continue
            mask = sum(bit for i, bit in enumerate(bits) if found >> (i + 1) & 1)
            if text in set(refused):
                inside = [union for i, union in enumerate(unions) if found >> (i + 1) & 1]
                outside = [g for i, union in enumerate(unions) if not found >> (i + 1) & 1 for g in union]
                other = find([(domain,), *inside], [*outside, *refused], self._spent)
                if other is None:
                    continue
                text = other
            yield mask, "".join(text)

    def _other_services(self, by_service: dict[str, list[str]]) -> None:
        """The services that no pattern names."""
        for service in [s for s in by_service if s not in self._services]:
            for action in by_service[service]:
                self._note(self._anywhere(action.lower()), action)
        if not self._everywhere:
            return self._note(self._always, f"{fresh(tuple(s) for s in self._services)}example:Example")
        named = [(*service, ":", RUN) for service in self._services]
        all_of = dict(self._everywhere)
        marker = 1 << max(mask.bit_length() for mask in all_of.values())
        for glob_ in named:
            all_of[glob_] = marker
        for mask, action in self._classes(all_of, _WELL_FORMED, []):
            if not mask & marker:
                self._note(mask | self._always, action)
        return None


def _glob(pattern: str) -> Glob:
    return glob(read_pattern(pattern, with_variables=False))
