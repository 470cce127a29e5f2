"""`widens`: whether a scope set lets through what another does not. Exact, with a request that shows it. Pure.

The effect of a request is deny < ask < allow; a set is wider where some request has a higher effect. Budgets, which no
single request meets, are compared beside that. What stands behind a changed pin nobody can prove.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bedplate.access.answers import Answer, Narrower, Same, Unproved, Wider
from bedplate.access.decide import decide
from bedplate.access.model import Grant, Request, ScopeSet
from bedplate.access.prover import Oracle, Prover, Spent, TimeUp, Unclear

__all__ = ["Oracle", "Second", "Spent", "widens"]
Second = Callable[[ScopeSet, ScopeSet], Literal["wider", "not wider", "unknown"]]
"""Whether some request has a higher effect, by other means (`access.encode`)."""
TIME_IS_UP = "time is up"


def widens(
    old: ScopeSet, new: ScopeSet, *, spent: Spent, oracle: Oracle | None = None, second: Second | None = None
) -> Answer[Request]:
    """Compare two scope sets. Each witness is decided on both sides again, by `oracle` too where there is one.

    `spent` says when time is up, which leaves it unproved; so does a `second` opinion that does not agree.
    """
    try:
        answer = _widens(Prover(old, new, spent, oracle), Prover(new, old, spent, oracle), old, new)
    except TimeUp:
        return Unproved(TIME_IS_UP)
    except Unclear as doubt:
        return Unproved(str(doubt))
    return answer if second is None else _agreed(answer, old, new, second)


def _agreed(answer: Answer[Request], old: ScopeSet, new: ScopeSet, second: Second) -> Answer[Request]:
    match answer:
        case Unproved():
            return answer
        case Wider(witness=request) if decide(new, request).effect <= decide(old, request).effect:
            return answer  # it is about limits, which are no matter of single requests
        case Wider():
            agrees, opinion = {"wider", "unknown"}, second(old, new)
        case _:
            agrees, opinion = {"not wider"}, second(old, new)
    if opinion in agrees:
        return answer
    return Unproved("the second opinion does not know" if opinion == "unknown" else "the second opinion disagrees")


def _widens(forward: Prover, back: Prover, old: ScopeSet, new: ScopeSet) -> Answer[Request]:
    doubts: list[str] = []
    for grant in new.grants:
        try:
            if found := _raised(forward, grant):
                return Wider(found)
        except Unclear as doubt:
            doubts.append(str(doubt))
    doubts += [f"{name}: {reason}" for name, reason in forward.changed_pins()]
    doubts += [f"{grant.id}: its limit was one with that of other scopes" for grant in forward.sharing()]
    if doubts:
        return Unproved(doubts[0])
    lower = back.newly_pinned() or any(_raised(back, grant) for grant in old.grants)
    return Narrower() if lower or back.sharing() else Same()


def _raised(prover: Prover, grant: Grant) -> Request | None:
    """A request that the grant raises for whatever reason. Raises Unclear or TimeUp."""
    for lifted in ("", *prover.lifted):
        if found := prover.gain(grant, lifted):
            return found
    return prover.unlimited(grant)
