"""Who may call: one caller of each kind that principals can tell apart. Exact: principals know no wildcard but `*`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count
from typing import TypeAlias

from bedplate.access.iam.document import Caller, Principal
from bedplate.access.iam.known import ACCOUNT, OTHER_ACCOUNT

# The principals of a statement, and whether it is all others that it means.
Principals: TypeAlias = tuple[bool, frozenset[Principal]]
_ARN = re.compile(r"arn:(?P<partition>[^:]*):(?:iam|sts)::(?P<account>\d+):(?P<rest>.*)", re.DOTALL)


def callers(clauses: Iterable[Principals]) -> tuple[Caller, ...]:
    """Callers among which every combination of clauses that is possible occurs; those nobody named come first."""
    named = sorted({p for _, principals in clauses for p in principals}, key=lambda p: (p.kind, p.name))
    names = {p.name for p in named}
    accounts = sorted({found["account"] for name in names if (found := _ARN.fullmatch(name))})
    fresh = next(a for a in chain((OTHER_ACCOUNT, ACCOUNT), _more()) if a not in accounts)
    made = [_unnamed(f"arn:aws:iam::{fresh}:role/partner", names), Caller("Service", _host(names))]
    for account in accounts:
        made.append(_unnamed(f"arn:aws:iam::{account}:role/example", names))
    for principal in named:
        if principal.kind != "*":
            made.append(Caller(principal.kind, principal.name))
        if (found := _ARN.fullmatch(principal.name)) and found["rest"].startswith("role/"):
            role = principal.name.rpartition("/")[2]
            session = f"arn:{found['partition']}:sts::{found['account']}:assumed-role/{role}/session"
            if principal.name == f"arn:{found['partition']}:iam::{found['account']}:role/{role}":
                made.append(Caller("AWS", _free(session, names)))
    made += [Caller("Federated", _free("accounts.google.com", names)), Caller("CanonicalUser", _free("79a5", names))]
    return (*dict.fromkeys(made), Caller("Anonymous"))


def _more() -> Iterable[str]:
    return (f"{n:012d}" for n in count(777788889999))


def _host(names: set[str]) -> str:
    choices = ("lambda", "ec2", "ecs-tasks", "events")
    hosts = [f"{word}.amazonaws.com" for word in choices]
    return next((h for h in hosts if h not in names), None) or _free("other.amazonaws.com", names)


def _unnamed(arn: str, names: set[str]) -> Caller:
    return Caller("AWS", _free(arn, names))


def _free(name: str, names: set[str]) -> str:
    while name in names:
        name += "-2"
    return name


def named_by(clause: Principals, caller: Caller) -> bool:
    """Whether a clause means a caller."""
    negated, principals = clause
    return any(_means(principal, caller) for principal in principals) != negated


def _means(principal: Principal, caller: Caller) -> bool:
    if principal.kind == "*":
        return True
    if principal.kind != caller.kind:
        return False
    if principal.name == caller.name:
        return True
    whole, called = _ARN.fullmatch(principal.name), _ARN.fullmatch(caller.name)
    if principal.kind != "AWS" or whole is None or called is None or whole["account"] != called["account"]:
        return False
    if whole["rest"] == "root":
        return True
    session = called["rest"].split("/")
    return (
        len(session) == 3
        and session[0] == "assumed-role"
        and whole["rest"] == f"role/{session[1]}"
        and whole["partition"] == called["partition"]
        and ":sts::" in caller.name
        and ":iam::" in principal.name
    )
