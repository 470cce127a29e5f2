"""Tests as the manifest writes them to conditions of a grant, typed by what is known of the argument.

Goes in: a test and the kind of its argument. Comes out: `access.model` tests that hold for some value, or `Misfit`: the
code and words of what is wrong. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bedplate.access import matches
from bedplate.access.automata import TooManyStates, witness
from bedplate.access.model import Claim, Kind, Present, Span, Spans, Subset, Test, Texts
from bedplate.access.values import network, number
from bedplate.manifest.arguments import ArgumentTest
from bedplate.manifest.words import did_you_mean
from bedplate.manifest.yamltree import endless

_ORDERED: dict[str, tuple[str, ...]] = {
    "integer": ("min", "max", "over", "under"),
    "decimal": ("min", "max", "over", "under"),
    "time": ("after", "before", "from", "until"),
}
FITS: dict[Kind, tuple[str, ...]] = {
    "string": ("equals", "in", "glob", "present", "session"),
    "integer": ("equals", "in", *_ORDERED["integer"], "present", "session"),
    "decimal": ("equals", "in", *_ORDERED["decimal"], "present"),
    "boolean": ("equals", "in", "present"),
    "time": ("equals", "in", *_ORDERED["time"], "present"),
    "ip": ("equals", "in", "cidr", "present"),
    "strings": ("subset", "present"),
}
"""The tests that fit an argument of each kind."""
_KINDS: dict[Kind, str] = {
    "string": "a text",
    "integer": "a whole number",
    "decimal": "a number with at most four places",
    "boolean": "true or false",
    "time": "a time as 2026-01-31T00:00:00Z, with its zone and at most milliseconds",
    "ip": "an IP address",
    "strings": "a list of texts",
}


@dataclass(frozen=True)
class Misfit(Exception):
    """What is wrong with a test; `word` is the test at fault, empty where it is all of them together."""

    code: str
    summary: str
    fix: str
    word: str = ""


def typed(written: ArgumentTest, kind: Kind, values: Sequence[str] = ()) -> tuple[Test, ...]:
    """What must hold of an argument of `kind`. `values` are its enum. Raises Misfit."""
    for word, _ in written.given:
        if word not in FITS[kind]:
            fix = f"of {_KINDS[kind]} these can be tested: {', '.join(FITS[kind])}"
            raise Misfit("BP803", f"`{word}` does not fit {_KINDS[kind]}", fix, word)
    given = dict(written.given)
    if given.get("present") is False:
        if len(given) > 1:
            raise Misfit("BP806", "nothing can match: what is absent has no value", "keep `present` or the others")
        return (Present(False),)
    found = tuple(_FORMS[kind](kind, given, values))
    return found or (Present(True),)


def _texts(_kind: Kind, given: dict[str, Any], values: Sequence[str]) -> Iterable[Test]:
    literals = _literals(given, values)
    globs = given.get("glob")
    if literals is not None and globs:
        literals = [text for text in literals if any(matches(glob, text) for glob in globs)]
    if literals == []:
        raise _nothing()
    if globs and values and not any(matches(glob, value) for glob in globs for value in values):
        raise Misfit("BP806", "nothing can match: no value of this argument does", _one_of(values), "glob")
    if literals is not None:
        yield Texts(tuple(dict.fromkeys(literals)))
    elif globs:
        yield Texts(tuple(dict.fromkeys(globs)))
    if "session" in given:
        yield Claim(given["session"])


def _literals(given: dict[str, Any], values: Sequence[str]) -> list[str] | None:
    """The texts that `equals` and `in` leave; None where neither is written."""
    found: list[str] | None = None
    for word in ("equals", "in"):
        if word in given:
            texts = [_text(word, value, values) for value in _listed(given[word])]
            found = texts if found is None else [text for text in found if text in texts]
    return found


def _text(word: str, value: Any, values: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise _wrong(word, value, "string")
    if "*" in value:
        fix = "use `glob`, where `*` matches any text; a text that holds a star itself cannot be tested"
        raise Misfit("BP810", f"`{value[:60]}` holds `*`, and `{word}` compares whole texts", fix, word)
    if values and value not in values:
        raise Misfit("BP804", f"`{value[:60]}` is no value of this argument", _one_of(values, value), word)
    return value


def _one_of(values: Sequence[str], given: str = "") -> str:
    return did_you_mean(given, values) if given else f"it is one of {', '.join(values)}"


def _numbers(kind: Kind, given: dict[str, Any], _values: Sequence[str]) -> Iterable[Test]:
    spans: list[Span] = [(None, None)]
    for word, value in given.items():
        allowed = _spans_of(kind, word, value)
        spans = spans if allowed is None else _both(spans, allowed)
    if not spans:
        raise _nothing()
    if spans != [(None, None)]:
        yield Spans(tuple(spans))
    if "session" in given:
        yield Claim(given["session"])


def _spans_of(kind: Kind, word: str, value: Any) -> list[Span] | None:
    """The numbers that one test allows; None where it tests something else."""
    match word:
        case "equals" | "in":
            return _merged((n, n) for n in (_number(kind, word, one) for one in _listed(value)))
        case "min" | "from":
            return [(_number(kind, word, value), None)]
        case "max" | "until":
            return [(None, _number(kind, word, value))]
        case "over" | "after":
            return [(_number(kind, word, value) + 1, None)]
        case "under" | "before":
            return [(None, _number(kind, word, value) - 1)]
        case "cidr":
            return _merged(_network(one) for one in value)
        case _:
            return None


def _number(kind: Kind, word: str, value: Any) -> int:
    found = number(kind, value)
    if found is None:
        raise _wrong(word, value, kind)
    return found


def _network(text: str) -> Span:
    found = network(text)
    if found is None:
        raise Misfit("BP804", f"`{text[:60]}` is no network", "write e.g. 10.0.0.0/8, or one address", "cidr")
    return found


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Sorted and disjoint; both ends of each are known."""
    found: list[tuple[int, int]] = []
    for low, high in sorted((low or 0, high or 0) for low, high in spans):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return list(found)


