"""Overlays of stages: JSON merge patch (RFC 7396) in which lists of named things merge by name.

Goes in: the base document and an overlay, as plain data. Comes out: a `Source`, the merged document that still knows
the line of each value. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bedplate.manifest.yamltree import Path, Tree
from bedplate.problems import Where

_BY_NAME = {("data",), ("tools",), ("evals",)}
ANY = "*"
"""In a pattern of `Source.lacks`: any key or item."""


@dataclass(frozen=True)
class Source:
    """A document and where each part of it was written; `moved` maps merged paths to paths of the file.

    A document with problems is checked further without the parts at fault: `lost` are the paths of what `data` lacks
    for that reason (an item of a list as -1), `raw` is the document before.
    """

    tree: Tree
    data: Any
    moved: Mapping[Path, Path] = field(default_factory=dict)
    lost: frozenset[Path] = frozenset()
    origin: Source | None = None
    ceiling: bool = False
    """It is a ceiling, no manifest."""

    @property
    def raw(self) -> Source:
        """The document as it was written, with the parts at fault."""
        return self.origin or self

    def where(self, path: Path, *, key: bool = False) -> Where:
        """The place of `path`, or of its nearest parent that is written."""
        return self.tree.where(self.written(path), key=key)

    def written(self, path: Path) -> Path:
        """The path in the file that gave this path of the merged document its value."""
        for cut in range(len(path), 0, -1):
            if path[:cut] in self.moved:
                return self.moved[path[:cut]] + path[cut:]
        return path

    def below(self, path: Path, written: Collection[Path]) -> bool:
        """Whether `path`, or a part that holds it, was written at one of these paths of the file."""
        return any(self.written(path[:cut]) in written for cut in range(1, len(path) + 1))

    def lost_at(self, *pattern: str | int) -> bool:
        """Whether just this was left out."""
        return any(_fits(path, pattern) for path in self.lost)

    def lacks(self, *pattern: str | int) -> bool:
        """Whether this, or a part that holds it, was left out."""
        return any(self.lost_at(*pattern[:cut]) for cut in range(1, len(pattern) + 1))

    def whole_at(self, *path: str | int) -> bool:
        """Whether all of this is in the document as it was written."""
        return not self.lacks(*path) and not any(lost[: len(path)] == path for lost in self.lost)


def _fits(path: Path, pattern: Path) -> bool:
    return len(path) == len(pattern) and all(want in (ANY, part) for part, want in zip(path, pattern, strict=True))


def merged(tree: Tree, stage: str, sections: tuple[str, ...]) -> Source:
    """The base document with the overlay of `stage` merged in, without its stages."""
    base = {key: value for key, value in tree.data.items() if key != "stages"}
    written = tree.data["stages"][stage]
    overlay = {key: value for key, value in written.items() if key in sections}
    if isinstance(base.get("model"), str) and isinstance(overlay.get("model"), Mapping):
        base["model"] = {"id": base["model"]}  # the short form; an overlay in the short form replaces the whole model
    moved: dict[Path, Path] = {}
    data = _merge(base, overlay, (), ("stages", stage), moved)
    return Source(tree, data, moved)


def _merge(base: Any, patch: Any, path: Path, origin: Path, moved: dict[Path, Path]) -> Any:
    if path in _BY_NAME and isinstance(base, list) and isinstance(patch, list):
        return _merge_named(base, patch, path, origin, moved)
    if not isinstance(patch, Mapping) or not isinstance(base, Mapping):
        moved[path] = origin
        return _without_nulls(patch) if isinstance(patch, Mapping) else patch
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif key in base:
            result[key] = _merge(base[key], value, (*path, key), (*origin, key), moved)
        else:
            moved[(*path, key)] = (*origin, key)
            result[key] = _without_nulls(value) if isinstance(value, Mapping) else value
    return result


def _merge_named(base: list[Any], patch: list[Any], path: Path, origin: Path, moved: dict[Path, Path]) -> list[Any]:
    """By name; items without one are kept as they are, and refused later."""
    result = list(base)
    places = {name: index for index, item in enumerate(base) if (name := _name(item))}
    for index, item in enumerate(patch):
        at = places.get(_name(item))
        if at is None:
            moved[(*path, len(result))] = (*origin, index)
            result.append(item)
        else:
            result[at] = _merge(result[at], item, (*path, at), (*origin, index), moved)
    return result


def _name(item: Any) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else ""


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396: a patch that replaces something which is no object is applied to an empty object."""
    return {k: _without_nulls(v) if isinstance(v, Mapping) else v for k, v in value.items() if v is not None}
