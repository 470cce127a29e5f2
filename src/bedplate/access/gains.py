"""What one reach allows and another does not, grant by grant: exact, each with one request that shows it. Pure.

A grant can allow more for several reasons: no old grant allows the request, or only after asking; a `never` that
forbade the operation is gone; the operation is new among those pinned; or its limit is wider.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bedplate.access.automata import TooManyStates, witness
from bedplate.access.budgets import within
from bedplate.access.covering import plainly_covers
from bedplate.access.model import Grant, Request
from bedplate.access.prover import Oracle, Prover, Realm, Spent, TimeUp, Unclear, World, patience
from bedplate.access.reach import Reach, Source
from bedplate.access.words import written

Known = Mapping[str, Sequence[str]]
"""What really exists: the paths of documents by data source, the names of operations by tool."""
TOO_MANY = "too many patterns to compare"
TIME_IS_UP = "time is up"
SHARED = "the limit was one with that of other scopes"


@dataclass(frozen=True)
class Gain:
    """A grant by which something new is allowed, and a request that shows it.

    `request` is None where it is `doubtful` whether there is one. `lifted` is the `never` that forbade it before;
    `but` are those that still forbid some of what the grant names. `asked`: before, a person was asked. `limited`: only
    a limit of the grant is wider. `fresh` are operations that were not pinned before.
    """

    grant: Grant
    request: Request | None
    lifted: str = ""
    but: tuple[str, ...] = ()
    doubtful: str = ""
    asked: bool = False
    limited: bool = False
    fresh: tuple[str, ...] = ()


def gains(old: Reach, new: Reach, known: Known, spent: Spent | None = None, oracle: Oracle | None = None) -> list[Gain]:
    """What the new grants allow and `old` does not, without grants that another one found covers.

    A grant stands here once for what it names anew, and once for each `never` that is gone.
    """
    search = _Search(old, new, known, spent or patience(), oracle)
    found = [gain for grant in new.scopes.grants for gain in search.of_grant(grant)]
    alike: dict[tuple[str, str, str], list[Gain]] = {}
    for gain in found:
        alike.setdefault(_kind(gain), []).append(gain)
    return [gain for gain in found if not _told(gain, alike[_kind(gain)])]


def new_document(old: Source, new: Source, reach: Reach, known: Known, spent: Spent) -> Request | None:
    """A document that `new` has, `old` has not, and a grant of `reach` gives. Raises Unclear or TimeUp."""
    prover = Prover(Reach().scopes, reach.scopes, spent, world=_world(Reach(), reach, known))
    had = tuple(old.prefix + pattern for pattern in old.include)
    ways = [((), had), *(((old.prefix + pattern,), ()) for pattern in old.exclude)]
    realms = [((*wanted, *more), (*without, *refused)) for wanted, without in _realms(new) for more, refused in ways]
    grants = (grant for grant in reach.scopes.grants if (grant.tool, grant.verb) == (new.tool, "read"))
    return next((found for grant in grants if (found := prover.reaches(grant, realms))), None)


def _kind(gain: Gain) -> tuple[str, str, str]:
    return gain.grant.tool, gain.grant.verb, gain.lifted


def _told(gain: Gain, alike: Sequence[Gain]) -> bool:
    """Whether another gain of its kind covers it; of those that cover each other the one that reads first stays."""
    mine = gain.grant
    for place, other in enumerate(alike):
        wide = other.grant
        if other is gain or not (plainly_covers(wide, mine) and within(mine, wide)):
            continue
        mutual = plainly_covers(mine, wide) and within(wide, mine)
        if not mutual or (written(wide), place) < (written(mine), _place(gain, alike)):
            return True
    return False


def _place(gain: Gain, alike: Sequence[Gain]) -> int:
    return next(i for i, other in enumerate(alike) if other is gain)


class _Search:
    """Looks for requests that `new` allows and `old` does not."""

    def __init__(self, old: Reach, new: Reach, known: Known, spent: Spent, oracle: Oracle | None) -> None:
        self._never = [n.pattern for n in new.scopes.never]
        self._world = _world(old, new, known)
        self._prover = Prover(old.scopes, new.scopes, spent, oracle, self._world)
        self._sharing = {id(grant) for grant in self._prover.sharing()}

    def of_grant(self, grant: Grant) -> Iterator[Gain]:
        """The gains of one new grant; none where the old reach allows all that it does."""
        found = [gain for lifted in ("", *self._prover.lifted) if (gain := self._gain(grant, lifted))]
        yield from found or self._limited(grant)

    def _gain(self, grant: Grant, lifted: str) -> Gain | None:
        try:
            request = self._prover.gain(grant, lifted)
        except TimeUp:
            return Gain(grant, None, lifted, doubtful=TIME_IS_UP)
        except Unclear as doubt:
            return Gain(grant, None, lifted, doubtful=str(doubt))
        if request is None:
            return None
        asked = not lifted and self._prover.asked(request)
        fresh = () if lifted else self._prover.fresh(grant)
        return Gain(grant, request, lifted, self._but(grant), asked=asked, fresh=fresh)

    def _limited(self, grant: Grant) -> Iterator[Gain]:
        """What only the limits tell."""
        try:
            if request := self._prover.unlimited(grant):
                yield Gain(grant, request, but=self._but(grant), limited=True)
            elif id(grant) in self._sharing:
                yield Gain(grant, None, doubtful=SHARED)
        except TimeUp:
            yield Gain(grant, None, doubtful=TIME_IS_UP)
        except Unclear as doubt:
            yield Gain(grant, None, doubtful=str(doubt))

    def _but(self, grant: Grant) -> tuple[str, ...]:
        """What `never` still forbids of the grant."""
        dot = f"{grant.tool}."
        named = [dot + grant.pattern] if grant.verb == "call" else []
        names = self._named(grant)
        meets = (p for p in self._never if any(_meet([name, p, *named], dot) for name in names))
        return tuple(sorted(set(meets)))

    def _named(self, grant: Grant) -> list[str]:
        """Globs for the operations of the grant's tool."""
        known = self._world.operations.get(grant.tool)
        if known is None:
            return [f"{grant.tool}.*"]
        return [f"{grant.tool}.{name}" for verb, name in known if verb == grant.verb]


