"""Budgets compared: which hold others. Pure. Each is compared by itself; what is not comparable is not guessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bedplate.access.model import Budget, Grant
from bedplate.access.values import UNIT

_WIDE = {"stage": 0, "user": 1, "session": 2}
_WINDOWS = ((86_400, "d"), (3600, "h"), (60, "m"))
Relation = Literal["within", "beyond", "apart"]


def relation(new: Iterable[Budget], old: Iterable[Budget]) -> Relation:
    """Whether all that `new` lets through, `old` does: `within`; surely not: `beyond`; or they cannot be compared.

    Fewer in a longer window is less; of the same amounts, one budget for the stage is less than one for each user, and
    that less than one for each session.
    """
    held = tuple(new)
    found: set[Relation] = {_against(held, budget) for budget in old}
    return "beyond" if "beyond" in found else "apart" if "apart" in found else "within"


def within(new: Grant, old: Grant) -> bool:
    """Whether the budgets of one grant hold those of another."""
    return relation(new.budgets, old.budgets) == "within"


def said(budgets: Iterable[Budget]) -> str:
    """Budgets in words: `20 calls/1h, amount 500/1d for each user`. The order written does not matter."""
    return ", ".join(sorted(map(_said, budgets)))


def _against(new: tuple[Budget, ...], old: Budget) -> Relation:
    alike = [budget for budget in new if budget.path == old.path]
    if any(_holds(budget, old) for budget in alike):
        return "within"
    return "beyond" if all(_holds(old, budget) for budget in alike) else "apart"


def _holds(small: Budget, large: Budget) -> bool:
    less = small.amount <= large.amount and small.window >= large.window
    return less and _WIDE[small.per] <= _WIDE[large.per]


def _said(budget: Budget) -> str:
    window = next(
        (f"{budget.window // n}{unit}" for n, unit in _WINDOWS if budget.window % n == 0), f"{budget.window}s"
    )
    amount = f"{'.'.join(budget.path)} {budget.amount / UNIT:g}" if budget.path else f"{budget.amount} calls"
    return f"{amount}/{window}{'' if budget.per == 'stage' else f' for each {budget.per}'}"
