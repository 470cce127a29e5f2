"""The clauses of grants: each single thing that a scope demands and some layer must hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bedplate.access.model import Budget, Grant, ScopeSet


@dataclass(frozen=True)
class Clause:
    """One clause: `name` is `object`, a dotted argument path, `only`, `ask`, `limit` or `never`; `text` says it.

    `grant` is the grant's id; a `never` has its pattern there. `tool` is "" for a `never`, which holds for every tool.
    """

    grant: str
    tool: str
    verb: str
    name: str
    text: str
    where: str = ""

    @property
    def references(self) -> frozenset[str]:
        """What may stand for it in `accept`: `<grant id>/<name>`, and `<tool>/<name>` for all grants of a tool."""
        return frozenset({f"{self.grant}/{self.name}", f"{self.tool or 'never'}/{self.name}"})


def clauses(scopes: ScopeSet) -> tuple[Clause, ...]:
    """Every clause in the order of the grants, then what is never allowed."""
    granted = [clause for grant in scopes.grants for clause in of_grant(grant)]
    forbidden = [Clause(n.pattern, "", "", "never", f"never {n.pattern}", n.where) for n in scopes.never]
    return (*granted, *forbidden)


def of_grant(grant: Grant) -> Iterator[Clause]:
    """The clauses of one grant; conditions on the same argument are one."""

    def clause(name: str, text: str, where: str = "") -> Clause:
        return Clause(grant.id, grant.tool, grant.verb, name, text, where or grant.where)

    yield clause("object", f"{grant.verb} {grant.pattern}")
    for path, where in {".".join(c.path): c.where for c in reversed(grant.conditions)}.items():
        yield clause(path, path, where)
    if grant.only is not None:
        yield clause("only", f"only {', '.join(grant.only)}")
    if grant.ask:
        paths = dict.fromkeys(".".join(c.path) for c in grant.ask.when)
        yield clause("ask", "ask always" if grant.ask.always else f"ask by {', '.join(paths)}")
    if grant.budgets:
        yield clause("limit", "; ".join(map(_budget, grant.budgets)))


def _budget(budget: Budget) -> str:
    what = (
        f"sum of {'.'.join(budget.path)} at most {budget.amount / 10_000:g}"
        if budget.path
        else f"{budget.amount} calls"
    )
    return f"{what} in {budget.window} s for each {budget.per}"
