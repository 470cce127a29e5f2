"""Decisions by the Cedar engine over compiled policies. Any error is deny. Policies are parsed once for each action.

Needs the extra `cedar` (cedarpy).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from bedplate.access.cedar.context import context
from bedplate.access.cedar.emit import NAMESPACE, action_name, never_id
from bedplate.access.cedar.model import Group, Policies, Policy, Shape
from bedplate.access.fits import misfit
from bedplate.access.model import Decision, Effect, Request, ScopeSet
from bedplate.problems import BedplateError, Problem

_KEPT = 4096
"""Parsed sets that are kept: one for each action and object that requests named lately."""
_TOGETHER = 20
"""Actions that are checked at once."""


class Decider:
    """Decides requests over the policies of the profile `gateway`. Safe to share between threads."""

    def __init__(self, policies: Policies) -> None:
        """Raises BedplateError: BP844 without cedarpy, BP845 where the engine does not take the policies or schema."""
        self._cedar = engine()
        self._policies = policies
        self._pinned: dict[str, dict[str, ScopeSet]] = {}
        for operation in policies.operations:
            self._pinned.setdefault(operation.tool, {})[operation.name] = ScopeSet(operations=(operation,))
        self._where = {policy.grant: policy.where for policy in policies.of("permit", "ask")}
        self._where |= {never_id(never): never.where for never in policies.never}
        self._never = "".join(f"{policy.text}\n" for policy in policies.of("never"))
        self._named: dict[tuple[Group, str, str], list[Policy]] = {}
        self._any: dict[tuple[Group, str], list[Policy]] = {}
        for policy in policies.of("permit", "ask"):
            if policy.object is None:
                self._any.setdefault((policy.group, policy.action), []).append(policy)
            else:
                self._named.setdefault((policy.group, policy.action, policy.object), []).append(policy)
        try:
            self._schema = self._cedar.Schema.from_json_str(policies.schema)
            self._cedar.PolicySet.from_str(policies.text("permit", "ask", "never"))
        except ValueError as error:
            raise BedplateError(
                Problem("BP845", f"Cedar does not read the policies or their schema: {error}")
            ) from error
        self._entities = self._cedar.Entities.from_json_str("[]")
        self._handle = lru_cache(_KEPT)(self._parsed)

    def decide(self, request: Request) -> Decision:
        """The decision of the permit set; where that denies, of the ask set. Total."""
        action = action_name(request.tool, request.verb)
        shape = self._policies.shapes.get(action)
        if shape is None:
            return Decision(Effect.DENY, reason=f"no policy is about {action}")
        if wrong := self._misfit(request):
            return Decision(Effect.DENY, reason=f"the pinned schema does not take it: {wrong}")
        try:
            asked = self._asked(action, shape, request)
        except (UnicodeError, ValueError, TypeError) as error:
            return Decision(Effect.DENY, reason=f"the request cannot be put to Cedar: {error}")
        groups: tuple[tuple[Group, Effect], ...] = (("permit", Effect.ALLOW), ("ask", Effect.ASK))
        for group, effect in groups:
            handle = self._handle(group, action, self._known(action, request.object))
            if handle is not None and (found := self._evaluated(handle, asked, effect)):
                return found
        return Decision(Effect.DENY, reason=f"no policy permits {action} on {request.object} with these arguments")

    def _misfit(self, request: Request) -> str:
        """What the pinned operation does not take; any other one of the tool serves to say that there is none."""
        known = self._pinned.get(request.tool)
        return misfit(known.get(request.operation) or next(iter(known.values())), request) if known else ""

    def _evaluated(self, handle: Any, asked: dict[str, Any], effect: Effect) -> Decision | None:
        """What one set says: `effect`, a denial by an error or by `never`, or nothing."""
        answer = self._cedar.is_authorized(asked, handle, self._entities, self._schema)
        ids = sorted(answer.diagnostics.id_annotations_by_reason.values())
        if answer.diagnostics.errors:
            return Decision(Effect.DENY, reason=f"Cedar: {'; '.join(answer.diagnostics.errors)}")
        if answer.allowed:
            return Decision(effect, ids[0], self._where[ids[0]])
        where = self._where.get(ids[0], "") if ids else ""
        return Decision(Effect.DENY, where=where, reason=f"forbidden: {', '.join(ids)}") if ids else None

    def _asked(self, action: str, shape: Shape, request: Request) -> dict[str, Any]:
        return {
            "principal": {"type": f"{NAMESPACE}::User", "id": request.principal},
            "action": {"type": f"{NAMESPACE}::Action", "id": action},
            "resource": {"type": f"{NAMESPACE}::Gateway", "id": "gateway"},
            "context": context(shape, request),
        }

    def _known(self, action: str, object: str) -> str | None:
        """The object, where a policy is about it alone; None for all others, so that they share one parsed set."""
        sets: tuple[Group, ...] = ("permit", "ask")
        return object if any((group, action, object) in self._named for group in sets) else None

    def _parsed(self, group: Group, action: str, object: str | None) -> Any:
        """The policies that may match: a policy about another object alone cannot. None where there are none."""
        named = [] if object is None else self._named.get((group, action, object), [])
        found = [*named, *self._any.get((group, action), [])]
        if not found:
            return None
        return self._cedar.PolicySet.from_str("".join(f"{policy.text}\n" for policy in found) + self._never)


def check(policies: Policies) -> None:
    """Hold the policies against the schema with Cedar's own validator. Raises BedplateError: BP844, BP845."""
    cedar = engine()
    found: list[str] = []
    for text, schema in _parts(policies):
        try:
            found += [str(error) for error in cedar.validate_policies(text, schema).errors]
        except ValueError as error:
            found.append(str(error))
    if found:
        raise BedplateError(*(Problem("BP845", f"policies do not fit their schema: {error}") for error in found))


def _parts(policies: Policies) -> Iterator[tuple[str, dict[str, Any]]]:
    """The policies of a few actions with the schema of these: the validator tries every policy with every action."""
    document = json.loads(policies.schema)
    yield policies.text("never") if policies.profile == "gateway" else policies.text("permit", "never"), document
    by_action: dict[str, list[str]] = {}
    for policy in policies.of("permit", "ask"):
        if policy.action:
            by_action.setdefault(policy.action, []).append(policy.text)
    names = sorted(by_action)
    for at in range(0, len(names), _TOGETHER):
        actions = {name: document[NAMESPACE]["actions"][name] for name in names[at : at + _TOGETHER]}
        part = {NAMESPACE: {**document[NAMESPACE], "actions": actions}}
        yield "\n".join(text for name in actions for text in by_action[name]), part


def engine() -> Any:
    """cedarpy. Raises BedplateError BP844 where it is not installed."""
    try:
        import cedarpy
    except ImportError as error:
        problem = Problem("BP844", "cedarpy is not installed", fix="pip install 'bedplate[cedar]'")
        raise BedplateError(problem) from error
    return cedarpy
