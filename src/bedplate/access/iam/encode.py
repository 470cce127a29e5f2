"""IAM rules as terms of `access.second.Question`. Written apart from the prover, which it is to check.

A set of values has as many slots as there are tests of its key: each test needs at most one value to show what it says.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network

from bedplate.access.iam.document import Network, Pattern, Policy, Principal, Rules, Statement, Test, Variable, Wild
from bedplate.access.iam.known import ONE
from bedplate.access.iam.operators import family, negated
from bedplate.access.iam.patterns import read_pattern
from bedplate.access.second import Any1, Parts, Question, Term

_FIELD = Any1(run=True, in_field=True)
_ARN: Parts = ("arn:", _FIELD, ":", _FIELD, ":", _FIELD, ":", _FIELD, ":", Any1(run=True))
_ACTION: Parts = (Any1(run=False), Any1(run=True), ":", Any1(run=False), Any1(run=True))


def wider(question: Question, old: Rules, new: Rules) -> bool | None:
    """Whether `new` permits a request that `old` does not; None if it is not known.

    A key that some tests take for one value and others for several has one value here.
    """
    encoder = _Encoder(question, (old, new))
    permitted, not_permitted = encoder.permits(new), question.no(encoder.permits(old))
    return question.possible(encoder.world(), permitted, not_permitted)


class _Encoder:
    def __init__(self, question: Question, sides: Iterable[Rules]) -> None:
        self._q = question
        self._variables: dict[str, str] = {}
        tests = [t for rules in sides for s in _statements(rules) for t in s.tests if t.operator.name != "Null"]
        self._slots = Counter(t.key.lower() for t in tests)
        self._sets = {t.key.lower() for t in tests if t.operator.each} - {
            t.key.lower() for t in tests if not t.operator.each
        }
        self._sets = {key for key in self._sets if "tag/" not in key and key not in ONE}
        self._families: dict[str, set[str]] = {}
        for test in tests:
            self._families.setdefault(test.key.lower(), set()).add(family(test.operator.name))

    def permits(self, rules: Rules) -> Term:
        """No Deny applies, and an Allow of each layer does."""
        layers = [[s for policy in layer for s in policy.statements] for layer in rules.layers]
        denies = [self._applies(s) for layer in layers for s in layer if s.effect == "Deny"]
        allows = [self._q.any([self._applies(s) for s in layer if s.effect == "Allow"]) for layer in layers]
        return self._q.all([*allows, self._q.no(self._q.any(denies))])

    def world(self) -> Term:
        """What every request is like: its action, its resource, and values of the kind that their key has."""
        q = self._q
        resource = q.like(q.text("resource"), [_ARN, ("*",)])
        return q.all([q.like(q.text("action"), [_ACTION]), resource, *map(self._key, sorted(self._families))])

    def _key(self, key: str) -> Term:
        q, families = self._q, self._families[key]
        values = self._values(key)
        typed = []
        for value, _ in values:
            if "bool" in families:
                typed.append(q.like(q.text(value), [("true",), ("false",)]))
            if families == {"arn"}:
                typed.append(q.like(q.text(value), [_ARN]))
            if "address" in families:
                four, six = ((0, 2**32), (2**128, 2**129))
                typed.append(q.any([self._from(value, *four), self._from(value, *six)]))
        return q.all([*typed, q.any([there for _, there in values])])

    def _values(self, key: str) -> list[tuple[str, Term]]:
        """The names of a key's values, and whether each is there."""
        if key not in self._sets:
            return [(key, self._q.truth(True))]
        return [(f"{key}/{i}", self._q.choice(f"{key}/{i}")) for i in range(self._slots[key] + 1)]

    def _applies(self, statement: Statement) -> Term:
        q = self._q
        actions = [_parts(read_pattern(a.lower(), with_variables=False)) for a in statement.actions]
        terms = [self._unless(statement.not_actions, q.like(q.text("action"), _sorted(actions)))]
        if statement.resources is not None:
            globs = [self._parts(pattern) for pattern in statement.resources]
            terms.append(self._unless(statement.not_resources, q.like(q.text("resource"), globs)))
        if statement.principals is not None:
            terms.append(self._unless(statement.not_principals, q.any([*map(self._is, statement.principals)])))
        return q.all([*terms, *map(self._holds, statement.tests)])

    def _unless(self, negated_: bool, term: Term) -> Term:
        return self._q.no(term) if negated_ else term

    def _is(self, principal: Principal) -> Term:
        """A caller has a kind, a name of its kind, and, if it is one of AWS, an account and perhaps a role."""
        q = self._q
        if principal.kind == "*":
            return q.truth(True)
        kind = q.like(q.text("caller kind"), [(principal.kind,)])
        name = q.text("caller")
        fields = principal.name.split(":")
        if principal.kind == "AWS" and principal.name.endswith(":root") and len(fields) > 5:
            services = [("arn:", _FIELD, f":{s}::{fields[4]}:", Any1(run=True)) for s in ("iam", "sts")]
            return q.all([kind, q.like(name, services)])
        named: list[Parts] = [(principal.name,)]
        if principal.kind == "AWS" and len(fields) > 5 and fields[5].startswith("role/") and fields[2] == "iam":
            session = f"{fields[0]}:{fields[1]}:sts::{fields[4]}:assumed-role/{fields[5].removeprefix('role/')}/"
            if "/" not in fields[5].removeprefix("role/"):
                named.append((session, Any1(run=False), Any1(run=True)))
        return q.all([kind, q.like(name, named)])

    def _holds(self, test: Test) -> Term:
        q, key, operator = self._q, test.key.lower(), test.operator
        present = q.choice(f"{key} is there")
        if operator.name == "Null":
            return q.any([q.no(present) if value else present for value in test.values])
        on_absent = operator.if_exists or operator.each == "all" or (not operator.each and negated(operator.name))
        one_by_one = [(there, self._compares(test, value)) for value, there in self._values(key)]
        if operator.each == "all":
            found = q.all([q.any([q.no(there), holds]) for there, holds in one_by_one])
        else:
            found = q.any([q.all([there, holds]) for there, holds in one_by_one])
        return q.any([q.no(present), found]) if on_absent else q.all([present, found])

    def _compares(self, test: Test, value: str) -> Term:
        q, name = self._q, test.operator.name
        patterns = [v for v in test.values if isinstance(v, Pattern)]
        match family(name):
            case "text":
                found = q.like(q.text(value), [*map(self._parts, patterns)], folded=name.endswith("IgnoreCase"))
            case "arn":
                found = q.like(q.text(value), [self._parts(p, fields=True) for p in patterns])
            case "bool":
                found = q.like(q.text(value), [(str(v).lower(),) for v in test.values])
            case "binary":
                encoded = [base64.b64encode(v).decode() for v in test.values if isinstance(v, bytes)]
                found = q.like(q.text(value), [(text,) for text in encoded])
            case "address":
                found = q.any([self._inside(v, value) for v in test.values if isinstance(v, IPv4Network | IPv6Network)])
            case _:
                found = q.any([self._ordered(name, v, value) for v in test.values if isinstance(v, Decimal)])
        return self._unless(negated(name), found)

    def _ordered(self, name: str, bound: Decimal, value: str) -> Term:
        q, number, at = self._q, self._q.number(value), Fraction(bound)
        if "Less" in name:
            return q.between(number, None, at, strict=not name.endswith("Equals"))
        if "Greater" in name:
            return q.between(number, at, None, strict=not name.endswith("Equals"))
        return q.between(number, at, at)

    def _inside(self, network: Network, value: str) -> Term:
        """Version 6 addresses lie behind those of version 4 on one line of whole numbers, with room between them."""
        shift = 2**128 if network.version == 6 else 0
        return self._from(value, int(network.network_address) + shift, int(network.broadcast_address) + shift + 1)

    def _from(self, value: str, low: int, high: int) -> Term:
        """From `low` up to `high`, without it."""
        number = self._q.number(value)
        return self._q.all([
            self._q.between(number, Fraction(low), None),
            self._q.between(number, None, Fraction(high), strict=True),
        ])  # fmt: skip

    def _parts(self, pattern: Pattern, fields: bool = False) -> Parts:
        """A policy variable is a character of its own, from a range that no policy uses."""
        return _parts(pattern, fields, self._variables)


def _parts(pattern: Pattern, fields: bool = False, variables: dict[str, str] | None = None) -> Parts:
    made: list[str | Any1] = []
    colons = 0
    for part in pattern.parts:
        match part:
            case Wild():
                made.append(Any1(run=part is Wild.RUN, in_field=fields and colons < 5))
            case Variable():
                assert variables is not None
                made.append(variables.setdefault(f"{part.key},{part.default}", chr(0xE000 + len(variables))))
            case str():
                made.append(part)
                colons += part.count(":")
    return tuple(made)


def _sorted(globs: Sequence[Parts]) -> list[Parts]:
    return sorted(globs, key=repr)


def _statements(rules: Rules) -> list[Statement]:
    policies: list[Policy] = [policy for layer in rules.layers for policy in layer]
    return [statement for policy in policies for statement in policy.statements]
