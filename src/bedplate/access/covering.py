"""Whether one grant plainly covers another: a quick look that never says so wrongly. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bedplate.access.globs import covers
from bedplate.access.model import Ask, Condition, Grant, Present, Spans, Subset, Test, Texts
from bedplate.access.solve.numbers import both, closed, others
from bedplate.access.values import DOMAINS


def plainly_covers(wide: Grant, narrow: Grant) -> bool:
    """Whether every request that `narrow` matches `wide` does too, with no lower effect. False: it is not plain."""
    return (
        (wide.tool, wide.verb) == (narrow.tool, narrow.verb)
        and covers(wide.pattern, narrow.pattern)
        and all(_demanded(c, narrow.conditions) for c in wide.conditions)
        and (wide.only is None or (narrow.only is not None and set(narrow.only) <= set(wide.only)))
        and _no_more_asked(wide.ask, narrow.ask)
    )


def _no_more_asked(wide: Ask | None, narrow: Ask | None) -> bool:
    if wide is None or (narrow is not None and narrow.always):
        return True
    return narrow is not None and not wide.always and set(map(_bare, wide.when)) <= set(map(_bare, narrow.when))


def _bare(condition: Condition) -> tuple[object, ...]:
    return condition.path, condition.kind, condition.test


def _demanded(condition: Condition, by: Iterable[Condition]) -> bool:
    alike = (c for c in by if (c.path, c.kind) == (condition.path, condition.kind))
    return any(_implies(c.test, condition) for c in alike)


def _implies(test: Test, condition: Condition) -> bool:
    match test, condition.test:
        case a, b if a == b:
            return True
        case (Texts(globs=narrow), Texts(globs=wide)) | (Subset(globs=narrow), Subset(globs=wide)):
            return all(any(covers(w, n) for w in wide) for n in narrow)
        case Spans(spans=small), Spans(spans=large):
            domain = DOMAINS[condition.kind]
            return not both(closed(small, domain), others(closed(large, domain), domain))
        case Present(present=False), _:
            return False
        case _, Present(present=True):
            return True
        case _:
            return False
