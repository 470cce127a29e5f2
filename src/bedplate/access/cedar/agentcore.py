"""Scopes for Bedrock AgentCore Policy: one action a tool, `context.input` only, and what that cannot say as remainder.

Each policy permits all that its scope allows or asks for; what it permits beyond is in the remainder, which another
layer must enforce. Source: the AgentCore developer guide, "Schema constraints" and "Policy scope". Whether the service
takes annotations besides `@id` has not been tried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bedplate.access.artefacts import Remainder
from bedplate.access.automata import witness
from bedplate.access.cedar.emit import budgets, written
from bedplate.access.cedar.model import Policies, Policy, Slot
from bedplate.access.cedar.shapes import arguments, wild
from bedplate.access.cedar.terms import parts, single
from bedplate.access.cedar.text import guards, quoted, reach
from bedplate.access.globs import covers, matches
from bedplate.access.model import Claim, Condition, Grant, Kind, Operation, Present, ScopeSet, Subset
from bedplate.problems import BedplateError, Problem

NAMESPACE = "AgentCore"
MOST_POLICY, MOST_POLICIES, MOST_SCHEMA = 10_000, 200_000, 400_000
"""Sizes in bytes: of one policy, of all policies of a gateway, of its schema."""
HTTP = ("get", "head", "post", "put", "patch", "delete", "options")
_BASE = "context.input"
_KINDS: tuple[Kind, ...] = ("string", "integer", "decimal", "boolean", "strings")
"""The kinds that its schema has types for; times and addresses are texts there."""


@dataclass(frozen=True)
class Projected:
    """What is left of one grant: the actions that it names, and the conditions that can be written."""

    id: str
    where: str
    actions: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Projection:
    """What is left of a scope set. `never` are the actions that no policy may permit, each with its line."""

    grants: tuple[Projected, ...]
    never: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """Pattern, line, actions."""


def project(scopes: ScopeSet, ready: ScopeSet, gateway: str) -> Policies:
    """The policies of the profile. `ready` is the normal form of `scopes`; `gateway` an ARN.

    Raises BedplateError: BP840 without a gateway, BP841 to BP843 where a size limit is passed.
    """
    if not gateway:
        raise BedplateError(Problem("BP840", "AgentCore policies name their gateway, and no ARN was given"))
    projection, remainder = projected(scopes, ready)
    policies = permits_and_forbids(projection, gateway)
    found = Policies(
        "agentcore",
        policies,
        _schema(scopes.operations, projection),
        {},
        scopes.never,
        scopes.operations,
        (*remainder, *budgets(scopes.grants)),
    )
    _sized(found)
    return found


def projected(scopes: ScopeSet, ready: ScopeSet) -> tuple[Projection, tuple[Remainder, ...]]:
    """What the profile can say of scopes (`ready` in normal form), and what it cannot."""
    known: dict[str, list[Operation]] = {}
    for operation in scopes.operations:
        known.setdefault(operation.tool, []).append(operation)
    kept: list[Projected] = []
    names: dict[str, str] = {}
    remainder: list[Remainder] = []
    for grant in ready.grants:
        operations, lost = _operations(grant, known.get(grant.tool, []))
        remainder += lost
        if operations:
            conditions, more = _conditions(grant, operations)
            remainder += more
            names |= {action_name(op.tool, op.name): f"{op.tool}.{op.name}" for op in operations}
            actions = tuple(sorted({action_name(op.tool, op.name) for op in operations}))
            kept.append(Projected(grant.id, grant.where, actions, conditions))
    return Projection(tuple(kept), _never(ready, names)), tuple(remainder)


def action_name(tool: str, operation: str) -> str:
    """The id of an action: the gateway's target and its tool."""
    return f"{tool}___{operation}"


