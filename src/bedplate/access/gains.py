"""What one reach allows and another does not, grant by grant: exact, each with one request that shows it. Pure.

A request is allowed where no `never` matches `tool.operation` and a grant of its tool and verb matches its object,
which for the verb `call` is the operation. A grant can allow more for two reasons: no old grant matches the object, or
a `never` that forbade the operation is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bedplate.access.automata import TooManyStates, witness
from bedplate.access.decide import decide
from bedplate.access.globs import covers, matches
from bedplate.access.model import Grant, Request
from bedplate.access.reach import Reach, Source, Thing

Known = Mapping[str, Sequence[str]]
"""What really exists: the paths of documents by data source, the names of operations by tool."""
TOO_MANY = "too many patterns to compare"
_UNLIKELY = (
    *("*/", "*_", "*-", "*.", ".*", "_*", "-*", "*/.*", "*/_*", "*/-*"),
    *("*._*", "*.-*", "*_.*", "*-.*", "*..*", "*://*//*"),
)
"""Forms that few real names have: what a shortest text looks like where a `*` stands for nothing."""


@dataclass(frozen=True)
class Gain:
    """A grant by which something new is allowed, and a request that shows it.

    `request` is None where it is `doubtful` whether there is one. `lifted` is the `never` that forbade it before;
    `but` are those that still forbid some of what the grant names.
    """

    grant: Grant
    request: Request | None
    lifted: str = ""
    but: tuple[str, ...] = ()
    doubtful: str = ""


def gains(old: Reach, new: Reach, known: Known) -> list[Gain]:
    """What the new grants allow and `old` does not, without grants that another one found covers.

    A grant stands here once for what it names anew, and once for each `never` that is gone.
    """
    search = _Search(old, new, known)
    found = [gain for grant in new.scopes.grants for gain in search.of_grant(grant)]
    alike: dict[tuple[str, str, str], list[Gain]] = {}
    for gain in found:
        alike.setdefault(_kind(gain), []).append(gain)
    return [gain for gain in found if not _told(gain, alike[_kind(gain)])]


def new_document(old: Source, new: Source, reach: Reach, known: Known) -> Request | None:
    """A document that `new` has, `old` has not, and a grant of `reach` gives. Raises TooManyStates."""
    search = _Search(Reach(), reach, known)
    grants = (grant for grant in reach.scopes.grants if (grant.tool, grant.verb) == (new.tool, "read"))
    return next((found for grant in grants if (found := search.document(grant, old, new))), None)


def _kind(gain: Gain) -> tuple[str, str, str]:
    return gain.grant.tool, gain.grant.verb, gain.lifted


def _told(gain: Gain, alike: Sequence[Gain]) -> bool:
    """Whether another gain of its kind covers it; of two that cover each other the first stays."""
    mine, before = gain.grant.pattern, True
    for other in alike:
        if other is gain:
            before = False
        elif covers(other.grant.pattern, mine) and (before or not covers(mine, other.grant.pattern)):
            return True
    return False


@dataclass(frozen=True)
class _Realm:
    """The objects that exist for a tool: what one `include` of its data matches; all where nothing is known."""

    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class _Search:
    """Looks for requests that `new` allows and `old` does not."""

    def __init__(self, old: Reach, new: Reach, known: Known) -> None:
        self._old, self._new, self._known = old, new, known
        self._never = [n.pattern for n in new.scopes.never]
        self._lifted = [n.pattern for n in old.scopes.never if n.pattern not in self._never]
        self._held: dict[tuple[str, str], list[str]] = {}
        for grant in old.scopes.grants:
            self._held.setdefault((grant.tool, grant.verb), []).append(grant.pattern)
        self._realms: dict[tuple[str, str], list[_Realm]] = {}
        self._documents: dict[str, list[str]] = {}
        for source in new.sources:
            self._realms.setdefault((source.tool, "read"), []).extend(_realms(source))
            paths = (source.prefix + path for path in known.get(source.name, ()))
            self._documents.setdefault(source.tool, []).extend(paths)
        self._things = (_by_name(old.things), _by_name(new.things))
        self._names: dict[tuple[str, ...], str | None] = {}

    def of_grant(self, grant: Grant) -> Iterator[Gain]:
        """The gains of one new grant; none where the old reach allows all that it does."""
        held = self._held.get((grant.tool, grant.verb), [])
        for lifted in ("", *self._lifted):
            if not lifted and any(covers(pattern, grant.pattern) for pattern in held):
                continue  # most grants end here: nothing is to be searched for
            try:
                request = self._request(grant, [] if lifted else held, lifted)
                if request:
                    yield self._replayed(Gain(grant, request, lifted, self._but(grant)))
            except TooManyStates:
                yield Gain(grant, None, lifted, doubtful=TOO_MANY)

    def _but(self, grant: Grant) -> tuple[str, ...]:
        """What `never` still forbids of the grant."""
        dot = f"{grant.tool}."
        named = [dot + grant.pattern] if grant.verb == "call" else []
        names = self._named(grant.tool, grant.verb)
        meets = (p for p in self._never if any(witness([name, p, *named], [dot]) for name in names))
        return tuple(sorted(set(meets)))

    def _request(self, grant: Grant, held: Sequence[str], never: str) -> Request | None:
        """A request that may be made, for an object that no pattern of `held` matches; one that `never` forbade."""
        if grant.verb == "call":
            return self._call(grant, held, (never,) if never else ())
        operation = self._operation(grant, (never,) if never else ())
        found = self._object(grant, held) if operation else None
        return Request(grant.tool, operation, grant.verb, found) if operation and found else None

    def _call(self, grant: Grant, held: Sequence[str], never: tuple[str, ...]) -> Request | None:
        """A call: its object is its operation, so that grants and prohibitions speak of one text, `tool.operation`."""
        dot = f"{grant.tool}."
        refused = [*(dot + pattern for pattern in held), *self._never, dot]
        known = [dot + name for name in self._known.get(grant.tool, ())]
        for name in self._named(grant.tool, "call"):
            if found := _likeliest([name, dot + grant.pattern, *never], refused, known):
                operation = found.removeprefix(dot)
                return Request(grant.tool, operation, "call", operation)
        return None

    def _operation(self, grant: Grant, never: tuple[str, ...]) -> str | None:
        """An operation that may be used at all; with `never`, one that it forbade."""
        key = (grant.tool, grant.verb, *never)
        if key not in self._names:
            dot = f"{grant.tool}."
            named = self._named(grant.tool, grant.verb)
            found = (_likeliest([name, *never], [*self._never, dot], ()) for name in named)
            self._names[key] = next((name.removeprefix(dot) for name in found if name), None)
        return self._names[key]

    def _named(self, tool: str, verb: str) -> list[str]:
        """Globs for the tool's operations. Where it was or is another one, its operations too: `compare` tells that."""
        sides = [side[tool].operations for side in self._things if tool in side]
        if not sides or None in sides:
            return [f"{tool}.*"]
        pairs = dict.fromkeys(pair for operations in sides for pair in operations or ())
        return [f"{tool}.{name}" for verb_of, name in pairs if verb_of == verb]

    def _object(self, grant: Grant, held: Sequence[str]) -> str | None:
        """An object of the grant that exists and that no pattern of `held` matches."""
        known = self._documents.get(grant.tool, [])
        realms = self._realms.get((grant.tool, grant.verb), [_Realm()])
        found = (_likeliest([grant.pattern, *realm.within], [*held, *realm.without, ""], known) for realm in realms)
        return _real(found, known)

    def document(self, grant: Grant, old: Source, new: Source) -> Request | None:
        """A document of the grant that the new definition has and the old one has not, or had left out."""
        operation = self._operation(grant, ())
        known = self._documents.get(new.tool, [])
        had = [old.prefix + pattern for pattern in old.include]
        ways = [((), had), *(((old.prefix + pattern,), []) for pattern in old.exclude)]
        found = _real(
            (
                _likeliest([grant.pattern, *realm.within, *more], [*refused, *realm.without], known)
                for realm in _realms(new)
                for more, refused in ways
            ),
            known,
        )
        return Request(grant.tool, operation, grant.verb, found) if operation and found else None

    def _replayed(self, gain: Gain) -> Gain:
        """The gain, once the decider agrees. A disagreement leaves it unproved."""
        request = gain.request
        if request and decide(self._new.scopes, request).allowed and not decide(self._old.scopes, request).allowed:
            return gain
        return replace(gain, request=None, doubtful=f"the decider does not agree on {request}")


def _likeliest(wanted: Sequence[str], refused: Sequence[str], known: Iterable[str]) -> str | None:
    """A text that all of `wanted` match and none of `refused`: a known one, else one like a name, else any."""
    for text in known:
        if all(matches(p, text) for p in wanted) and not any(matches(p, text) for p in refused):
            return text
    try:
        found = witness(wanted, [*refused, *_UNLIKELY])
    except TooManyStates:
        found = None  # the looks are for the reader only
    return found or witness(wanted, refused)


def _real(found: Iterable[str | None], known: Sequence[str]) -> str | None:
    """One of the texts found: a real one if there is any."""
    texts = [text for text in found if text]
    return next((text for text in texts if text in known), texts[0] if texts else None)


def _realms(source: Source) -> Iterator[_Realm]:
    without = (source.prefix, *(source.prefix + pattern for pattern in source.exclude))  # no document has no name
    for pattern in source.include:
        yield _Realm((source.prefix + pattern,), without)


def _by_name(things: Iterable[Thing]) -> dict[str, Thing]:
    return {thing.name: thing for thing in things}
