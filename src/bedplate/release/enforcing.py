"""What must hold of access in every build: each clause has a layer that holds it, the rule of two, the ceiling.

Goes in: a blueprint, the day, and when time is up. Comes out: the rows of the enforcement matrix, and problems. The
same ones for `validate`, `plan`, `up`, `promote` and a review.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedplate.access import layers
from bedplate.access.facts import Facts
from bedplate.access.flow import RISK, rule_of_two
from bedplate.access.gains import Gain, gains
from bedplate.access.lint import lint
from bedplate.access.matrix import Acceptance, Holding, Row, Verdict, matrix, unused
from bedplate.access.prove import Spent
from bedplate.access.words import shown, written
from bedplate.blueprint.facts import facts
from bedplate.blueprint.model import Blueprint, Ceiling
from bedplate.blueprint.reach import documents, reach
from bedplate.problems import BedplateError, Problem, Severity, Where
from bedplate.release.compiling import left

PATIENCE = 3.0
"""Seconds that all proofs of one check may take; what is not proved then is said to be unproved."""
_GAPS: tuple[Verdict, ...] = ("open", "accepted")


@dataclass(frozen=True)
class Matrix:
    """The enforcement matrix of one stage. `risk` is the way through all three of the rule of two, "" for none."""

    agent: str
    stage: str
    target: str
    rows: tuple[Row, ...]
    risk: str = ""

    def of(self, verdict: Verdict) -> tuple[Row, ...]:
        """The rows with this verdict."""
        return tuple(row for row in self.rows if row.verdict == verdict)

    @property
    def held(self) -> bool:
        """Whether no clause is open."""
        return not self.of("open")

    @property
    def words(self) -> str:
        """`14 clauses, all held`, or how many are not, and which."""
        count = f"{len(self.rows)} clause{'' if len(self.rows) == 1 else 's'}"
        parts = [f"{len(rows)} {word}: {_named(rows)}" for word in _GAPS if (rows := self.of(word))]
        parts = parts or ["all held"]
        parts += [f"against the rule of two: {self.risk}"] if self.risk else []
        return f"{count}, {'; '.join(parts)}"

    @property
    def calm(self) -> bool:
        """Whether there is nothing to say but that all is held."""
        return len(self.of("ok")) == len(self.rows) and not self.risk

    @property
    def summary(self) -> dict[str, Any]:
        """What a plan says of it: how many clauses there are, and those that are not held."""
        gaps = [row for word in _GAPS for row in self.of(word)]
        return {"clauses": len(self.rows), "gaps": [_row_json(row) for row in gaps], "risk": self.risk}

    def to_json(self) -> dict[str, Any]:
        """The matrix as JSON values (schema `bedplate.dev/access-matrix/v1`)."""
        return {
            "schema": "bedplate.dev/access-matrix/v1",
            "ok": self.held,
            "agent": self.agent,
            "stage": self.stage,
            "target": self.target,
            "rows": [_row_json(row) for row in self.rows],
            "risk": self.risk,
        }


def _named(rows: Iterable[Row]) -> str:
    return ", ".join(dict.fromkeys(f"{row.clause.tool or 'never'}/{row.clause.name}" for row in rows))


def _row_json(row: Row) -> dict[str, Any]:
    return {
        **asdict(row.clause),
        "holds": [asdict(hold) for hold in row.holds],
        "verdict": row.verdict,
        "note": row.note,
    }


def matrix_of(blueprint: Blueprint, *, isolated: bool = True) -> Matrix:
    """The matrix of one stage on its target, today. `isolated`: a sandbox works where it runs.

    Raises BedplateError (BP850 to BP854) where a compiler refuses a scope.
    """
    known = facts(blueprint)
    rows = _rows(blueprint, known, _accepted(blueprint), today(), isolated=isolated)
    path = rule_of_two(blueprint.scopes, known)
    return Matrix(blueprint.name, blueprint.stage, blueprint.target, rows, path.text if path else "")


def require_enforced(blueprint: Blueprint) -> None:
    """Raises BedplateError with everything of a stage that nothing holds or that goes too far: BP850 to BP876."""
    problems = [p for p in problems_of(blueprint, today(), within(PATIENCE)) if p.severity is Severity.ERROR]
    if problems:
        raise BedplateError(*problems)


def today() -> dt.date:
    """The day, in UTC."""
    return dt.datetime.now(dt.UTC).date()


def within(seconds: float) -> Spent:
    """Says when so many seconds from now are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def problems_of(blueprint: Blueprint, day: dt.date, spent: Spent) -> Iterator[Problem]:
    """Everything of a stage that nothing holds, that goes too far, or that is said in vain."""
    known, accepted = facts(blueprint), _accepted(blueprint)
    try:
        rows = _rows(blueprint, known, accepted, day, isolated=True)
    except BedplateError as error:
        yield from error.problems
        return
    yield from (_open(row, blueprint) for row in rows if row.verdict == "open" and not layers.unserved(row.holds))
    path = rule_of_two(blueprint.scopes, known)
    if path is not None and not any(entry.of == RISK and entry.until >= day for entry in accepted):
        ran_out = next((f"; it was accepted until {e.until} ({e.where})" for e in accepted if e.of == RISK), "")
        yield _risky(path.text + ran_out, path.effect.where)
    yield from _beyond(blueprint, spent)
    for remark in lint(blueprint.scopes, known, spent):
        yield Problem("BP877", remark.text, _place(remark.where), severity=Severity.WARNING)