def _never(ready: ScopeSet, names: Mapping[str, str]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Which of the actions that are permitted `never` takes back. What is not permitted needs no forbidding."""
    found = []
    for never in ready.never:
        hit = tuple(sorted(action for action, name in names.items() if matches(never.pattern, name)))
        found += [(never.pattern, never.where, hit)] if hit else []
    return tuple(found)


def _operations(grant: Grant, known: Sequence[Operation]) -> tuple[list[Operation], list[Remainder]]:
    """The operations that a grant reaches. An operation that is not pinned has no arguments that are known."""
    if grant.verb in HTTP:
        return _addressed(grant, known)
    if grant.verb != "call":
        return [], [_lost(grant, "object", f"AgentCore Policy knows calls of tools, not `{grant.verb}` of an object")]
    if known:
        return [op for op in known if matches(grant.pattern, op.name)], []
    if "*" in grant.pattern:
        return [], [_lost(grant, "object", "AgentCore has no wildcard for actions, and the tool's are not pinned")]
    return [Operation(grant.tool, grant.pattern)], []


def _addressed(grant: Grant, known: Sequence[Operation]) -> tuple[list[Operation], list[Remainder]]:
    """Operations of an HTTP API whose address the pattern may match; where it may miss, that is said."""
    found = [op for op in known if op.method.lower() == grant.verb and op.url]
    met = [op for op in found if witness([grant.pattern, _address(op)], []) is not None]
    partly = [op.name for op in met if not covers(grant.pattern, _address(op))]
    reason = "AgentCore sees the operation and not its address: "
    lost = [_lost(grant, "object", f"{reason}{', '.join(partly)}")] if partly else []
    return met, lost if met else [_lost(grant, "object", "no pinned operation has an address that it matches")]


def _address(operation: Operation) -> str:
    """Its URL with a wildcard for each part in braces."""
    return re.sub(r"\{[^{}]*\}", "*", operation.url)


def _conditions(grant: Grant, operations: Sequence[Operation]) -> tuple[tuple[Condition, ...], list[Remainder]]:
    kept: list[Condition] = []
    lost: list[Remainder] = []
    for condition in grant.conditions:
        reason = _unsayable(condition, operations)
        if reason:
            lost.append(_lost(grant, ".".join(condition.path), reason))
        else:
            kept.append(condition)
    more, open_ = _only(grant, operations)
    lost += [_lost(grant, "only", open_)] if open_ else []
    lost += [_lost(grant, "ask", "AgentCore Policy permits or denies and cannot ask a person")] if grant.ask else []
    return tuple(sorted({*kept, *more}, key=repr)), lost


def _unsayable(condition: Condition, operations: Sequence[Operation]) -> str:
    """Why a condition cannot be written, or ""."""
    if condition.test == Present(False):
        return ""
    if condition.kind not in _KINDS:
        return f"AgentCore's schema has no type for a {condition.kind}"
    match condition.test:
        case Subset() as test if wild(test):
            return "Cedar cannot hold each element of a list against a wildcard"
        case Claim() if condition.kind == "integer":
            return "a claim is text, and Cedar cannot compare it with a number"
    for operation in operations:
        kinds = {argument.path: argument.kind for argument in operation.arguments}
        if kinds.get(condition.path) != condition.kind:
            return f"no schema is pinned that has it in {operation.name} as {condition.kind}"
    return ""


def _only(grant: Grant, operations: Sequence[Operation]) -> tuple[list[Condition], str]:
    """`only` as arguments that must not be given, and why that is not all of it."""
    if grant.only is None:
        return [], ""
    tops = {argument.path[0] for operation in operations for argument in operation.arguments}
    absent = [Condition((name,), "string", Present(False)) for name in tops - set(grant.only)]
    loose = sorted(operation.name for operation in operations if not operation.closed)
    return absent, f"arguments that no schema names can be given to {', '.join(loose)}" if loose else ""


def _lost(grant: Grant, clause: str, reason: str) -> Remainder:
    return Remainder(grant.id, clause, reason, grant.where)


def permits_and_forbids(projection: Projection, gateway: str) -> tuple[Policy, ...]:
    """The policies of a projection."""
    return (*_permits(projection, gateway), *_forbids(projection, gateway))


def _permits(projection: Projection, gateway: str) -> Iterator[Policy]:
    for grant in projection.grants:
        head = _head("permit", "principal is AgentCore::OAuthUser", grant.actions, gateway)
        text = written(grant.id, grant.where, head, [_term(condition) for condition in grant.conditions])
        yield Policy("permit", text, grant.id, grant.where)


def _forbids(projection: Projection, gateway: str) -> Iterator[Policy]:
    for pattern, where, actions in projection.never:
        text = written(f"never {pattern}", where, _head("forbid", "principal", actions, gateway), [])
        yield Policy("never", text, "", where)


def _head(effect: str, principal: str, actions: Sequence[str], gateway: str) -> str:
    named = [f"{NAMESPACE}::Action::{quoted(action)}" for action in actions]
    action = f"action == {named[0]}" if len(named) == 1 else f"action in [{', '.join(named)}]"
    return f"{effect}({principal}, {action}, resource == {NAMESPACE}::Gateway::{quoted(gateway)})"


def _term(condition: Condition) -> str:
    slot = Slot("input", condition.path, condition.kind)
    guard = guards(_BASE, condition.path)
    match condition.test:
        case Present(present=False):
            return f"!({' && '.join(guard)})"
        case Claim(name=name):
            has, get = (f"principal.{method}({quoted(name)})" for method in ("hasTag", "getTag"))
            return " && ".join([*guard, has, f"{reach(_BASE, condition.path)} == {get}"])
        case _:
            return " && ".join([*guard, *single(parts(condition, slot)[1])])


def _schema(operations: Sequence[Operation], projection: Projection) -> str:
    """The schema as AgentCore makes it of the tools' own schemas; what is not pinned has no arguments in it."""
    named = {action: Operation("", "") for grant in projection.grants for action in grant.actions}
    named |= {action_name(op.tool, op.name): op for op in operations}
    actions = {name: _action(operation) for name, operation in sorted(named.items())}
    text = {"type": "String"}
    record = {"type": "Record", "attributes": {"id": text}}
    entities: dict[str, Any] = {
        "OAuthUser": {"shape": record, "tags": text},
        "IamEntity": {"shape": record},
        "Gateway": {},
    }
    document = {NAMESPACE: {"entityTypes": entities, "actions": actions}}
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True)


