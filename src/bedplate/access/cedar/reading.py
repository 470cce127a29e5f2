"""The tests of conditions, read back from trees. `terms.py` is the way there."""

from __future__ import annotations

from collections.abc import Sequence

from bedplate.access.cedar.normal import merge
from bedplate.access.cedar.terms import unescape
from bedplate.access.cedar.text import decimal_number, network_span, time_number
from bedplate.access.cedar.trees import Tree, attribute, chain, glob_of, text_of
from bedplate.access.model import Kind, Present, Span, Spans, Subset, Test, Texts

_LEAST = ("greater_eq", "decimal_greater_eq")
_MOST = ("less_eq", "decimal_less_eq")


def test_of(kind: Kind, names: tuple[str, ...], terms: Sequence[Tree]) -> Test | None:
    """The test that `terms` (all must hold) make of the attribute `names`; None where they are none of ours.

    Raises ValueError for literals that are not spelled as the compiler spells them.
    """
    if not terms:
        return Present(True)
    match kind:
        case "string":
            globs = texts_of(names, terms)
            return None if globs is None else Texts(globs)
        case "strings":
            return _subset(names, terms)
        case _:
            spans = _spans(kind, names, terms)
            return None if spans is None else Spans(merge(kind, spans))


def texts_of(names: tuple[str, ...], terms: Sequence[Tree]) -> tuple[str, ...] | None:
    """The globs of which the text at `names` has to match one."""
    if len(terms) != 1:
        return None
    found: list[str] = []
    for term in chain("or", terms[0]):
        globs = _globs(names, term)
        if globs is None:
            return None
        found += globs
    return tuple(sorted(found))


def _globs(names: tuple[str, ...], term: Tree) -> list[str] | None:
    match term:
        case ("BoolLit", False):
            return []
        case ("Like", base, pattern) if attribute(base) == names:
            glob = glob_of(pattern)
            return None if glob is None else [glob]
        case _:
            literals = _texts(_equal(names, term) or ())
            return literals if literals and not any("*" in text for text in literals) else None


def _equal(names: tuple[str, ...], term: Tree) -> Sequence[Tree] | None:
    """The literals that the attribute has to equal one of."""
    match term:
        case ("BinaryOp", "eq", left, right) if attribute(left) == names:
            return [right]
        case ("BinaryOp", "contains", ("Set", values), right) if attribute(right) == names:
            return list(values)
    return None


def _texts(literals: Sequence[Tree]) -> list[str]:
    """The texts of string literals; none where one of them is something else."""
    found = [text for text in map(text_of, literals) if text is not None]
    return found if len(found) == len(literals) else []


def _subset(names: tuple[str, ...], terms: Sequence[Tree]) -> Subset | None:
    match terms:
        case [("UnaryOp", "is_empty", base)] if attribute(base) == names:
            return Subset(())
        case [("BinaryOp", "contains_all", ("Set", values), base)] if attribute(base) == names:
            literals = _texts(values)
            return Subset(tuple(literals)) if literals else None
        case [("BinaryOp", "contains", base, ("StringLit", str(key)))] if attribute(base) == ("within",):
            globs = key.partition(" within ")[2].split("|")
            return Subset(tuple(unescape(glob) for glob in globs))
    return None


def _spans(kind: Kind, names: tuple[str, ...], terms: Sequence[Tree]) -> list[Span] | None:
    """One range of two ends, whose parentheses the tree has lost, or ranges and values of which one has to hold."""
    if len(terms) == 2:
        span = _range(kind, names, terms)
        return None if span is None else [span]
    found: list[Span] = []
    for term in chain("or", terms[0]):
        spans = _span(kind, names, term)
        if spans is None:
            return None
        found += spans
    return found


def _span(kind: Kind, names: tuple[str, ...], term: Tree) -> list[Span] | None:
    match term:
        case ("BoolLit", False):
            return []
        case ("BinaryOp", "is_in_range", base, ("UnaryOp", "ip", ("StringLit", str(text)))) if attribute(base) == names:
            return [network_span(text)]
    values = _equal(names, term)
    if values is not None:
        numbers = [_number(kind, value) for value in values]
        found: list[Span] = [(number, number) for number in numbers if number is not None]
        return found if len(found) == len(numbers) else None
    span = _range(kind, names, chain("and", term))
    return None if span is None else [span]


def _range(kind: Kind, names: tuple[str, ...], ends: Sequence[Tree]) -> Span | None:
    low: int | None = None
    high: int | None = None
    for end in ends:
        match end:
            case ("BinaryOp", str(op), base, literal) if op in _LEAST and attribute(base) == names:
                low = _number(kind, literal)
            case ("BinaryOp", str(op), base, literal) if op in _MOST and attribute(base) == names:
                high = _number(kind, literal)
            case _:
                return None
    return None if (low, high) == (None, None) else (low, high)


def _number(kind: Kind, literal: Tree) -> int | None:
    """The whole number of a literal of this kind."""
    match kind, literal:
        case "integer", ("LongLit", int(number)):
            return number
        case "integer", ("UnaryOp", "neg", ("LongLit", int(number))):
            return -number
        case "boolean", ("BoolLit", bool(flag)):
            return int(flag)
        case "decimal", ("UnaryOp", "decimal", ("StringLit", str(text))):
            return decimal_number(text)
        case "time", ("UnaryOp", "datetime", ("StringLit", str(text))):
            return time_number(text)
    return None
