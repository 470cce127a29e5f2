"""The IAM role of one agent in one stage: what its data scopes, model and secrets need, and nothing else. Pure.

JSON has no comments, so each statement's Sid is made of its grant's id, each statement stands on a line of its own
whose `Line` knows the manifest's line, and a second artefact says the same as JSON. All tools of the agent share the
role: which of them touches what is for the sandbox to keep apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bedplate.access.artefacts import Artefact, Compiled, Line, Remainder
from bedplate.access.model import Condition, Grant, ScopeSet, Subset, Texts
from bedplate.access.roleplaces import PROFILE, Bucket, Place, Table, line_of, misplaced
from bedplate.access.verbs import ACTIONS, WRITING
from bedplate.problems import BedplateError, Problem

INLINE_LIMIT: Final = 10_240
"""Characters that the inline policies of one role may have together, white space not counted."""
MANAGED_LIMIT: Final = 6_144
"""Characters of a managed policy, such as a permission boundary, white space not counted."""
SERVICES: Final = {"ecs": "ecs-tasks.amazonaws.com", "bedrock-agentcore": "bedrock-agentcore.amazonaws.com"}
"""What may take a role on, by the service of the ARN in whose name it does."""
_MEDIA = "application/json"


@dataclass(frozen=True)
class Statement:
    """One Allow of the document, with what it is made of."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Mapping[str, Any]]
    grant: str = ""
    where: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """As it stands in the policy."""
        body = {"Sid": self.sid, "Effect": "Allow", "Action": list(self.actions), "Resource": list(self.resources)}
        return {**body, **({"Condition": self.condition} if self.condition else {})}


def compile(scopes: ScopeSet, place: Place) -> Compiled:
    """The role's policy, its provenance and its trust policy.

    Raises BedplateError: BP852 for what has no exact form in IAM, BP851 where the policy is too large.
    """
    made, left = _statements(scopes, place)
    own = (_policy(f"{place.name}.policy.json", made, INLINE_LIMIT), _provenance(place, made)) if made else ()
    return Compiled((*own, trust(place)), left)


def boundary(ceiling: ScopeSet, place: Place) -> Artefact:
    """The permission boundary: what no role of this agent has beyond, whatever its own policy says.

    `ceiling` is the organisation's, for this agent's tools (`ceiling.under`). Its conditions that IAM cannot hold are
    left out, so that the boundary never refuses what the ceiling allows.
    """
    made, _ = _statements(ceiling, place)
    name = f"{place.name}.boundary.json"
    nothing = {"Sid": "Nothing", "Effect": "Deny", "Action": "*", "Resource": "*"}
    return _policy(name, made, MANAGED_LIMIT) if made else Artefact("iam", name, _lines([(nothing, "", "")]), _MEDIA)


def trust(place: Place) -> Artefact:
    """Who may take the role on: the one service, acting for this account and region."""
    source = f"arn:{place.partition}:{place.runs}:{place.region}:{place.account}:*"
    statement = {
        "Sid": "Runs",
        "Effect": "Allow",
        "Principal": {"Service": SERVICES[place.runs]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account}, "ArnLike": {"aws:SourceArn": source}},
    }
    return Artefact("iam", f"{place.name}.trust.json", _lines([(statement, "", "")]), _MEDIA)


def _statements(scopes: ScopeSet, place: Place) -> tuple[list[Statement], tuple[Remainder, ...]]:
    problems = list(misplaced(place))
    grouped: dict[tuple[Grant, Bucket | Table, str], list[str]] = {}
    left: list[Remainder] = []
    for grant, source in used(scopes, place):
        problems += _faults(grant, source)
        same = replace(grant, pattern="", where="", tool="", ask=None, budgets=(), only=None)
        keys = grouped.setdefault((same, source, grant.where), [])
        keys.append(grant.pattern.removeprefix(f"{source.name}/"))
        left += _remainder(grant, source)
    if problems:
        raise BedplateError(*problems)
    fixed = [*_models(place), *_secrets(place)]
    taken = {statement.sid for statement in fixed}
    made = [_statement(grant, source, keys, where, place, taken) for (grant, source, where), keys in grouped.items()]
    return [*made, *fixed], tuple(dict.fromkeys(left))


