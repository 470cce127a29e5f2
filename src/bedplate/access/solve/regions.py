"""All values of one shape that do what is demanded of one argument, and some of them as JSON. Exact. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from bedplate.access.fits import numbers as enumerated
from bedplate.access.model import Claim, Spans, Subset, Texts
from bedplate.access.solve.literals import Lit, Shape
from bedplate.access.solve.numbers import Closed, both, closed, others, pick, whole
from bedplate.access.solve.texts import Globs, exists, texts
from bedplate.access.values import DOMAINS, UNIT, spelled

_LEAST, _MOST = DOMAINS["decimal"]
_UNITS = (-(-_LEAST // UNIT), _MOST // UNIT)
"""The whole numbers that are decimals."""
_HUGE = others((_UNITS,), DOMAINS["integer"])
_TRIED = 50


class Unclear(Exception):
    """Whether there is such a value is not known; the message says why."""


@dataclass(frozen=True)
class Region:
    """The values of `shape` in `spans`, or that fit the globs.

    Texts: one of each `wanted`, none of `refused`. Lists: each element so, and for each of `lacking` one element beyond
    its globs. `equal` and `differ` are claims that the value equals or does not. `apart`: a decimal is not spelled as a
    whole number.
    """

    shape: Shape
    spans: tuple[Closed, ...] = ()
    wanted: tuple[Globs, ...] = ()
    refused: Globs = ()
    lacking: tuple[Globs, ...] = ()
    among: Globs | None = None
    equal: frozenset[str] = frozenset()
    differ: frozenset[str] = frozenset()
    apart: bool = False
    demands: frozenset[Lit] = frozenset()

    @property
    def tied(self) -> bool:
        """Whether it has to do with claims."""
        return bool(self.equal or self.differ)


def shapes(lits: Iterable[Lit]) -> tuple[Shape, ...]:
    """The shapes that a given value may have, as far as these demands can tell values apart; objects come last."""
    kinds = {lit.kind for lit in lits if lit.kind} | {lit.argument.kind for lit in lits if lit.argument}
    found: list[Shape] = []
    if "string" in kinds and kinds & {"time", "ip"}:
        found.append("mixed")
    else:
        named: tuple[tuple[str, Shape], ...] = (("string", "text"), ("time", "time"), ("ip", "ip"))
        found += [shape for kind, shape in named if kind in kinds]
    if kinds >= {"integer", "decimal"}:
        found += ["integer", "decimal", "huge"]
    else:
        found += [kind for kind in ("integer", "decimal") if kind in kinds]
    found += ["boolean"] if "boolean" in kinds else []
    found += ["list"] if "strings" in kinds else []
    return (*found, "object") if found else ("text", "object")


@lru_cache(maxsize=16384)
def region(shape: Shape, lits: frozenset[Lit]) -> Region | None:
    """The values of a shape that do all of it; None where there is none.

    Raises TooManyStates or Unclear where that is not known. What claims demand of several arguments is judged later.
    """
    judged = [(lit, lit.under(shape)) for lit in lits]
    if any(answer is False for _, answer in judged) and shape != "mixed":
        return None
    open_ = [lit for lit, answer in judged if answer is None]
    match shape:
        case "absent" | "object":
            return Region(shape)
        case "mixed":
            return _mixed(lits)
        case "text":
            found = _of_texts(open_)
        case "list":
            found = _of_lists(open_)
        case _:
            found = _of_numbers(shape, open_, apart=any(lit.kind == "integer" for lit in lits))
    return found if not found.equal & found.differ and _inhabited(found) else None


def values(found: Region, likely: Iterable[str] = ()) -> Iterator[Any]:
    """The values of a region that has some, as numbers, texts or lists: those first that people would write.

    Without repetition; it ends where there is no other. Raises TooManyStates. `likely` texts come first.
    """
    match found.shape:
        case "text":
            yield from texts(found.wanted, found.refused, found.among, likely)
        case "list":
            yield _list(found, likely)
        case "mixed":
            yield next(_candidates(found.demands))
        case "object" | "absent":
            yield {} if found.shape == "object" else None
        case _:
            yield from pick(found.shape, found.spans)


def as_json(found: Region, value: Any) -> Any:
    """A value of the region as JSON."""
    match found.shape:
        case "integer" | "decimal" | "boolean" | "time" | "ip":
            json = spelled(found.shape, value)
            return float(json) if found.shape == "decimal" and found.apart and isinstance(json, int) else json
        case _:
            return value


def _inhabited(found: Region) -> bool:
    match found.shape:
        case "text":
            return exists(found.wanted, found.refused, found.among)
        case "list":
            return all(exists(found.wanted, globs, found.among) for globs in found.lacking)
        case _:
            return bool(found.spans)


def _of_texts(lits: Iterable[Lit]) -> Region:
    wanted: list[Globs] = []
    refused: list[str] = []
    for lit in lits:
        if isinstance(lit.test, Texts):
            (wanted.append(lit.test.globs) if lit.positive else refused.extend(lit.test.globs))
    chosen = {"wanted": _sorted(wanted), "refused": tuple(sorted(set(refused))), "among": _among(lits)}
    return Region("text", **chosen, **_claims(lits))  # type: ignore[arg-type]


def _of_lists(lits: Iterable[Lit]) -> Region:
    tests = [(lit.test.globs, lit.positive) for lit in lits if isinstance(lit.test, Subset)]
    wanted = _sorted(globs for globs, positive in tests if positive)
    return Region(
        "list", wanted=wanted, lacking=_sorted(g for g, positive in tests if not positive), among=_among(lits)
    )


def _of_numbers(shape: Shape, lits: Iterable[Lit], *, apart: bool) -> Region:
    spans: tuple[Closed, ...] = _HUGE if shape == "huge" else (_domain(shape),)
    if shape == "integer" and any("decimal" in {lit.kind, lit.argument and lit.argument.kind} for lit in lits):
        spans = both(spans, (_UNITS,))
    for lit in lits:
        if (points := _points(shape, lit)) is not None:
            spans = both(spans, points)
    return Region(shape, spans, apart=apart, **_claims(lits))  # type: ignore[arg-type]


def _domain(shape: Shape) -> Closed:
    return DOMAINS[shape] if shape in DOMAINS else DOMAINS["integer"]


def _points(shape: Shape, lit: Lit) -> tuple[Closed, ...] | None:
    """The numbers that a demand admits; None where it is about claims."""
    kind = lit.argument.kind if lit.argument else lit.kind
    if lit.argument:
        spans: Iterable[Any] = ((n, n) for n in sorted(enumerated(lit.argument)))
    elif isinstance(lit.test, Spans):
        spans = lit.test.spans
    else:
        return None if isinstance(lit.test, Claim) else _refuse(lit, shape)
    scaled = whole(spans) if kind == "decimal" and shape != "decimal" else spans
    held = closed(scaled, _domain(shape))
    return held if lit.argument or lit.positive else others(held, _domain(shape))


def _refuse(lit: Lit, shape: Shape) -> tuple[Closed, ...]:
    """A test that no value of the kind passes, such as globs for numbers."""
    return () if lit.positive else (_domain(shape),)


def _among(lits: Iterable[Lit]) -> Globs | None:
    """The texts that every enum admits, in the order of the first; None without an enum."""
    lists = [lit.argument.values for lit in lits if lit.argument]
    return tuple(text for text in lists[0] if all(text in more for more in lists)) if lists else None


def _claims(lits: Iterable[Lit]) -> dict[str, frozenset[str]]:
    named = [(lit.test.name, lit.positive) for lit in lits if isinstance(lit.test, Claim)]
    return {
        "equal": frozenset(name for name, positive in named if positive),
        "differ": frozenset(name for name, positive in named if not positive),
    }


def _sorted(globs: Iterable[Globs]) -> tuple[Globs, ...]:
    return tuple(sorted(set(globs)))


def _list(found: Region, likely: Iterable[str]) -> list[str]:
    """A list that has what is lacking, else one with something in it if that may be."""
    usual = list(likely)
    if not found.lacking:
        return list(islice(texts(found.wanted, (), found.among, usual), 1))
    return list(dict.fromkeys(next(texts(found.wanted, g, found.among, usual)) for g in found.lacking))


def _mixed(lits: frozenset[Lit]) -> Region | None:
    """A text that some demands read as a text and others as a time or an address: candidates only, never a proof."""
    if any(isinstance(lit.test, Claim) for lit in lits):
        raise Unclear("a claim is compared with what is also a time or an address")
    if next(_candidates(lits), None) is None:
        raise Unclear("an argument is tested as a text and as a time or an address")
    return Region("mixed", demands=lits)


def _candidates(lits: frozenset[Lit]) -> Iterator[str]:
    """Texts that do all of it, of those that each reading suggests."""
    suggested: list[Any] = []
    for lit in sorted(lits, key=repr):
        globs = lit.test.globs if isinstance(lit.test, Texts) else ()
        suggested += [*(g for g in globs if "*" not in g), *(lit.argument.values if lit.argument else ())]
    for shape in ("text", "time", "ip"):
        mine = frozenset(lit for lit in lits if (lit.kind or (lit.argument and lit.argument.kind)) in _KINDS[shape])
        found = region(shape, mine)
        suggested += [as_json(found, value) for value in islice(values(found), _TRIED)] if found else []
    return (text for text in suggested if all(lit.satisfied(text) for lit in lits))


_KINDS = {"text": {"string"}, "time": {"time"}, "ip": {"ip"}}
