"""Policies of the profile `agentcore`, read back as the projection that they were written from."""

from __future__ import annotations

from bedplate.access.cedar.agentcore import NAMESPACE, Projected, Projection, permits_and_forbids
from bedplate.access.cedar.clauses import guards
from bedplate.access.cedar.model import Policies
from bedplate.access.cedar.reading import test_of
from bedplate.access.cedar.text import CEDAR_TYPES
from bedplate.access.cedar.trees import Parsed, Tree, chain, parse, same
from bedplate.access.model import Claim, Condition, Kind, Present


def read_projection(policies: Policies) -> Projection:
    """What the policies say. Types are those of the pinned operations. Raises NotOurs for another form."""
    kinds = {
        (f"{op.tool}___{op.name}", argument.path): argument.kind
        for op in policies.operations
        for argument in op.arguments
    }
    parsed = parse(policies.text("permit", "never"))
    grants = tuple(_projected(policy, kinds) for policy in parsed if policy.effect == "permit")
    nevers = tuple(
        (policy.id.removeprefix("never "), policy.where, _actions(policy))
        for policy in parsed
        if policy.effect == "forbid"
    )
    found = Projection(grants, nevers)
    gateways = {_gateway(policy) for policy in parsed}
    for gateway in gateways:
        again = "".join(f"{policy.text}\n" for policy in permits_and_forbids(found, gateway))
        same(parsed, parse(again))
    return found


def _projected(policy: Parsed, kinds: dict[tuple[str, tuple[str, ...]], Kind | None]) -> Projected:
    actions = _actions(policy)
    conditions = [_condition(policy, actions, kinds, chain("and", clause)) for clause in policy.clauses]
    return Projected(policy.id, policy.where, actions, tuple(conditions))


def _actions(policy: Parsed) -> tuple[str, ...]:
    match policy.action:
        case ("ActionEq", uid):
            found = (uid,)
        case ("ActionIn", uids):
            found = uids
        case _:
            policy.refuse("it names no action")
    return tuple(_id(policy, uid, "Action") for uid in found)


def _gateway(policy: Parsed) -> str:
    match policy.resource:
        case ("ScopeEq", uid):
            return _id(policy, uid, "Gateway")
    return policy.refuse("it names no gateway")


def _id(policy: Parsed, uid: Tree, type: str) -> str:
    match uid:
        case ("EntityUid", ("EntityType", str(found), (namespace,)), str(id)) if (
            found == type and namespace == NAMESPACE
        ):
            return id
    return policy.refuse(f"it names something that is no {type}")


def _condition(
    policy: Parsed,
    actions: tuple[str, ...],
    kinds: dict[tuple[str, tuple[str, ...]], Kind | None],
    terms: list[Tree],
) -> Condition:
    match terms:
        case [("UnaryOp", "not", inner)]:
            absent, rest = guards(chain("and", inner))
            if len(absent) > 1 and not rest:
                return Condition(absent[1:], "string", Present(False))
    names, rest = guards(terms)
    kind = kinds.get((actions[0], names[1:])) if len(names) > 1 else None
    if kind not in CEDAR_TYPES or kind is None:
        policy.refuse(f"no schema is pinned for {'.'.join(names)}")
    match rest:
        case [("BinaryOp", "has_tag", _, ("StringLit", str(name))), ("BinaryOp", "eq", _, _)]:
            return Condition(names[1:], kind, Claim(name))
    test = test_of(kind, names, rest)
    if test is None:
        policy.refuse(f"a clause on {'.'.join(names)} that is no test of ours")
    return Condition(names[1:], kind, test)