def _both(left: Iterable[Span], right: Sequence[Span]) -> list[Span]:
    """The numbers that lie in both: sorted and disjoint, as they are."""
    pairs = ((_later(a, c), _earlier(b, d)) for a, b in left for c, d in right)
    return [(low, high) for low, high in pairs if low is None or high is None or low <= high]


def _later(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


def _earlier(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _sets(_kind: Kind, given: dict[str, Any], values: Sequence[str]) -> Iterable[Test]:
    globs = tuple(dict.fromkeys(given.get("subset", ())))
    strange = next((g for g in globs if values and not any(matches(g, value) for value in values)), None)
    if strange is not None:
        raise Misfit("BP804", f"`{strange[:60]}` is no value of this argument", _one_of(values, strange), "subset")
    if globs:
        yield Subset(globs)


_FORMS: dict[Kind, Callable[[Kind, dict[str, Any], Sequence[str]], Iterable[Test]]] = {
    "string": _texts,
    "strings": _sets,
    **dict.fromkeys(("integer", "decimal", "boolean", "time", "ip"), _numbers),
}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _wrong(word: str, value: Any, kind: Kind) -> Misfit:
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    quoted = kind in ("integer", "decimal") and isinstance(value, str) and not endless(value)
    fix = "write the number without quotes" if quoted else f"write {_KINDS[kind]}"
    return Misfit("BP804", f"`{shown[:60]}` is not {_KINDS[kind]}", fix, word)


def _nothing() -> Misfit:
    return Misfit("BP806", "nothing can match: the tests exclude each other", "remove one of them")


def meet(one: Test, other: Test) -> bool:
    """Whether some value may pass both tests. True where that cannot be told."""
    match one, other:
        case (Spans(), Spans()):
            return bool(_both(one.spans, other.spans))
        case (Texts(), Texts()):
            return any(_common(a, b) for a in one.globs for b in other.globs)
        case (Present(present=False), _) | (_, Present(present=False)):
            return one == other
        case _:
            return True


def _common(left: str, right: str) -> bool:
    try:
        return witness((left, right), ()) is not None
    except TooManyStates:
        return True
