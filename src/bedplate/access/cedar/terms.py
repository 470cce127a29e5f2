"""One condition as Cedar's terms: guards, then the test. `read.py` is the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from bedplate.access.cedar.model import Slot
from bedplate.access.cedar.shapes import wild
from bedplate.access.cedar.text import either, guards, networks, quoted, reach, value
from bedplate.access.model import Claim, Condition, Kind, Present, Span, Spans, Subset, Test, Texts

SlotOf = Callable[[Condition], Slot]
_COMPARE = {"decimal": (".greaterThanOrEqual({})", ".lessThanOrEqual({})")}


def pointer(path: Sequence[str]) -> str:
    """A path as one text, such as `/customer/id` (RFC 6901, with spaces escaped too)."""
    return "".join(f"/{_escape(name, '/ ')}" for name in path)


def within_key(path: Sequence[str], globs: Iterable[str]) -> str:
    """The name of a test of a list by wildcards, such as `/to within *@example.com|*@example.org`."""
    return f"{pointer(path)} within {'|'.join(_escape(glob, '|') for glob in globs)}"


def _escape(text: str, special: str) -> str:
    return text.translate({ord(ch): f"~{'~/ |'.index(ch)}" for ch in f"~{special}"})


def unescape(text: str) -> str:
    """The text before `pointer` or `within_key` escaped it. Raises ValueError where they would not write it."""
    head, *rest = text.split("~")
    if any(part[:1] not in set("0123") for part in rest):
        raise ValueError(f"{text!r} has an escape that this compiler does not write")
    return head + "".join("~/ |"[int(part[0])] + part[1:] for part in rest)


def required(condition: Condition, slot_of: SlotOf) -> str:
    """The condition as it stands in `when` (in normal form)."""
    if condition.test == Present(False):
        return f"!context.given.contains({quoted(pointer(condition.path))})"
    slot = slot_of(condition)
    before, test = parts(condition, slot)
    return " && ".join([*guards(slot.base, slot.path), *before, *single(test)])


def unasked(condition: Condition, slot_of: SlotOf) -> str:
    """Where nobody is asked: the argument can be read, and the condition does not hold."""
    slot = slot_of(condition)
    found = guards(slot.base, slot.path)
    if condition.test == Present(False):
        return " && ".join(found)
    before, test = parts(condition, slot)
    return " && ".join([*found, f"!({' && '.join([*before, *single(test)]) if before else either(test)})"])


def parts(condition: Condition, slot: Slot) -> tuple[list[str], list[str]]:
    """Guards that only this test needs, and the test as terms of which one must hold (none: no further test)."""
    at = reach(slot.base, slot.path)
    match condition.test:
        case Claim(name=name):
            return guards("context.session", [name]), [f"{at} == {reach('context.session', [name])}"]
        case test:
            return [], list(_terms(condition.path, condition.kind, test, at))


def single(terms: Sequence[str]) -> list[str]:
    """One term out of several."""
    return [f"({either(terms)})"] if len(terms) > 1 else list(terms)


def _terms(path: Sequence[str], kind: Kind, test: Test, at: str) -> Iterator[str]:
    match test:
        case Texts(globs=()) | Spans(spans=()):
            yield "false"
        case Texts(globs=globs):
            yield from texts(at, globs)
        case Spans(spans=spans) if kind == "ip":
            yield from (f'{at}.isInRange(ip("{net}"))' for net in networks(spans))
        case Spans(spans=spans):
            yield from _spans(at, kind, spans)
        case Subset(globs=()):
            yield f"{at}.isEmpty()"
        case Subset(globs=globs) if wild(test):
            yield f"context.within.contains({quoted(within_key(path, globs))})"
        case Subset(globs=globs):
            yield f"[{', '.join(map(quoted, globs))}].containsAll({at})"


def texts(at: str, globs: Sequence[str]) -> Iterator[str]:
    """Terms of which one holds where the text `at` matches one of `globs`."""
    literals = [glob for glob in globs if "*" not in glob]
    if len(literals) == 1:
        yield f"{at} == {quoted(literals[0])}"
    elif literals:
        yield f"[{', '.join(map(quoted, literals))}].contains({at})"
    yield from (f"{at} like {quoted(glob)}" for glob in globs if "*" in glob)


def _spans(at: str, kind: Kind, spans: Sequence[Span]) -> Iterator[str]:
    single = [low for low, high in spans if low == high and low is not None]
    if len(single) == 1:
        yield f"{at} == {value(kind, single[0])}"
    elif single:
        yield f"[{', '.join(value(kind, number) for number in single)}].contains({at})"
    yield from (_range(at, kind, span) for span in spans if span[0] != span[1])


def _range(at: str, kind: Kind, span: Span) -> str:
    from_, until = _COMPARE.get(kind, (" >= {}", " <= {}"))
    low, high = span
    ends = [] if low is None else [at + from_.format(value(kind, low))]
    ends += [] if high is None else [at + until.format(value(kind, high))]
    return ends[0] if len(ends) == 1 else f"({ends[0]} && {ends[1]})"
