"""Arguments that are parts of each other: what each may be, together. Exact. Pure.

An object has its parts; what is absent or no object has none. What is required is so where its object is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product

from bedplate.access.automata import TooManyStates
from bedplate.access.solve.literals import Lit, Path, Shape
from bedplate.access.solve.regions import Region, Unclear, region, shapes

Slots = Mapping[Path, frozenset[Lit]]
"""What is demanded at each path."""
Way = tuple[tuple[Path, Region], ...]
"""One region for each path of a family."""
_Family = tuple[tuple[Path, frozenset[Lit]], ...]


def family(slots: Slots, top: str) -> _Family:
    """The paths that start with one name, and the objects between."""
    mine = {path: lits for path, lits in slots.items() if path[0] == top}
    between = {path[:n]: frozenset[Lit]() for path in mine for n in range(1, len(path))}
    return tuple(sorted((between | mine).items()))


def possible(of: _Family) -> bool:
    """Whether there are such values. Raises TooManyStates or Unclear where that is not known."""
    found = _possible(of)
    if isinstance(found, bool):
        return found
    raise found


@lru_cache(maxsize=16384)
def _possible(of: _Family) -> bool | TooManyStates | Unclear:
    try:
        return next(ways(of), None) is not None
    except (TooManyStates, Unclear) as doubt:
        return doubt


def ways(of: _Family) -> Iterator[Way]:
    """Every combination of regions, those first in which what is tested is given and all else is not.

    Raises TooManyStates or Unclear at the end where it is not known whether there are more.
    """
    return _ways(dict(of), of[0][0], inside=True)


def _ways(tree: Slots, path: Path, *, inside: bool) -> Iterator[Way]:
    """Those of one path and its parts. `inside`: its object is given."""
    doubt: Exception | None = None
    for shape in _order(tree, path):
        try:
            yield from _shaped(tree, path, shape, inside=inside)
        except (TooManyStates, Unclear) as error:
            doubt = error
    if doubt:
        raise doubt


def _shaped(tree: Slots, path: Path, shape: Shape, *, inside: bool) -> Iterator[Way]:
    lits = tree[path]
    if shape == "absent" and inside and any(lit.mode == "required" for lit in lits):
        return
    found = region(shape, lits)
    if found is None:
        return
    if shape == "object":
        parts = [list(_ways(tree, child, inside=True)) for child in _children(tree, path)]
    else:
        # what is no object, but given, has none of the parts that it should have
        parts = [list(_none(tree, child, inside=shape != "absent")) for child in _children(tree, path)]
    for combined in product(*parts):
        yield ((path, found), *(pair for way in combined for pair in way))


def _none(tree: Slots, path: Path, *, inside: bool) -> Iterator[Way]:
    """A path that is not there, and so none of its parts."""
    lits = tree[path]
    if inside and any(lit.mode == "required" for lit in lits):
        return
    found = region("absent", lits)
    parts = [list(_none(tree, child, inside=False)) for child in _children(tree, path)]
    if found:
        for combined in product(*parts):
            yield ((path, found), *(pair for way in combined for pair in way))


def _children(tree: Slots, path: Path) -> list[Path]:
    return [p for p in tree if len(p) == len(path) + 1 and p[: len(path)] == path]


def _order(tree: Slots, path: Path) -> tuple[Shape, ...]:
    lits = tree[path]
    inner = any(len(p) > len(path) and p[: len(path)] == path and _tells(tree[p]) for p in tree)
    named = shapes(lits)
    if inner:
        return ("object", "absent", *(shape for shape in named if shape != "object"))
    if not _tells(lits):
        return ("absent", *named)
    return (*named[:-1], "absent", "object")


def _tells(lits: frozenset[Lit]) -> bool:
    return any(lit.mode not in {"fits", "required"} for lit in lits)
