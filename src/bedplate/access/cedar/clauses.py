"""Clauses of policies, read back as conditions by the types that the schema gives to their attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bedplate.access.cedar.model import NotOurs
from bedplate.access.cedar.reading import test_of
from bedplate.access.cedar.shapes import TEXT
from bedplate.access.cedar.terms import unescape
from bedplate.access.cedar.text import CEDAR_TYPES
from bedplate.access.cedar.trees import ANY, Parsed, Tree, attribute, chain, guarded, text_of
from bedplate.access.model import Claim, Condition, Kind, Present, Test

_KINDS: dict[str, Kind] = {json.dumps(cedar, sort_keys=True): kind for kind, cedar in CEDAR_TYPES.items()}


class Reader:
    """Reads clauses of the profile `gateway` under one schema. Every method raises NotOurs for another form."""

    def __init__(self, namespace: str, schema: Any) -> None:
        self._namespace = namespace
        try:
            self._actions = dict(schema[namespace]["actions"])
        except (TypeError, KeyError, ValueError) as error:
            raise NotOurs(f"the schema has no actions in {namespace}") from error

    def action(self, policy: Parsed) -> tuple[str, str]:
        """Tool and verb."""
        tool, dot, verb = self._action(policy).rpartition(".")
        if not dot or (policy.principal, policy.resource) != (ANY, ANY):
            policy.refuse("its head is not of an action alone")
        return tool, verb

    def _action(self, policy: Parsed) -> str:
        match policy.action:
            case ("ActionEq", ("EntityUid", ("EntityType", "Action", (namespace,)), str(id))):
                if namespace == self._namespace:
                    return id
        return policy.refuse("it is not of one action")

    def only(self, terms: Sequence[Tree]) -> tuple[str, ...] | None:
        """The arguments that alone may be given; None where the clause says something else."""
        match terms:
            case [("UnaryOp", "is_empty", base)] if attribute(base) == ("arguments",):
                return ()
            case [("BinaryOp", "contains_all", ("Set", values), base)] if attribute(base) == ("arguments",):
                names = [text_of(value) for value in values]
                return tuple(name for name in names if name is not None)
        return None

    def required(self, policy: Parsed, terms: Sequence[Tree]) -> Condition:
        """A condition of `where`."""
        match terms:
            case [("UnaryOp", "not", ("BinaryOp", "contains", base, ("StringLit", str(key))))]:
                if attribute(base) == ("given",):
                    return Condition(_path(key), "string", Present(False))
        names, rest = guards(terms)
        return self._condition(policy, names, rest)

    def unasked(self, policy: Parsed, terms: Sequence[Tree]) -> Condition:
        """The condition of `ask` that must not hold."""
        names, rest = guards(terms)
        match rest:
            case []:
                return Condition(names[1:], self._kind(policy, names), Present(False))
            case [("UnaryOp", "not", inner)]:
                return self._condition(policy, names, chain("and", inner))
        return policy.refuse("a clause that is no negated test")

    def _condition(self, policy: Parsed, names: tuple[str, ...], rest: Sequence[Tree]) -> Condition:
        kind = self._kind(policy, names)
        test = _claim(names, rest) or test_of(kind, names, rest)
        if test is None:
            policy.refuse(f"a clause on {'.'.join(names)} that is no test of ours")
        return Condition(names[1:], kind, test)

    def _kind(self, policy: Parsed, names: tuple[str, ...]) -> Kind:
        """The kind of the attribute `names` of the context."""
        if len(names) < 2:
            policy.refuse("a clause without a guard")
        try:
            here = self._actions[self._action(policy)]["appliesTo"]["context"]
            for name in names:
                here = here["attributes"][name]
            cedar = {key: value for key, value in here.items() if key != "required"}
            return "integer" if names[0].startswith(TEXT) else _KINDS[json.dumps(cedar, sort_keys=True)]
        except (KeyError, TypeError, AttributeError):
            policy.refuse(f"the schema has no type of ours for {'.'.join(names)}")


def guards(terms: Sequence[Tree]) -> tuple[tuple[str, ...], list[Tree]]:
    """The attribute that leading guards make sure of, and the terms behind them."""
    names: tuple[str, ...] = ()
    for at, term in enumerate(terms):
        found = guarded(term)
        if found is None or (names and found[:-1] != names):
            return names, list(terms[at:])
        names = found
    return names, []


def _claim(names: tuple[str, ...], rest: Sequence[Tree]) -> Test | None:
    match rest:
        case [guard, ("BinaryOp", "eq", left, right)] if attribute(left) == names:
            found = guarded(guard)
            if found and found[0] == "session" and attribute(right) == found:
                return Claim(found[1])
    return None


def _path(key: str) -> tuple[str, ...]:
    """The path of a pointer."""
    first, *names = key.split("/")
    if first or not names:
        raise NotOurs(f"{key!r} is no pointer to an argument")
    return tuple(map(unescape, names))
