"""The shape of each action's context: where each tested argument stands, and the schema that says so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bedplate.access.cedar.model import Shape, Slot
from bedplate.access.cedar.text import CEDAR_TYPES
from bedplate.access.model import Claim, Condition, Grant, Kind, Present, Subset

TEXT = "text"
"""The record of whole numbers as text, which is what a claim is compared with."""
_STRING: dict[str, object] = {"type": "String"}
_STRINGS: dict[str, object] = {"type": "Set", "element": _STRING}


def conditions(grant: Grant) -> Iterator[Condition]:
    """Those of `where`, then those of `ask`."""
    yield from grant.conditions
    yield from grant.ask.when if grant.ask else ()


def shape(grants: Sequence[Grant]) -> Shape:
    """What the policies of these grants (in normal form, all of one action) read."""
    found = [c for grant in grants for c in conditions(grant)]
    absent = {c.path for grant in grants for c in grant.conditions if c.test == Present(False)}
    asked = [c for grant in grants for c in (grant.ask.when if grant.ask else ())]
    typed = {(c.path, c.kind) for c in found if not as_text(c) and (c.test != Present(False) or c in asked)}
    texts = {c.path for c in found if as_text(c)}
    return Shape(
        slots=(*_slots(sorted(typed)), *(Slot(root, p, "integer") for root, p in _layers(TEXT, sorted(texts)))),
        claims=tuple(sorted({c.test.name for c in found if isinstance(c.test, Claim)})),
        absent=tuple(sorted(absent)),
        within=tuple(sorted({(c.path, c.test.globs) for c in found if isinstance(c.test, Subset) and wild(c.test)})),
        only=any(grant.only is not None for grant in grants),
    )


def as_text(condition: Condition) -> bool:
    """Whether the argument is a whole number that is compared with a claim."""
    return isinstance(condition.test, Claim) and condition.kind == "integer"


def wild(test: Subset) -> bool:
    """Whether one of the patterns has a wildcard: Cedar cannot hold each element of a set against it."""
    return any("*" in glob for glob in test.globs)


def _slots(typed: Sequence[tuple[tuple[str, ...], Kind]]) -> list[Slot]:
    layers = _layers("input", [path for path, _ in typed])
    return [Slot(root, path, kind) for (root, path), (_, kind) in zip(layers, typed, strict=True)]


def _layers(name: str, paths: Sequence[tuple[str, ...]]) -> list[tuple[str, tuple[str, ...]]]:
    """Each path in the first record where it neither is there already nor lies below or above another path."""
    layers: list[set[tuple[str, ...]]] = []
    inner: list[set[tuple[str, ...]]] = []
    placed = []
    for path in paths:
        above = {path[:n] for n in range(1, len(path))}
        at = next((n for n, leaves in enumerate(layers) if _free(path, above, leaves, inner[n])), len(layers))
        if at == len(layers):
            layers.append(set())
            inner.append(set())
        layers[at].add(path)
        inner[at] |= above
        placed.append((name if at == 0 else f"{name}{at + 1}", path))
    return placed


def _free(
    path: tuple[str, ...], above: set[tuple[str, ...]], leaves: set[tuple[str, ...]], inner: set[tuple[str, ...]]
) -> bool:
    return path not in leaves and path not in inner and not above & leaves


def schema(namespace: str, shapes: Mapping[str, Shape]) -> str:
    """The Cedar schema (JSON) of the gateway: one action for each tool and verb, its context as policies read it."""
    applies = {"principalTypes": ["User"], "resourceTypes": ["Gateway"]}
    actions = {
        action: {"appliesTo": {**applies, "context": _record(_context(shape))}}
        for action, shape in sorted(shapes.items())
    }
    document = {namespace: {"entityTypes": {"User": {}, "Gateway": {}}, "actions": actions}}
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True)


def _context(shape: Shape) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("operation", "object", "kind"), _STRING)
    found |= {"arguments": _STRINGS} if shape.only else {}
    found |= {"given": _STRINGS} if shape.absent else {}
    found |= {"within": _STRINGS} if shape.within else {}
    if shape.claims:
        found["session"] = _record({name: {**_STRING, "required": False} for name in shape.claims})
    for root in dict.fromkeys(slot.root for slot in shape.slots):
        found[root] = arguments(slot for slot in shape.slots if slot.root == root)
    return found


def arguments(slots: Iterable[Slot]) -> dict[str, Any]:
    """The record of some arguments, each optional, at any depth."""
    top: dict[str, Any] = {}
    for slot in slots:
        here = top
        for name in slot.path[:-1]:
            here = here.setdefault(name, {**_record({}), "required": False})["attributes"]
        kind = _STRING if slot.root.startswith(TEXT) else CEDAR_TYPES[slot.kind]
        here[slot.path[-1]] = {**kind, "required": False}
    return _record(top)


def _record(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Record", "attributes": dict(attributes)}
