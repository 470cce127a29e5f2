"""Whether one budget has become several: scopes that share what one scope was allowed count it each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedplate.access.automata import may_meet
from bedplate.access.budgets import within
from bedplate.access.covering import plainly_covers
from bedplate.access.model import Grant
from bedplate.access.words import written


def shared(old: Sequence[Grant], new: Sequence[Grant]) -> list[Grant]:
    """The new grants of one tool and verb that live on an old budget which others live on too.

    Each new grant is within the old ones otherwise. Grants of one id are one scope and have one budget, so that they
    are placed together. None is named where each scope can have an old budget for itself. Neither order matters.
    """
    bound = [n for n in new if n.budgets and not any(not o.budgets and plainly_covers(o, n) for o in old)]
    scopes = sorted(_scopes(bound).values(), key=lambda grants: sorted(map(written, grants)))
    budgets = list(_scopes(old).values())
    own = {i: [b for b, olds in enumerate(budgets) if _holds(olds, grants)] for i, grants in enumerate(scopes)}
    taken = _matched({i: places for i, places in own.items() if places})
    used = set(taken.values())
    left = [n for i, places in own.items() if places and i not in taken for n in scopes[i]]
    for grants in (grants for i, grants in enumerate(scopes) if not own[i]):
        needs = {b for b, olds in enumerate(budgets) if any(_meets(o, n) for o in olds for n in grants)}
        if needs & used:
            left += grants
        used |= needs
    return left


def _scopes(grants: Sequence[Grant]) -> dict[str, list[Grant]]:
    """The grants by the scope that they are of."""
    found: dict[str, list[Grant]] = {}
    for grant in grants:
        found.setdefault(grant.id, []).append(grant)
    return found


def _holds(olds: Sequence[Grant], grants: Sequence[Grant]) -> bool:
    """Whether one old scope, with its one budget, holds all grants of a new one."""
    return all(any(_may_be(old, grant) for old in olds) for grant in grants)


def _meets(old: Grant, new: Grant) -> bool:
    return bool(old.budgets) and may_meet(old.pattern, new.pattern)


def _may_be(old: Grant, new: Grant) -> bool:
    return plainly_covers(old, new) and within(new, old)


def _matched(choices: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """As many as possible of the keys, each with a value of its own (augmenting paths)."""
    owner: dict[int, int] = {}

    def place(key: int, seen: set[int]) -> bool:
        for value in choices[key]:
            if value not in seen:
                seen.add(value)
                if value not in owner or place(owner[value], seen):
                    owner[value] = key
                    return True
        return False

    for key in choices:
        place(key, set())
    return {key: value for value, key in owner.items()}