def needless(blueprints: Iterable[Blueprint], day: dt.date) -> Iterator[Problem]:
    """What is accepted and is a gap in none of these stages."""
    entries: dict[Acceptance, bool] = {}
    for blueprint in blueprints:
        if accepted := _accepted(blueprint):
            known = facts(blueprint)
            rows = _rows(blueprint, known, accepted, day, isolated=False)
            without = unused(rows, accepted, [RISK] if rule_of_two(blueprint.scopes, known) else [])
            entries |= {entry: entries.get(entry, True) and entry in without for entry in accepted}
    for entry in (entry for entry, useless in entries.items() if useless):
        what = f"`{entry.of}` is accepted, and there is no such gap"
        fix = "remove the entry; `bedplate access matrix` shows all clauses"
        yield Problem("BP878", what, _place(entry.where), fix=fix, severity=Severity.WARNING)


def _rows(
    blueprint: Blueprint, known: Facts, accepted: Sequence[Acceptance], day: dt.date, *, isolated: bool
) -> tuple[Row, ...]:
    return matrix(blueprint.scopes, known, _holding(blueprint, isolated=isolated), accepted, day)


def _holding(blueprint: Blueprint, *, isolated: bool) -> Holding:
    match blueprint.target:
        case "local":
            return layers.local(isolated=isolated)
        case "docker":
            return layers.docker(left(blueprint))
        case "aws":
            return layers.aws(left(blueprint))


def _accepted(blueprint: Blueprint) -> tuple[Acceptance, ...]:
    return tuple(
        Acceptance(e.risk or e.clause, e.reason, e.owner, dt.date.fromisoformat(e.until), e.where)
        for e in blueprint.accept
    )


def _open(row: Row, blueprint: Blueprint) -> Problem:
    clause = row.clause
    reference = f"{clause.tool}/{clause.name}"
    what = f"nothing on the target `{blueprint.target}` holds `{reference}`"
    fix = f"change the scope, or answer for the gap: accept: [{{clause: {reference}, reason: …, owner: …, until: …}}]"
    return Problem("BP873", what, _place(clause.where), f"{clause.text}: {row.note}", fix)


def _risky(path: str, where: str) -> Problem:
    what = f"untrusted input, private data and an effect outside come together: {path}"
    fix = "ask a person (`ask: true`), drop one of the three, or answer for it: accept: [{risk: rule-of-two, …}]"
    return Problem("BP874", what, _place(where), fix=fix)


def _beyond(blueprint: Blueprint, spent: Spent) -> Iterator[Problem]:
    """Where the agent may do what the ceiling does not allow, each grant with a request."""
    ceiling = blueprint.ceiling
    if ceiling is None:
        return
    mine = reach(blueprint)
    most = replace(mine, scopes=replace(ceiling.scopes, operations=blueprint.scopes.operations))
    lifted: set[str] = set()
    for gain in gains(most, mine, documents(blueprint), spent):
        if not gain.lifted:
            yield _beyond_by(gain, ceiling.path)
        elif gain.lifted not in lifted:
            lifted.add(gain.lifted)
            yield _not_denied(gain, ceiling)


def _not_denied(gain: Gain, ceiling: Ceiling) -> Problem:
    """A `never` of the ceiling is one problem, however many grants meet it."""
    example = shown(gain.grant, gain.request, operation=True) if gain.request else gain.doubtful
    what = f"{ceiling.path} forbids `{gain.lifted}`, and the manifest does not, e.g. {example}"
    fix = f'add it: never: [{{call: "{gain.lifted}"}}]'
    return Problem("BP875", what, _place(ceiling.where), fix=fix)


def _beyond_by(gain: Gain, path: str) -> Problem:
    grant = gain.grant
    what = f"{grant.tool} may {grant.verb} {written(grant)}"
    if gain.request is None:
        summary = f"it is not proved that {path} allows what {what}"
        fix = "write the scope in simpler patterns, or as the ceiling has it"
        return Problem("BP876", summary, _place(grant.where), gain.doubtful, fix)
    asked = "; there a person is asked" if gain.asked else "; there its limit is lower" if gain.limited else ""
    summary = f"{what}, which is beyond {path}: e.g. {shown(grant, gain.request)}{asked}"
    fix = "narrow the scope; the ceiling is changed by those who own it"
    return Problem("BP875", summary, _place(grant.where), fix=fix)


def _place(where: str) -> Where | None:
    file, _, line = where.rpartition(":")
    return Where(file, int(line)) if file and line.isdigit() else None
