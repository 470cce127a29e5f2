"""Whether one budget has become several: scopes that share what one scope was allowed count it each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedplate.access.automata import may_meet
from bedplate.access.budgets import within
from bedplate.access.covering import plainly_covers
from bedplate.access.model import Grant


def shared(old: Sequence[Grant], new: Sequence[Grant]) -> list[Grant]:
    """The new grants of one tool and verb that live on an old budget which others live on too.

    Each new grant is within the old ones otherwise. None is named where each can have an old budget for itself.
    """
    bound = [n for n in new if n.budgets and not any(not o.budgets and plainly_covers(o, n) for o in old)]
    own = {i: [o for o, grant in enumerate(old) if _may_be(grant, n)] for i, n in enumerate(bound)}
    single = [i for i, olds in own.items() if olds]
    taken = _matched({i: own[i] for i in single})
    used = set(taken.values())
    left = [bound[i] for i in single if i not in taken]
    for n in (n for i, n in enumerate(bound) if i not in single):
        needs = {o for o, grant in enumerate(old) if grant.budgets and may_meet(grant.pattern, n.pattern)}
        if needs & used:
            left.append(n)
        used |= needs
    return left


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
