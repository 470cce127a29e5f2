"""IAM policies of roles read back into what the scopes say, to show that both are the same. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedplate.access.iam.document import Pattern, Statement, Test, Unreadable, Wild
from bedplate.access.iam.reading import read_policy
from bedplate.access.model import ScopeSet, Subset, Texts
from bedplate.access.roleplaces import Bucket, Place, Table, fixed_parts
from bedplate.access.roles import used
from bedplate.access.verbs import WRITING, verb_of


@dataclass(frozen=True)
class Allowed:
    """One thing that the role may do: a verb on one resource, whose keys and attributes are among the globs."""

    verb: str
    resource: str
    keys: frozenset[str] | None = None
    attributes: frozenset[str] | None = None
    through: str = ""

    def __str__(self) -> str:
        lists = (("keys", self.keys), ("attributes", self.attributes))
        tests = [f"{name} {', '.join(sorted(globs))}" for name, globs in lists if globs is not None]
        return " ".join((self.verb, self.resource, *tests, *([f"through {self.through}"] if self.through else [])))


def validate(scopes: ScopeSet, place: Place, document: Mapping[str, Any] | str) -> tuple[str, ...]:
    """How the policy differs from the scopes, in words; empty where it allows exactly what they do but for `ask`,
    `limit` and what else the compiler listed as left over."""
    parsed = json.loads(document) if isinstance(document, str) else document
    try:
        found = frozenset(read(parsed))
    except Unreadable as error:
        return (f"the policy is of another shape: {error}",)
    asked = frozenset(wanted(scopes, place))
    missing = [f"the role may not: {one}" for one in sorted(map(str, asked - found))]
    return (*missing, *(f"the role may: {one}, which no scope says" for one in sorted(map(str, found - asked))))


def wanted(scopes: ScopeSet, place: Place) -> Iterator[Allowed]:
    """What the scopes, models and secrets of one place come to."""
    for grant, source in used(scopes, place):
        key = grant.pattern.removeprefix(f"{source.name}/")
        match source:
            case Bucket(bucket=bucket, prefix=prefix):
                yield Allowed(f"s3 {grant.verb}", f"arn:{place.partition}:s3:::{bucket}/{prefix}{key}")
            case Table(table=table):
                arn = f"arn:{place.partition}:dynamodb:{place.region}:{place.account}:table/{table}"
                lists = {
                    condition.path: frozenset(condition.test.globs)
                    for condition in grant.conditions
                    if isinstance(condition.test, Texts | Subset)
                }
                yield Allowed(f"dynamodb {grant.verb}", arn, lists.get(("key",)), lists.get(("attributes",)))
    for verb, resource, through in fixed_parts(place):
        yield Allowed(verb, resource, through=through)


def read(document: Mapping[str, Any]) -> Iterator[Allowed]:
    """What a document of the shape that `roles` writes allows. Raises Unreadable for any other."""
    for statement in read_policy(document).statements:
        yield from _allowed(statement)


def _allowed(statement: Statement) -> Iterator[Allowed]:
    found = verb_of(frozenset(statement.actions))
    if statement.effect != "Allow" or statement.not_actions or statement.not_resources or found is None:
        raise Unreadable(statement.place, "it is no Allow of the actions of one verb")
    service, verb = found
    tests = {str(test.operator) + " " + test.key.lower(): test for test in statement.tests}
    resources = [_text(pattern, statement) for pattern in statement.resources or ()]
    name = f"{service} {verb}"
    match service:
        case "s3" if verb == "list":
            prefixes = _globs(tests.pop("StringLike s3:prefix", None), statement) or frozenset()
            made = [Allowed(name, f"{bucket}/{prefix}") for bucket in resources for prefix in prefixes]
        case "dynamodb":
            keys = _each(tests, "dynamodb:leadingkeys", statement)
            attributes = _each(tests, "dynamodb:attributes", statement)
            if attributes is not None or verb in WRITING:
                _named(tests, verb, statement)
            made = [Allowed(name, resource, keys, attributes) for resource in resources]
        case "bedrock":
            through = _globs(tests.pop("StringEquals bedrock:inferenceprofilearn", None), statement) or {""}
            made = [Allowed(name, resource, through=next(iter(through))) for resource in resources]
        case _:
            made = [Allowed(name, resource) for resource in resources]
    if tests:
        raise Unreadable(statement.place, f"it has a condition of another shape: {', '.join(tests)}")
    yield from made


def _each(tests: dict[str, Test], key: str, statement: Statement) -> frozenset[str] | None:
    """The globs that every value of a key must match, of which there must be one."""
    found = _globs(tests.pop(f"ForAllValues:StringLike {key}", None), statement)
    there = tests.pop(f"Null {key}", None)
    if (found is None) != (there is None) or (there is not None and there.values != (False,)):
        raise Unreadable(statement.place, f"`{key}` may be absent")
    return found


def _named(tests: dict[str, Test], verb: str, statement: Statement) -> None:
    wanted: tuple[str, set[str]] = {
        "get": ("dynamodb:select", {"SPECIFIC_ATTRIBUTES"}),
        "query": ("dynamodb:select", {"SPECIFIC_ATTRIBUTES"}),
        "update": ("dynamodb:returnvalues", {"NONE", "UPDATED_OLD", "UPDATED_NEW"}),
    }.get(verb, ("dynamodb:returnvalues", {"NONE"}))
    key, values = wanted
    if _globs(tests.pop(f"StringEqualsIfExists {key}", None), statement) != frozenset(values):
        raise Unreadable(statement.place, "it may return attributes that were not named")


def _globs(test: Test | None, statement: Statement) -> frozenset[str] | None:
    if test is None:
        return None
    return frozenset(_text(value, statement) for value in test.values if isinstance(value, Pattern))


def _text(pattern: Pattern, statement: Statement) -> str:
    """A pattern as a glob of scopes. A single-character wildcard, which only secrets have, stays `?` there."""
    made: list[str] = []
    for part in pattern.parts:
        match part:
            case Wild.RUN:
                made.append("*")
            case Wild.ONE if ":secret:" in pattern.text:
                made.append("?")
            case str() if "*" not in part:
                made.append(part)
            case _:
                raise Unreadable(statement.place, f"`{pattern.text}` is no glob of a scope")
    return "".join(made)
