"""Scopes as Cedar policies: the profile `gateway`, which decides as `access.decide` does, and `agentcore`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from bedplate.access.artefacts import Remainder
from bedplate.access.automata import collapse
from bedplate.access.cedar.model import Group, Policies, Policy, ProfileName, Shape, Slot
from bedplate.access.cedar.normal import normal
from bedplate.access.cedar.shapes import TEXT, as_text, conditions, schema, shape
from bedplate.access.cedar.terms import required, texts, unasked
from bedplate.access.cedar.text import quoted
from bedplate.access.model import Claim, Condition, Grant, Kind, Never, ScopeSet, Subset, Test, Texts
from bedplate.problems import BedplateError, Problem

NAMESPACE = "Bedplate"
MOST_LEVELS = 40
_NOTHING = "nothing"  # the one action where nothing is granted: Cedar refuses policies that no action can meet


def compile(scopes: ScopeSet, profile: ProfileName = "gateway", *, gateway: str = "") -> Policies:
    """The policies and the schema of one profile. `gateway` is the ARN that `agentcore` policies name.

    Raises BedplateError: BP840 for scopes that Cedar cannot hold, BP841 to BP843 where AgentCore's limits are passed.
    """
    ready = _normal(scopes)
    if profile == "agentcore":
        from bedplate.access.cedar.agentcore import project

        return project(scopes, ready, gateway)
    by_action: dict[str, list[Grant]] = {}
    for grant in ready.grants:
        by_action.setdefault(action_name(grant.tool, grant.verb), []).append(grant)
    shapes = {action: shape(grants) for action, grants in sorted(by_action.items())} or {_NOTHING: Shape()}
    found = [policy for action, grants in sorted(by_action.items()) for policy in _policies(action, grants, shapes)]
    return Policies(
        "gateway",
        (*found, *map(_forbidden, ready.never)),
        schema(NAMESPACE, shapes),
        shapes,
        scopes.never,
        scopes.operations,
        tuple(budgets(scopes.grants)),
    )


def action_name(tool: str, verb: str) -> str:
    """The id of the action of a tool and a verb. No verb has a dot."""
    return f"{tool}.{verb}"


def budgets(grants: Iterable[Grant]) -> list[Remainder]:
    """Limits, which no profile of Cedar holds: a policy knows one request only."""
    reason = "Cedar sees one request at a time and cannot count"
    return [Remainder(grant.id, "limit", reason, grant.where) for grant in grants if grant.budgets]


def _normal(scopes: ScopeSet) -> ScopeSet:
    try:
        ready = normal(scopes)
    except ValueError as error:
        raise BedplateError(Problem("BP840", f"scopes cannot be compiled to Cedar: {error}")) from error
    problems = [*_twice(ready.grants), *_unwritable(ready), *_deep(ready.grants)]
    if problems:
        raise BedplateError(*problems)
    return ready


def _twice(grants: Sequence[Grant]) -> list[Problem]:
    ids = [grant.id for grant in grants]
    twice = sorted({id for id, following in pairwise(ids) if id == following})
    return [Problem("BP840", f"two different scopes have the id {id!r}") for id in twice]


def _deep(grants: Sequence[Grant]) -> list[Problem]:
    """Cedar reads schemas of limited depth."""
    found = [grant for grant in grants if any(len(c.path) > MOST_LEVELS for c in conditions(grant))]
    return [Problem("BP840", f"scope {g.id!r} tests an argument more than {MOST_LEVELS} levels down") for g in found]


def _unwritable(scopes: ScopeSet) -> list[Problem]:
    """Half surrogates are no Unicode text; a policy cannot name them."""
    all_: tuple[Grant | Never, ...] = (*scopes.grants, *scopes.never)
    bad = [x for x in all_ if any("\ud800" <= ch <= "\udfff" for ch in _names(x))]
    return [Problem("BP840", f"the scope at {x.where or '?'} has text that is not Unicode") for x in bad]


def _names(of: Grant | Never) -> str:
    """Every text that a policy of it names, in one."""
    if isinstance(of, Never):
        return of.pattern + of.where
    tests = [text for c in conditions(of) for text in (*c.path, *_test_names(c.test))]
    return "".join((of.id, of.tool, of.verb, of.pattern, of.where, *(of.only or ()), *tests))


def _test_names(test: Test) -> Sequence[str]:
    match test:
        case Texts(globs=globs) | Subset(globs=globs):
            return globs
        case Claim(name=name):
            return (name,)
        case _:
            return ()


def _policies(action: str, grants: Sequence[Grant], shapes: Mapping[str, Shape]) -> Iterable[Policy]:
    slots = lookup(shapes[action].slots)
    scope = f"principal, action == {NAMESPACE}::Action::{quoted(action)}, resource"
    for grant in grants:
        when = [*_object(grant), *_only(grant), *(required(c, slots) for c in grant.conditions)]
        if grant.ask is None or not grant.ask.always:
            asked = grant.ask.when if grant.ask else ()
            yield _permit("permit", action, grant, scope, [*when, *(unasked(c, slots) for c in asked)])
        if grant.ask:
            yield _permit("ask", action, grant, scope, when)


def lookup(slots: Sequence[Slot]) -> Callable[[Condition], Slot]:
    """From a condition to the place of its argument."""
    table: dict[tuple[tuple[str, ...], Kind, bool], Slot] = {
        (slot.path, slot.kind, slot.root.startswith(TEXT)): slot for slot in slots
    }
    return lambda condition: table[condition.path, condition.kind, as_text(condition)]


def _object(grant: Grant) -> list[str]:
    return [] if grant.pattern == "*" else list(texts("context.object", [grant.pattern]))


def _only(grant: Grant) -> list[str]:
    match grant.only:
        case None:
            return []
        case ():
            return ["context.arguments.isEmpty()"]
        case names:
            return [f"[{', '.join(map(quoted, names))}].containsAll(context.arguments)"]


def _permit(group: Group, action: str, grant: Grant, scope: str, when: Sequence[str]) -> Policy:
    text = written(grant.id, grant.where, f"permit({scope})", when)
    return Policy(group, text, grant.id, grant.where, action, None if "*" in grant.pattern else grant.pattern)


def never_id(never: Never) -> str:
    """The `@id` of what `never` forbids."""
    return f"never {collapse(never.pattern)}"


def _forbidden(never: Never) -> Policy:
    term = list(texts("context.operation", [never.pattern]))
    text = written(never_id(never), never.where, "forbid(principal, action, resource)", term)
    return Policy("never", text, "", never.where)


def written(id: str, where: str, head: str, when: Sequence[str]) -> str:
    """One policy: annotations, head, and a line for each clause."""
    lines = [f"@id({quoted(id)})", f"@where({quoted(where)})", head, *(f"when {{ {term} }}" for term in when)]
    return "\n".join(lines) + ";"