def used(scopes: ScopeSet, place: Place) -> Iterator[tuple[Grant, Bucket | Table]]:
    """The grants over data that this role reaches, each with its source."""
    for grant in scopes.grants:
        for source in place.sources:
            if grant.tool in source.tools and grant.pattern.startswith(f"{source.name}/"):
                yield grant, source


def _statement(
    grant: Grant, source: Bucket | Table, keys: Sequence[str], where: str, place: Place, taken: set[str]
) -> Statement:
    sid = _sid(grant, taken)
    actions = ACTIONS[source.service][grant.verb]
    match source:
        case Bucket() if grant.verb == "list":
            condition = {"StringLike": {"s3:prefix": [escaped(source.prefix + key) for key in keys]}}
            return Statement(sid, actions, (_bucket(source, place),), condition, grant.id, where)
        case Bucket():
            resources = tuple(f"{_bucket(source, place)}/{escaped(source.prefix + key)}" for key in keys)
            return Statement(sid, actions, resources, {}, grant.id, where)
        case Table():
            return Statement(sid, actions, (_table(source, place),), _tests(grant), grant.id, where)


def escaped(glob: str) -> str:
    """A glob as IAM writes it: `*` is its wildcard too; its `?` and `$` are escaped, since a scope means them."""
    return "".join({"?": "${?}", "$": "${$}"}.get(ch, ch) for ch in glob)


def _bucket(source: Bucket, place: Place) -> str:
    return f"arn:{place.partition}:s3:::{source.bucket}"


def _table(source: Table, place: Place) -> str:
    return f"arn:{place.partition}:dynamodb:{place.region}:{place.account}:table/{source.table}"


def _tested(grant: Grant, source: Bucket | Table) -> Iterator[Condition]:
    """The conditions that IAM can hold: leading keys and attributes of DynamoDB, as texts."""
    for condition in grant.conditions if isinstance(source, Table) else ():
        match condition:
            case Condition(("key",), _, Texts()) | Condition(("attributes",), _, Subset()):
                yield condition
            case _:
                pass


def _tests(grant: Grant) -> dict[str, dict[str, Any]]:
    """An empty set of keys or attributes passes ForAllValues, so that there must be some (`Null`)."""
    found: dict[str, dict[str, Any]] = {}
    for condition in grant.conditions:
        match condition:
            case Condition(("key",), _, Texts(globs)):
                found.setdefault("ForAllValues:StringLike", {})["dynamodb:LeadingKeys"] = [escaped(g) for g in globs]
                found.setdefault("Null", {})["dynamodb:LeadingKeys"] = "false"
            case Condition(("attributes",), _, Subset(globs)):
                found.setdefault("ForAllValues:StringLike", {})["dynamodb:Attributes"] = [escaped(g) for g in globs]
                found.setdefault("Null", {})["dynamodb:Attributes"] = "false"
                found |= _named(grant.verb)
            case _:
                pass
    # What only writes must not get back what stood there, whatever attributes it may write.
    return found | _named(grant.verb) if grant.verb in WRITING else found


