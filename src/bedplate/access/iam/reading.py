"""Reads policy documents (as parsed JSON) into `document` types. What it cannot read it names; it skips nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from bedplate.access.iam.document import (
    Effect,
    Pattern,
    Policy,
    Principal,
    PrincipalKind,
    Rules,
    Statement,
    Test,
    Unreadable,
)
from bedplate.access.iam.operators import read_operator, read_value
from bedplate.access.iam.patterns import read_pattern

Kind: TypeAlias = Literal["identity", "resource", "trust"]
WITH_VARIABLES = "2012-10-17"
_VERSIONS = (WITH_VARIABLES, "2008-10-17", None)
_POLICY_KEYS = {"Version", "Id", "Statement"}
_STATEMENT_KEYS = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
}  # fmt: skip
_KINDS: tuple[PrincipalKind, ...] = ("AWS", "Service", "Federated", "CanonicalUser")
_ACCOUNT = re.compile(r"(?:\d+|arn:(?P<partition>aws[a-z-]*):iam::(?P<id>\d+):root)")


def read_rules(policies: Iterable[Any], boundary: Iterable[Any] | None = None, kind: Kind = "identity") -> Rules:
    """Read documents that are in force together, and their permission boundary. Raises Unreadable."""
    limit = None if boundary is None else tuple(read_policy(document) for document in boundary)
    return Rules(tuple(read_policy(document, kind) for document in policies), limit)


def read_policy(document: Any, kind: Kind = "identity") -> Policy:
    """Read one document. Raises Unreadable with the place in it."""
    if not isinstance(document, Mapping):
        raise Unreadable("", "a policy is a JSON object")
    _known(document, _POLICY_KEYS, "")
    version = document.get("Version")
    if version not in _VERSIONS:
        raise Unreadable("Version", f"{version!r} is no version of the policy language")
    statements = document.get("Statement")
    listed = statements if isinstance(statements, list) else [statements]
    with_variables = version == WITH_VARIABLES
    return Policy(tuple(_statement(s, f"Statement[{i}]", kind, with_variables) for i, s in enumerate(listed)))


def _statement(statement: Any, place: str, kind: Kind, with_variables: bool) -> Statement:
    if not isinstance(statement, Mapping):
        raise Unreadable(place, "a statement is a JSON object")
    _known(statement, _STATEMENT_KEYS, place)
    effect = _effect(statement.get("Effect"), place)
    actions, not_actions = _either(statement, "Action", place)
    if actions is None:
        raise Unreadable(place, "needs Action or NotAction")
    resources, not_resources = _either(statement, "Resource", place)
    principals, not_principals = _principals(statement, place)
    _fits(kind, resources, principals, place)
    return Statement(
        effect,
        tuple(_action(a, place) for a in actions),
        not_actions,
        None if resources is None else tuple(_placed(place, _resource, r, with_variables) for r in resources),
        not_resources,
        principals,
        not_principals,
        _tests(statement.get("Condition", {}), f"{place}.Condition", with_variables),
        str(statement.get("Sid", "")),
        place,
    )


def _placed(place: str, read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` makes; where it cannot, the place is named as well."""
    try:
        return read(*arguments)
    except Unreadable as problem:
        raise Unreadable(place, problem.why) from None


def _known(mapping: Mapping[str, Any], keys: set[str], place: str) -> None:
    for key in mapping:
        if key not in keys:
            raise Unreadable(place, f"{key!r} is no part of the policy language")


def _effect(effect: Any, place: str) -> Effect:
    if effect == "Allow":
        return "Allow"
    if effect == "Deny":
        return "Deny"
    raise Unreadable(f"{place}.Effect", f"{effect!r} is neither Allow nor Deny")


def _either(statement: Mapping[str, Any], name: str, place: str) -> tuple[list[str] | None, bool]:
    """The texts under `name` or under its Not form, and which one it is; None where there is neither."""
    negated = f"Not{name}"
    if name in statement and negated in statement:
        raise Unreadable(place, f"has both {name} and {negated}")
    if name not in statement and negated not in statement:
        return None, False
    found = name if name in statement else negated
    return _texts(statement[found], f"{place}.{found}"), found == negated


def _texts(value: Any, place: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in listed):
        raise Unreadable(place, "takes texts")
    return listed


def _action(action: str, place: str) -> str:
    if action != "*" and ":" not in action:
        raise Unreadable(place, f"the action {action!r} names no service")
    return action


def _resource(text: str, with_variables: bool) -> Pattern:
    """An ARN with fewer than six fields is filled up with `*`, as AWS does when it stores one."""
    if text.startswith("arn:") and text.count(":") < 5 and not text.endswith("*"):
        text += ":*" * (5 - text.count(":"))
    return read_pattern(text, with_variables)


def _fits(kind: Kind, resources: Any, principals: Any, place: str) -> None:
    if kind == "identity" and principals is not None:
        raise Unreadable(place, "an identity policy names no principal")
    if kind == "identity" and resources is None:
        raise Unreadable(place, "needs Resource or NotResource")
    if kind != "identity" and principals is None:
        raise Unreadable(place, "needs Principal or NotPrincipal")
    if kind == "trust" and resources is not None:
        raise Unreadable(place, "a trust policy names no resource")


def _principals(statement: Mapping[str, Any], place: str) -> tuple[tuple[Principal, ...] | None, bool]:
    named = [name for name in ("Principal", "NotPrincipal") if name in statement]
    if len(named) == 2:
        raise Unreadable(place, "has both Principal and NotPrincipal")
    if not named:
        return None, False
    place, value = f"{place}.{named[0]}", statement[named[0]]
    if value == "*":
        return (Principal("*", "*"),), named[0] == "NotPrincipal"
    if not isinstance(value, Mapping):
        raise Unreadable(place, 'is "*" or an object')
    found = [_principal(kind, name, place) for kind in value for name in _texts(value[kind], f"{place}.{kind}")]
    return tuple(found), named[0] == "NotPrincipal"


def _principal(kind: str, name: str, place: str) -> Principal:
    known = next((k for k in _KINDS if k == kind), None)
    if known is None:
        raise Unreadable(place, f"{kind!r} is no kind of principal")
    if known == "AWS" and name == "*":
        return Principal("*", "*")
    if "*" in name or "?" in name or "${" in name:
        raise Unreadable(place, f"a principal takes no wildcard: {name!r}")
    if known == "AWS" and (account := _ACCOUNT.fullmatch(name)):
        partition = account["partition"] or "aws"
        return Principal("AWS", f"arn:{partition}:iam::{account['id'] or name}:root")
    return Principal(known, name)


def _tests(condition: Any, place: str, with_variables: bool) -> tuple[Test, ...]:
    if not isinstance(condition, Mapping):
        raise Unreadable(place, "is an object")
    tests: list[Test] = []
    for operator, keys in condition.items():
        at = f"{place}.{operator}"
        known = _placed(at, read_operator, operator)
        if not isinstance(keys, Mapping):
            raise Unreadable(at, "is an object")
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            read = tuple(_placed(f"{at}.{key}", read_value, known.name, value, with_variables) for value in listed)
            tests.append(Test(known, key, read))
    return tuple(tests)
