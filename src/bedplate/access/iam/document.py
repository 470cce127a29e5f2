"""IAM policies as frozen types: what was read of a document. `reading` makes them; provers and evaluators use them.

Meaning follows the IAM user guide ("IAM JSON policy reference" and "Policy evaluation logic").
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

Effect: TypeAlias = Literal["Allow", "Deny"]
Network: TypeAlias = IPv4Network | IPv6Network


class Wild(Enum):
    """A wildcard: any run of characters (also none), or exactly one."""

    RUN = "*"
    ONE = "?"


@dataclass(frozen=True)
class Variable:
    """A policy variable such as `${aws:username}`: its context key in lower case, and its default if it names one."""

    key: str
    default: str | None = None


@dataclass(frozen=True)
class Pattern:
    """A text with wildcards and policy variables: as written, and its parts in order."""

    text: str
    parts: tuple[str | Wild | Variable, ...]

    @property
    def literal(self) -> str | None:
        """The one text that it stands for, if it has neither wildcard nor variable."""
        if not self.parts:
            return ""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], str) else None

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The policy variables in it."""
        return tuple(part for part in self.parts if isinstance(part, Variable))


@dataclass(frozen=True)
class Operator:
    """A condition operator: its name without decoration, the set operator before it and whether IfExists follows it."""

    name: str
    each: Literal["", "any", "all"] = ""
    if_exists: bool = False

    def __str__(self) -> str:
        before = {"": "", "any": "ForAnyValue:", "all": "ForAllValues:"}[self.each]
        return before + self.name + ("IfExists" if self.if_exists else "")


Value: TypeAlias = Pattern | Decimal | Network | bytes | bool


@dataclass(frozen=True)
class Test:
    """One key under one operator. `values` are alternatives; dates are seconds since 1970 in UTC."""

    operator: Operator
    key: str
    values: tuple[Value, ...]


PrincipalKind: TypeAlias = Literal["*", "AWS", "Service", "Federated", "CanonicalUser"]


@dataclass(frozen=True)
class Principal:
    """Who a policy names. Kind `*` is everybody, whatever the name; an account is `arn:<partition>:iam::<id>:root`."""

    kind: PrincipalKind
    name: str


@dataclass(frozen=True)
class Statement:
    """One statement. `None` for resources or principals: the statement does not name any, and so applies to all."""

    effect: Effect
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[Pattern, ...] | None
    not_resources: bool
    principals: tuple[Principal, ...] | None
    not_principals: bool
    tests: tuple[Test, ...]
    sid: str
    place: str


@dataclass(frozen=True)
class Policy:
    """A policy document."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Rules:
    """What decides a request: policies that add up, all cut down to the boundary where there is one.

    Identity policies with their permission boundary, or the trust or resource policy of one resource.
    """

    policies: tuple[Policy, ...]
    boundary: tuple[Policy, ...] | None = None

    @property
    def layers(self) -> tuple[tuple[Policy, ...], ...]:
        """Sets of policies: a request needs an Allow in each of them."""
        return (self.policies,) if self.boundary is None else (self.policies, self.boundary)


@dataclass(frozen=True)
class Caller:
    """Who makes a request. Name: an ARN for `AWS`, a host for `Service`, a provider for `Federated`, "" for nobody."""

    kind: Literal["AWS", "Service", "Federated", "CanonicalUser", "Anonymous"]
    name: str = ""


@dataclass(frozen=True)
class Request:
    """One request. `context` holds each condition key with its values, sorted by key; a key not in it is absent."""

    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()
    caller: Caller | None = None


class Unreadable(Exception):
    """A policy document holds what has no known meaning. `place` is where, such as `Statement[2].Condition`."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}" if place else why)
        self.place = place
        self.why = why
