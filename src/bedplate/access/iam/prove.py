"""`widens`: whether new IAM rules permit a request that old ones do not. Exact, or said to be unproved.

The parts of a request (action, resource, caller, condition keys) are taken as independent of each other: any
combination may be asked for. A policy variable is taken as one text that nothing else names; the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

from bedplate.access.answers import Answer, Narrower, Same, Unproved, Wider
from bedplate.access.iam.clauses import Entry, Space
from bedplate.access.iam.document import Pattern, Request, Rules, Statement
from bedplate.access.iam.elements import Mixed
from bedplate.access.iam.evaluate import about, evaluate
from bedplate.access.iam.search import Model, gains
from bedplate.access.iam.texts import OutOfTime, Spent
from bedplate.access.iam.witness import lifelike

# What a second judge says of the same question; it may not know.
Opinion: TypeAlias = Literal["wider", "not wider", "unknown"]
Oracle: TypeAlias = Callable[[Rules, Rules], Opinion]


def widens(old: Rules, new: Rules, *, spent: Spent, oracle: Oracle | None = None) -> Answer[Request]:
    """Compare two sides. Wider comes with a request that `evaluate` allows under `new` and does not under `old`.

    `spent` says when to give up. With an `oracle` (see `access.second`) that contradicts, the answer is Unproved.
    """
    try:
        answer = _compare(old, new, spent)
    except OutOfTime:
        return Unproved("time is up" if spent() else "the policies are too large for an exact answer")
    except Mixed as problem:
        return Unproved(str(problem))
    if oracle is None or isinstance(answer, Unproved):
        return answer
    return _agreed(answer, oracle(old, new))


def _agreed(answer: Answer[Request], opinion: Opinion) -> Answer[Request]:
    match answer, opinion:
        case (Wider(), "wider" | "unknown") | (Same() | Narrower(), "not wider"):
            return answer
        case _, "unknown":
            return Unproved("the second opinion does not know")
        case _:
            return Unproved("the second opinion disagrees")


def _compare(old: Rules, new: Rules, spent: Spent) -> Answer[Request]:
    gained = _gain(old, new, spent)
    if gained is not None:
        return gained
    assumed = _assumed(old, new)
    lost = _gain(new, old, spent)
    return Same(assumed) if lost is None else lost if isinstance(lost, Unproved) else Narrower(assumed)


def _gain(old: Rules, new: Rules, spent: Spent) -> Wider[Request] | Unproved | None:
    """A request that only `new` permits, None if there is none."""
    space = Space(spent)
    sides = space.entries(new), space.entries(old)
    space.ready()
    found = _confirmed(old, new, space, sides, spent)
    if found is None and space.mixed:
        space.loosen()
        if any(True for _ in _models(old, new, space, sides, spent)):
            keys = ", ".join(space.mixed)
            return Unproved(f"it depends on what a test for one value makes of several values of {keys}")
    return found


def _confirmed(
    old: Rules, new: Rules, space: Space, sides: tuple[list[Entry], list[Entry]], spent: Spent
) -> Wider[Request] | Unproved | None:
    """The first request that the evaluator confirms; Unproved where it confirms none."""

    doubted = False
    for action, model in _models(old, new, space, sides, spent):
        request = _lifelike(action, model, old, new)
        if request is not None and evaluate(new, request) == "allow" and evaluate(old, request) != "allow":
            return Wider(_spelled_keys(request, new, old), _assumed(old, new))
        doubted = True
    return Unproved("the evaluator disagrees") if doubted else None


def _lifelike(action: str, model: Model, old: Rules, new: Rules) -> Request | None:
    """Tried out on the statements that name the action."""
    few_new, few_old = about(new, action), about(old, action)

    def shows(request: Request) -> bool:
        return evaluate(few_new, request) == "allow" and evaluate(few_old, request) != "allow"

    return lifelike(action, model, (few_new, few_old), shows)


def _models(
    old: Rules, new: Rules, space: Space, sides: tuple[list[Entry], list[Entry]], spent: Spent
) -> Iterator[tuple[str, Model]]:
    spelled = [action for side in (old, new) for s in _statements(side) for action in s.actions]
    return gains(space, *sides, (len(new.layers), len(old.layers)), spelled, spent)


def _statements(rules: Rules) -> list[Statement]:
    return [s for layer in rules.layers for policy in layer for s in policy.statements]


def _spelled_keys(request: Request, *sides: Rules) -> Request:
    """With condition keys as the policies write them."""
    written = {test.key.lower(): test.key for side in sides for s in _statements(side) for test in s.tests}
    return replace(request, context=tuple(sorted((written.get(key, key), v) for key, v in request.context)))


def _assumed(*sides: Rules) -> tuple[str, ...]:
    """What an answer takes for granted beyond the policies."""
    keys = dict.fromkeys(key for side in sides for s in _statements(side) for key in _variables(s))
    if not keys:
        return ()
    named = ", ".join(f"${{{key}}}" for key in keys)
    return (f"each policy variable stands for one text that nothing else names: {named}",)


def _variables(statement: Statement) -> list[str]:
    patterns = [*(statement.resources or ()), *(v for t in statement.tests for v in t.values if isinstance(v, Pattern))]
    return [variable.key for pattern in patterns for variable in pattern.variables]
