"""Findings: what one reach allows beyond another, as a reviewer approves it. Pure.

Goes in: the reach of what runs and the reach of what is planned. Comes out: findings, in the order in which screens
number them: wider, unproved, narrower. What only renames, reorders or splits gives none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from bedplate.access.gains import TIME_IS_UP, Gain, Known, beyond, gains, new_document
from bedplate.access.model import ScopeSet
from bedplate.access.prover import Oracle, Prover, Spent, TimeUp, Unclear, patience
from bedplate.access.reach import Link, Reach, Source, Thing
from bedplate.access.words import shown, written

Effect = Literal["wider", "narrower", "unproved"]
FIRST = "first release"
STATEMENTS = (
    *("runs", "connects to", "uses", "uses secret", "talks to", "reads", "asks", "asks for", "offers"),
    *("lets through", "lets stand"),
)
"""Verbs that are no grants: they say what is, not what may be asked for."""
_ORDER = {"wider": 0, "unproved": 1, "narrower": 2}
_NOTHING: Known = MappingProxyType({})


@dataclass(frozen=True)
class Finding:
    """One way in which a stage may do more, or less, than before. `unproved` counts as wider.

    `subject` is a tool's name, `memory`, `model`, `approvals`, `ceiling` or `accept`; `verb` that of a grant, or one of
    `STATEMENTS`; `object` the pattern or thing as the manifest writes it; `behind` what stands behind the subject.
    `witness` is one concrete request that is allowed now and was not, for `narrower` the other way round. `reason` says
    why it is unproved, or what changed. `where` is `agent.yaml:LINE`, "" where the line is gone.
    """

    effect: Effect
    subject: str
    verb: str
    object: str
    behind: str = ""
    witness: str = ""
    reason: str = ""
    where: str = ""

    def digest(self, agent: str, stage: str) -> str:
        """`sha256:` and 64 hex digits: what an approval is bound to. Witness and line may change without it."""
        bound = {"agent": agent, "stage": stage, "effect": self.effect, "subject": self.subject, "verb": self.verb}
        bound |= {"object": self.object, "behind": self.behind, "reason": self.reason}
        text = json.dumps(bound, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Look:
    """Where to look for witnesses, for how long, and who judges them."""

    known: Known
    spent: Spent
    oracle: Oracle | None


def compare(
    old: Reach | None, new: Reach, known: Known = _NOTHING, spent: Spent | None = None, oracle: Oracle | None = None
) -> tuple[Finding, ...]:
    """Every way in which `new` goes beyond `old` or falls behind it; None is a stage where nothing runs.

    Exact for grants and `never`: there is a `wider` one for a tool exactly where it may do something that it could not.
    `known` holds real documents by data source and operations by tool, from which witnesses are taken first. What is
    not compared when time is `spent`, or after very many steps, is unproved. `oracle` judges each witness again.
    """
    look = _Look(known, spent or patience(), oracle)
    if old is None:
        return ordered(replace(f, reason=_said(FIRST, f.reason)) for f in _more(Reach(), new, look))
    more, less = _more(old, new, look), _less(old, new, look)
    return ordered([*more, *_changed(old, new), *_pins(old, new), *less])


def _more(old: Reach, new: Reach, look: _Look, *, back: bool = False) -> Iterator[Finding]:
    """What `new` has and `old` has not, as wider. `back`: it is `new` that runs and `old` that is planned."""
    tools = {thing.name: thing for thing in new.things}
    for gain in gains(old, new, look.known, look.spent, look.oracle):
        yield _of_grant(gain, tools.get(gain.grant.tool), back=back)
    had = {thing.name for thing in old.things}
    for thing in new.things:
        if thing.name not in had and _tells(thing):
            yield Finding("wider", thing.name, thing.verb, thing.behind, where=thing.where)
    linked = {(link.subject, link.verb, link.object) for link in old.links}
    for link in new.links:
        if (link.subject, link.verb, link.object) not in linked:
            yield Finding("wider", link.subject, link.verb, link.object, _behind(tools, link), where=link.where)
    yield from _sources(old, new, look, back=back)
    yield from _ceiling(old, new, look, back=back)
    for entry in new.answered:
        if not any(was.gap == entry.gap and was.until >= entry.until for was in old.answered):
            gap = f"{entry.gap} until {entry.until}"
            yield Finding("wider", "accept", "lets stand", gap, reason=entry.by, where=entry.where)


def _less(old: Reach, new: Reach, look: _Look) -> Iterator[Finding]:
    """What only the old reach has. The line is that of the like in the new one, else of the tool or model."""
    alike = {(link.subject, link.verb): link.where for link in new.links}
    lines = {what.subject: what.where for what in new.links} | {thing.name: thing.where for thing in new.things}
    lines |= {"ceiling": new.ceiling.where} if new.ceiling else {}
    for finding in _more(new, old, look, back=True):
        # Whatever is wider has a finding of its own, so that a doubt here is not about that.
        reason = f"at most: {finding.reason}" if finding.effect == "unproved" else finding.reason
        where = alike.get((finding.subject, finding.verb)) or lines.get(finding.subject, "")
        yield replace(finding, effect="narrower", reason=reason, where=where)


def _of_grant(gain: Gain, thing: Thing | None, *, back: bool) -> Finding:
    grant, request = gain.grant, gain.request
    return Finding(
        "wider" if request else "unproved",
        grant.tool,
        grant.verb,
        written(grant),
        behind=thing.behind if thing else "",
        witness=shown(grant, request, operation=bool(gain.lifted)) if request else "",
        reason=_why(gain, back=back),
        where=grant.where,
    )


def _why(gain: Gain, *, back: bool) -> str:
    lifted = f"`never` {gain.lifted} {'added' if back else 'removed'}" if gain.lifted else ""
    asked = ("asked now" if back else "asked before") if gain.asked else ""
    limited = f"limit {'lowered' if back else 'raised'}" if gain.limited else ""
    fresh = f"no longer pinned: {', '.join(gain.fresh)}" if back else f"newly pinned: {', '.join(gain.fresh)}"
    # A prohibition that goes away later changes what is approved here, so that it belongs to the finding.
    kept = f"but `never` {', '.join(gain.but)}" if gain.but and not back else ""
    return _said(lifted, asked, limited, fresh if gain.fresh else "", gain.doubtful, kept)


def _sources(old: Reach, new: Reach, look: _Look, *, back: bool) -> Iterator[Finding]:
    """Data that a tool did not read before, and documents that another definition of it adds."""
    before = {(source.tool, source.name): source for source in old.sources}
    for source in new.sources:
        was = before.get((source.tool, source.name))
        if was is None:
            yield _reads("wider", source)
        elif was.path == source.path and _documents(was) != _documents(source):
            planned, runs = (was, source) if back else (source, was)
            try:
                if request := new_document(was, source, new, look.known, look.spent):
                    yield _reads("wider", planned, request.object, f"was {runs.text}")
            except (Unclear, TimeUp) as doubt:
                yield _reads("unproved", planned, reason=_said(str(doubt) or TIME_IS_UP, f"was {runs.text}"))


def _documents(source: Source) -> tuple[object, ...]:
    return source.prefix, source.include, source.exclude


def _reads(effect: Effect, source: Source, witness: str = "", reason: str = "") -> Finding:
    return Finding(effect, source.tool, "reads", source.text, witness=witness, reason=reason, where=source.where)


def _ceiling(old: Reach, new: Reach, look: _Look, *, back: bool) -> Iterator[Finding]:
    """What the ceiling does not keep out any more. Where nothing is granted there is nothing to keep out."""
    was, now = old.ceiling, new.ceiling
    if was is None or not new.scopes.grants:
        return
    if now is None:
        reason = f"{'now' if back else 'was'} {was.path}"
        yield Finding("wider", "ceiling", "lets through", "everything", reason=reason)
        return
    for gain in gains(*_under(old, new, (old if back else new)), look.known, look.spent):
        effect: Effect = "wider" if gain.request else "unproved"
        witness = shown(gain.grant, gain.request) if gain.request else ""
        what = f"{gain.grant.tool} {gain.grant.verb} {written(gain.grant)}"
        reason = _why(gain, back=back)
        yield Finding(effect, "ceiling", "lets through", what, witness=witness, reason=reason, where=now.where)
    kept = [never.pattern for never in now.scopes.never]
    for pattern in sorted({never.pattern for never in was.scopes.never if beyond(never.pattern, kept)}):
        reason = f"`never` {'added' if back else 'removed'}"
        yield Finding("wider", "ceiling", "lets through", f"call {pattern}", reason=reason, where=now.where)


def _under(old: Reach, new: Reach, planned: Reach) -> tuple[Reach, Reach]:
    """Both ceilings over the tools that both agents have, as they are planned: only the ceilings may differ."""
    names = {thing.name for thing in old.things} & {thing.name for thing in new.things}
    things = tuple(thing for thing in planned.things if thing.name in names)
    never = new.ceiling.scopes.never if new.ceiling else ()
    most = []
    for reach in (old, new):
        grants = (grant for grant in (reach.ceiling.scopes.grants if reach.ceiling else ()) if grant.tool in names)
        most.append(Reach(ScopeSet(tuple(grants), never, planned.scopes.operations), things))
    return most[0], most[1]


def _changed(old: Reach, new: Reach) -> Iterator[Finding]:
    """The same name with something else behind it: nobody can prove what that may do."""
    before = {thing.name: thing for thing in old.things}
    for thing in new.things:
        was = before.get(thing.name)
        if was and _identity(was) != _identity(thing):
            yield Finding(
                "unproved",
                thing.name,
                thing.verb,
                thing.behind,
                reason=_move(was.behind, thing.behind),
                where=thing.where,
            )
    paths = {(source.tool, source.name): source for source in old.sources}
    for source in new.sources:
        moved = paths.get((source.tool, source.name))
        if moved and moved.path != source.path:
            yield _reads("unproved", source, reason=_move(moved.text, source.text))


def _pins(old: Reach, new: Reach) -> Iterator[Finding]:
    """Operations whose schema is another one: what they do now is not what was reviewed."""
    things = {thing.name: thing for thing in new.things}
    for name, reason in Prover(old.scopes, new.scopes, patience()).changed_pins():
        tool, _, operation = name.partition(".")
        line = next((grant.where for grant in new.scopes.grants if grant.tool == tool), "")
        behind = things[tool].behind if tool in things else ""
        yield Finding("unproved", tool, "offers", operation or "*", behind, reason=reason, where=line)


def _tells(thing: Thing) -> bool:
    """Whether the thing itself is a finding. Of a search tool its data is, of memory and the like their grants are."""
    return thing.kind not in {"search", "memory", "state", "sandbox"}


def _identity(thing: Thing) -> tuple[object, ...]:
    return (thing.kind, thing.verb, thing.behind, thing.operations) if _tells(thing) else (thing.kind,)


def _behind(tools: Mapping[str, Thing], link: Link) -> str:
    return tools[link.subject].behind if link.subject in tools else ""


def _move(old: str, new: str) -> str:
    return f"{old} → {new}"


def _said(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Wider, unproved, narrower; in each by subject, its grants before what stands behind it."""
    return tuple(
        sorted(findings, key=lambda f: (_ORDER[f.effect], f.subject, f.verb in STATEMENTS, f.verb, f.object, f.reason))
    )
