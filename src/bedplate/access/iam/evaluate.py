"""Decides one request under IAM rules. Written apart from the prover, whose witnesses it checks.

Where AWS documents no meaning it is said here: a request that gives several values to a key which a plain operator
reads matches if any of them does. A policy variable whose key the request lacks, with no default, matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal, TypeAlias

from bedplate.access.iam.document import (
    Caller,
    Pattern,
    Policy,
    Principal,
    Request,
    Rules,
    Statement,
    Test,
    Unreadable,
    Value,
    Variable,
    Wild,
)
from bedplate.access.iam.operators import family, negated, read_date, read_number

Verdict: TypeAlias = Literal["allow", "deny", "implicit"]
_Context: TypeAlias = Mapping[str, tuple[str, ...]]
_SESSION = re.compile(r"arn:(?P<partition>[^:]*):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/[^/]+")
_ACCOUNT = re.compile(r"arn:[^:]*:(?:iam|sts)::(?P<account>\d+):.*", re.DOTALL)


def evaluate(rules: Rules, request: Request) -> Verdict:
    """A Deny that applies denies; otherwise each layer needs an Allow that applies; otherwise nothing was said."""
    context = {key.lower(): values for key, values in request.context}
    effects = [{s.effect for s in _statements(layer) if _applies(s, request, context)} for layer in rules.layers]
    if any("Deny" in found for found in effects):
        return "deny"
    return "allow" if all("Allow" in found for found in effects) else "implicit"


def _statements(policies: Iterable[Policy]) -> Iterable[Statement]:
    return (statement for policy in policies for statement in policy.statements)


def _applies(statement: Statement, request: Request, context: _Context) -> bool:
    return (
        _names_action(statement, request.action)
        and _names_resource(statement, request.resource, context)
        and _names_caller(statement, request.caller)
        and all(_holds(test, context) for test in statement.tests)
    )


def about(rules: Rules, action: str) -> Rules:
    """The same rules without the statements that say nothing of an action."""

    def left(policies: Iterable[Policy]) -> tuple[Policy, ...]:
        return tuple(Policy(tuple(s for s in p.statements if _names_action(s, action))) for p in policies)

    return Rules(left(rules.policies), None if rules.boundary is None else left(rules.boundary))


def _names_action(statement: Statement, action: str) -> bool:
    return any(_action(pattern).fullmatch(action) for pattern in statement.actions) != statement.not_actions


@lru_cache(maxsize=65536)
def _action(pattern: str) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(ch) or re.escape(ch) for ch in pattern), re.IGNORECASE | re.DOTALL)


def _names_resource(statement: Statement, resource: str, context: _Context) -> bool:
    if statement.resources is None:
        return True
    return any(_like(p, resource, context) for p in statement.resources) != statement.not_resources


def _names_caller(statement: Statement, caller: Caller | None) -> bool:
    if statement.principals is None:
        return True
    return any(_is(p, caller) for p in statement.principals) != statement.not_principals


def _is(principal: Principal, caller: Caller | None) -> bool:
    """A principal names a caller, the account or the role that a caller belongs to, or everybody."""
    if principal.kind == "*":
        return True
    if caller is None or caller.kind != principal.kind:
        return False
    if principal.name == caller.name:
        return True
    if principal.kind != "AWS":
        return False
    if principal.name.endswith(":root"):
        account = _ACCOUNT.fullmatch(caller.name)
        return account is not None and account["account"] == principal.name.split(":")[4]
    return principal.name in _roles(caller.name)


def _roles(name: str) -> tuple[str, ...]:
    session = _SESSION.fullmatch(name)
    return (f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}",) if session else ()


def _holds(test: Test, context: _Context) -> bool:
    given = context.get(test.key.lower())
    name = test.operator.name
    if name == "Null":
        return (given is None) in test.values
    if given is None:
        return test.operator.if_exists or test.operator.each == "all" or (not test.operator.each and negated(name))
    if test.operator.each == "any":
        return any(_compares(test, value, context) for value in given)
    if test.operator.each == "all" or negated(name):
        return all(_compares(test, value, context) for value in given)
    return any(_compares(test, value, context) for value in given)


def _compares(test: Test, given: str, context: _Context) -> bool:
    """One value of the request against the values of the test, which are alternatives."""
    name = test.operator.name
    return any(_equal(name, value, given, context) for value in test.values) != negated(name)


def _equal(name: str, value: Value, given: str, context: _Context) -> bool:
    """What an operator asks for, before its Not."""
    match family(name):
        case "text":
            return _like(value, given, context, folded=name.endswith("IgnoreCase"))
        case "arn":
            return _like(value, given, context, fields=True)
        case "number" | "date" as kind:
            return _ordered(name, value, given, kind)
        case "address":
            return _inside(value, given)
        case "binary":
            import base64

            return base64.b64encode(value).decode() == given if isinstance(value, bytes) else False
        case _:
            return given.lower() == str(value).lower()


def _ordered(name: str, value: Value, given: str, kind: str) -> bool:
    assert isinstance(value, Decimal)
    try:
        number = read_number(given) if kind == "number" else read_date(given)
    except Unreadable:
        return False
    order = name.removeprefix("Numeric").removeprefix("Date").removeprefix("Not")
    return {
        "Equals": number == value,
        "LessThan": number < value,
        "LessThanEquals": number <= value,
        "GreaterThan": number > value,
        "GreaterThanEquals": number >= value,
    }[order]


def _inside(value: Value, given: str) -> bool:
    try:
        address = ip_address(given)
    except ValueError:
        return False
    return not isinstance(value, Pattern | Decimal | bytes | bool) and address in value


def _like(pattern: Value, text: str, context: _Context, *, folded: bool = False, fields: bool = False) -> bool:
    assert isinstance(pattern, Pattern)
    expression = _expression(pattern, context, fields)
    flags = re.DOTALL | (re.IGNORECASE if folded else 0)
    return expression is not None and re.fullmatch(expression, text, flags) is not None


def _expression(pattern: Pattern, context: _Context, fields: bool) -> str | None:
    """A regular expression; in an ARN by fields no wildcard crosses a colon before the sixth field."""
    made, colons = "", 0
    for part in pattern.parts:
        any_one = "[^:]" if fields and colons < 5 else "."
        match part:
            case Wild.RUN:
                made += any_one + "*"
            case Wild.ONE:
                made += any_one
            case Variable():
                value = _value(part, context)
                if value is None:
                    return None
                made += re.escape(value)
            case str():
                made += re.escape(part)
                colons += part.count(":")
    return made


def _value(variable: Variable, context: _Context) -> str | None:
    given = context.get(variable.key)
    return given[0] if given and len(given) == 1 else variable.default if given is None else None
