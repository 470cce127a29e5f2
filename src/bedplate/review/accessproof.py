"""`access prove`: whether all that one side may do, another may do too, with a request where it may not.

Goes in: two references as `access diff` takes them. Comes out: `Proof`. Nothing of a side is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bedplate.access.answers import Narrower, Same, Unproved, Wider
from bedplate.access.decide import decide
from bedplate.access.findings import Finding, compare
from bedplate.access.judges import judge
from bedplate.access.model import Request
from bedplate.access.prove import Second, widens
from bedplate.access.second import installed
from bedplate.access.why import asked
from bedplate.blueprint.model import Blueprint
from bedplate.blueprint.reach import documents, reach
from bedplate.problems import ExitCode
from bedplate.release.enforcing import within
from bedplate.review.accessdiff import Reference, Verdict, sides_of

SCHEMA = "bedplate.dev/access-proof/v1"
Judge = Literal["decide", "cedar", "cvc5"]


@dataclass(frozen=True)
class Proof:
    """The answer. `inner` and `outer` say what was compared; `judges` who agreed to it.

    `request` is allowed, or asked less for, by `inner` only; `where` the line of the scope behind it. `reason` says why
    it is unproved, or what is wider where no single request is.
    """

    agent: str
    inner: str
    outer: str
    verdict: Verdict
    judges: tuple[Judge, ...]
    request: Request | None = None
    effects: tuple[str, str] = ("", "")
    """The request's decision by `outer` and by `inner`."""
    reason: str = ""
    where: str = ""

    @property
    def exit(self) -> ExitCode:
        """3 where it is not proved."""
        return ExitCode.OK if self.verdict in {"same", "narrower"} else ExitCode.NEEDS_APPROVAL

    def to_json(self) -> dict[str, Any]:
        """The proof as JSON values (schema `bedplate.dev/access-proof/v1`)."""
        return {
            "schema": SCHEMA,
            "ok": self.exit is ExitCode.OK,
            "agent": self.agent,
            "stage": self.inner,
            "within": self.outer,
            "verdict": self.verdict,
            "request": self.request and asked(self.request),
            "effects": {"within": self.effects[0], "stage": self.effects[1]} if self.request else None,
            "reason": self.reason,
            "where": self.where,
            "judges": list(self.judges),
        }


def access_proof(manifest: Path, inner: str, outer: str, seconds: float) -> Proof:
    """Prove, within so many seconds. A side that is no stage is taken at the other's stage; where both are none, first.

    Raises what `access_diff` raises.
    """
    with tempfile.TemporaryDirectory(prefix="bedplate-access-") as folder:
        around, mine = sides_of(manifest, Path(folder).resolve(), outer, inner)
        stage = mine.stage or around.stage or next(iter(mine.blueprints))
        new, old = mine.of(mine.stage or stage), around.of(around.stage or stage)
    return _proof(new, old, _label(mine, new), _label(around, old), seconds)


def _label(side: Reference, blueprint: Blueprint) -> str:
    return side.label if side.stage else f"{side.label}, stage {blueprint.stage}"


def _proof(new: Blueprint, old: Blueprint, inner: str, outer: str, seconds: float) -> Proof:
    oracle, second = judge(), _second(seconds)
    spent = within(seconds)
    answer = widens(old.scopes, new.scopes, spent=spent, oracle=oracle, second=second)
    base = Proof(new.name, inner, outer, "same", _judges(cedar=oracle is not None, cvc5=second is not None))
    match answer:
        case Wider(witness=request):
            return _wider(base, request, old, new)
        case Unproved(reason=reason):
            return replace(base, verdict="unproved", reason=reason)
        case Same() | Narrower():
            behind = _behind(old, new, {**documents(old), **documents(new)})
            if behind is not None:
                said = f"{behind.subject} {behind.verb} {behind.object}"
                reason = f"{said}: {behind.reason}" if behind.reason else said
                return replace(base, verdict=behind.effect, reason=reason, where=behind.where)
            return replace(base, verdict="same" if isinstance(answer, Same) else "narrower")


def _judges(*, cedar: bool, cvc5: bool) -> tuple[Judge, ...]:
    return ("decide", *(("cedar",) if cedar else ()), *(("cvc5",) if cvc5 else ()))


def _second(seconds: float) -> Second | None:
    """cvc5 where it is installed, which is loaded for nothing else."""
    if not installed():
        return None
    from bedplate.access.encode import of_scopes

    return of_scopes(seconds)


def _wider(base: Proof, request: Request, old: Blueprint, new: Blueprint) -> Proof:
    before, after = decide(old.scopes, request), decide(new.scopes, request)
    reason = "" if after.effect > before.effect else "a limit of that scope is wider"
    effects = (before.effect.word, after.effect.word)
    return replace(base, verdict="wider", request=request, effects=effects, reason=reason, where=after.where)


def _behind(old: Blueprint, new: Blueprint, known: Mapping[str, tuple[str, ...]]) -> Finding | None:
    """What is wider besides what scopes say: another command, source, secret or model."""
    found = compare(reach(old), reach(new), known)
    return next((finding for finding in found if finding.effect != "narrower"), None)