def _named(verb: str) -> dict[str, dict[str, Any]]:
    """What keeps a request from getting attributes that it does not name."""
    match verb:
        case "get" | "query":
            return {"StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}}
        case "update":
            return {"StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]}}
        case _:
            return {"StringEqualsIfExists": {"dynamodb:ReturnValues": "NONE"}}


def _models(place: Place) -> Iterator[Statement]:
    """A model by its ARN; through an inference profile, the profile, and its models by way of that profile only."""
    invoke = ACTIONS["bedrock"]["invoke"]
    for number, (model, where) in enumerate(place.models):
        base = f"arn:{place.partition}:bedrock"
        if found := PROFILE.fullmatch(model):
            profile = f"{base}:{place.region}:{place.account}:inference-profile/{model}"
            yield Statement(f"Profile{number}", invoke, (profile,), {}, "", where)
            through = {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
            yield Statement(
                f"Model{number}", invoke, (f"{base}:*::foundation-model/{found['model']}",), through, "", where
            )
        else:
            yield Statement(
                f"Model{number}", invoke, (f"{base}:{place.region}::foundation-model/{model}",), {}, "", where
            )


def _secrets(place: Place) -> Iterator[Statement]:
    """AWS adds a hyphen and six characters of its own to the name of a secret."""
    for number, (name, where) in enumerate(place.secrets):
        arn = f"arn:{place.partition}:secretsmanager:{place.region}:{place.account}:secret:{escaped(name)}-??????"
        yield Statement(f"Secret{number}", ACTIONS["secretsmanager"]["read"], (arn,), {}, "", where)


def _faults(grant: Grant, source: Bucket | Table) -> Iterator[Problem]:
    key = grant.pattern.removeprefix(f"{source.name}/")
    if grant.verb not in ACTIONS[source.service]:
        yield _refused(grant, f"{source.service} has no verb {grant.verb}")
    if isinstance(source, Table) and key not in {source.table, "*"}:
        yield _refused(grant, f"`{key}` is not the table `{source.table}`")
    tests = [condition.path for condition in _tested(grant, source)]
    if len(set(tests)) < len(tests):
        yield _refused(grant, "one key or attribute list cannot have two conditions")
    if any(not c.test.globs for c in _tested(grant, source) if isinstance(c.test, Texts | Subset)):
        yield _refused(grant, "an empty list of keys or attributes matches nothing")


def _refused(grant: Grant, what: str) -> Problem:
    summary = f"scope `{grant.id}` of `{grant.tool}` cannot be compiled to IAM: {what}"
    return Problem("BP852", summary, line_of(grant.where), fix="change the scope")


def _remainder(grant: Grant, source: Bucket | Table) -> Iterator[Remainder]:
    held = set(_tested(grant, source))
    if grant.ask:
        yield Remainder(grant.id, "ask", "IAM cannot ask a person", grant.where)
    if grant.budgets:
        yield Remainder(grant.id, "limit", "IAM keeps no count of calls or amounts", grant.where)
    if grant.only is not None:
        yield Remainder(grant.id, "only", "IAM sees requests to the service, not the arguments of a call", grant.where)
    for condition in grant.conditions:
        if condition not in held:
            reason = "the role's sessions carry no such claim, and the service tells IAM no such value"
            yield Remainder(grant.id, ".".join(condition.path), reason, grant.where)


def _sid(grant: Grant, taken: set[str]) -> str:
    """The grant's id in the letters and digits that a Sid may have, told apart from others by a number."""
    base = re.sub(r"[^A-Za-z0-9]", "", grant.id) or "Grant"
    name = next(name for n in range(len(taken) + 1) if (name := f"{base}{n or ''}") not in taken)
    taken.add(name)
    return name


def _policy(name: str, statements: Sequence[Statement], limit: int) -> Artefact:
    lines = _lines([(statement.document, statement.grant, statement.where) for statement in statements])
    size = sum(len(re.sub(r"\s", "", line.text)) for line in lines)
    if size > limit:
        largest = max(statements, key=lambda statement: len(json.dumps(statement.document)))
        summary = f"the policy {name} has {size:,} characters, and AWS takes {limit:,}"
        detail = f"the largest statement is that of `{largest.grant or largest.sid}`"
        raise BedplateError(Problem("BP851", summary, line_of(largest.where), detail, "write fewer, wider patterns"))
    return Artefact("iam", name, lines, _MEDIA)


def _lines(statements: Iterable[tuple[Mapping[str, Any], str, str]]) -> tuple[Line, ...]:
    listed = list(statements)
    head, tail = Line('{"Version": "2012-10-17", "Statement": ['), Line("]}")
    ends = [","] * (len(listed) - 1) + [""]
    body = [Line(f"  {json.dumps(doc)}{end}", grant, at) for (doc, grant, at), end in zip(listed, ends, strict=False)]
    return (head, *body, tail)


def _provenance(place: Place, statements: Sequence[Statement]) -> Artefact:
    """Sid to grant and line, as JSON beside the policy."""
    found = {s.sid: {"grant": s.grant, "where": s.where} for s in statements}
    lines = [Line(text) for text in json.dumps(found, indent=2).splitlines()]
    return Artefact("iam", f"{place.name}.provenance.json", tuple(lines), _MEDIA)