def _action(operation: Operation) -> Mapping[str, Any]:
    types: dict[Kind, Kind] = {"time": "string", "ip": "string"}
    found = [Slot("input", a.path, types.get(a.kind, a.kind)) for a in operation.arguments if a.kind]
    context = {"type": "Record", "attributes": {"input": arguments(found)}}
    principals = ["OAuthUser", "IamEntity"]
    return {"appliesTo": {"principalTypes": principals, "resourceTypes": ["Gateway"], "context": context}}


def _sized(policies: Policies) -> None:
    sizes = [(policy, len(policy.text.encode())) for policy in policies.policies]
    total = sum(size for _, size in sizes)
    schema = len(json.dumps(json.loads(policies.schema), separators=(",", ":"), ensure_ascii=False).encode())
    problems = [
        Problem("BP841", f"the policy of {policy.grant or 'never'} has {size:,} bytes; AgentCore takes {MOST_POLICY:,}")
        for policy, size in sizes
        if size > MOST_POLICY
    ]
    if total > MOST_POLICIES:
        summary = f"the policies have {total:,} bytes together; AgentCore takes {MOST_POLICIES:,}"
        problems.append(Problem("BP842", summary))
    if schema > MOST_SCHEMA:
        problems.append(Problem("BP843", f"the schema has {schema:,} bytes; AgentCore takes {MOST_SCHEMA:,}"))
    if problems:
        raise BedplateError(*problems)
