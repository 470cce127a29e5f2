"""The enforcement matrix: for each clause the layers that hold it and that the agent cannot go round. Pure.

Goes in: scopes, what tools and data are, and what the layers of a target hold. Comes out: a row for each clause with a
verdict. A clause that no layer holds exactly is open, and an error until somebody accepts it in writing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.access.clauses import Clause, clauses
from bedplate.access.facts import Facts, Route, route
from bedplate.access.model import Grant, ScopeSet

Layer = Literal["gateway", "iam", "postgres", "egress", "kernel"]
LAYERS: tuple[Layer, ...] = ("gateway", "iam", "postgres", "egress", "kernel")
Strength = Literal["exact", "coarse", "none"]
Verdict = Literal["ok", "accepted", "open"]


@dataclass(frozen=True)
class Hold:
    """What one layer holds of a clause: all of it, a part, or nothing although requests pass it; `why` not more."""

    layer: Layer
    strength: Strength
    why: str = ""


@dataclass(frozen=True)
class Acceptance:
    """A gap or risk that somebody accepts in writing, `until` the end of a day (UTC).

    `of` is `<grant id>/<clause>`, `<tool>/<clause>` or the name of a risk.
    """

    of: str
    reason: str
    owner: str
    until: dt.date
    where: str = ""


@dataclass(frozen=True)
class Row:
    """One clause, what holds it, and what comes of that. `note` says why it is open, or who accepted it."""

    clause: Clause
    holds: tuple[Hold, ...]
    verdict: Verdict
    note: str = ""


Holding = Callable[[Grant, Route, str], Sequence[Hold]]
"""What the layers of a target hold of one clause (by name) of a grant on its route; nothing where it has none."""


def matrix(
    scopes: ScopeSet, facts: Facts, holding: Holding, accepted: Iterable[Acceptance], today: dt.date
) -> tuple[Row, ...]:
    """A row for each clause. `holding` speaks for the target; every `never` is the gateway's.

    Raises KeyError where a grant's tool or source is none of `facts`.
    """
    # One scope with several patterns is several grants of one id, which take the same route.
    grants = {(grant.id, grant.tool, grant.verb): grant for grant in scopes.grants}
    known = tuple(accepted)
    return tuple(_row(clause, _holds(clause, grants, facts, holding), known, today) for clause in clauses(scopes))


def unused(rows: Iterable[Row], accepted: Iterable[Acceptance], risks: Iterable[str] = ()) -> tuple[Acceptance, ...]:
    """What was accepted and is no gap: an entry that would hide the next one."""
    needed = {name for row in rows if row.verdict != "ok" for name in row.clause.references} | set(risks)
    return tuple(entry for entry in accepted if entry.of not in needed)


def _holds(
    clause: Clause, grants: dict[tuple[str, str, str], Grant], facts: Facts, holding: Holding
) -> tuple[Hold, ...]:
    if clause.name == "never":
        return (Hold("gateway", "exact"),)
    grant = grants[clause.grant, clause.tool, clause.verb]
    return tuple(holding(grant, route(grant, facts), clause.name))


def _row(clause: Clause, holds: tuple[Hold, ...], accepted: Sequence[Acceptance], today: dt.date) -> Row:
    if any(hold.strength == "exact" for hold in holds):
        return Row(clause, holds, "ok")
    why = "; ".join(f"{hold.layer}: {hold.why}" for hold in holds if hold.why) or "no layer of this target holds it"
    entry = next((entry for entry in accepted if entry.of in clause.references), None)
    if entry is None:
        return Row(clause, holds, "open", why)
    if entry.until < today:
        return Row(clause, holds, "open", f"{why}; it was accepted until {entry.until} ({entry.where})")
    return Row(clause, holds, "accepted", f"{why}; accepted by {entry.owner} until {entry.until}: {entry.reason}")