def beyond(pattern: str, kept: Sequence[str]) -> bool:
    """Whether a pattern matches what none of the others does; where that is not known, it is said that it does."""
    try:
        return witness([pattern], kept) is not None
    except TooManyStates:
        return True


def _meet(globs: list[str], dot: str) -> bool:
    """Whether one operation is named by all of them; where that is not known, it is said that it may be."""
    try:
        return witness(globs, [dot]) is not None
    except TooManyStates:
        return True


def _world(old: Reach, new: Reach, known: Known) -> World:
    """What exists. Where a tool was or is another one, its operations are those of both: findings tell that apart."""
    objects: dict[str, list[str]] = {}
    realms: dict[tuple[str, str], list[Realm]] = {}
    for source in new.sources:
        objects.setdefault(source.tool, []).extend(source.prefix + path for path in known.get(source.name, ()))
        realms.setdefault((source.tool, "read"), []).extend(_realms(source))
    sides: dict[str, list[tuple[tuple[str, str], ...] | None]] = {}
    for thing in (*old.things, *new.things):
        sides.setdefault(thing.name, []).append(thing.operations)
    fixed = {
        name: tuple(dict.fromkeys(pair for pairs in both for pair in pairs or ()))
        for name, both in sides.items()
        if None not in both
    }
    return World(objects, known, fixed, realms)


def _realms(source: Source) -> Iterable[Realm]:
    without = (source.prefix, *(source.prefix + pattern for pattern in source.exclude))  # no document has no name
    return [((source.prefix + pattern,), without) for pattern in source.include]
