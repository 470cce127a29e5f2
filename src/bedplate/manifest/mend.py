"""A document without its faulty parts, so that one run can check the rest as well.

Goes in: a document and what is wrong with it. Comes out: the largest part that is a manifest, and a note of each part
that was left out. It is for checking only: whoever finds a problem refuses the manifest. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedplate.manifest.errors import meant, uncovered, written_path
from bedplate.manifest.overlay import Source
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem

if TYPE_CHECKING:
    from pydantic import ValidationError

    from bedplate.manifest.models import Manifest

STAND_INS = {
    "apiVersion": "bedplate.dev/v1",
    "kind": "Agent",
    "metadata": {"name": "unnamed"},
    "intent": "script",
    "model": "bedplate:extractive",
    "instructions": "Answer.",
}
"""For required sections that cannot be read: values of which no check complains."""
_SCOPES = {
    "search": [{"read": "*"}],
    "python": [{"call": "*"}],
    "mcp": [{"call": "*"}],
    "http": [{"get": "https://example.com/*"}],
    "sql": [{"read": "any.thing"}],
}


def _stand_ins(path: Path, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may be missing from a mapping without spoiling what else it says."""
    match path:
        case ():
            return STAND_INS
        case ("tools", int()):
            scopes = _SCOPES.get(data["type"]) if isinstance(data.get("type"), str) else None
            return {"scopes": scopes} if scopes else {}
        case _:
            return {}


@dataclass(frozen=True)
class Gaps:
    """Paths of the file: `cut` is left out; of `absent` it is not known what it would say (its key is misspelt)."""

    cut: frozenset[Path] = frozenset()
    absent: frozenset[Path] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.cut or self.absent)

    def widened(self, error: ValidationError, source: Source) -> Gaps:
        """With the parts that a validation complains of; where something is missing, with what cannot do without."""
        cut, absent = set(self.cut), set(self.absent)
        for detail in error.errors(include_url=False, include_input=True):
            path = written_path(detail, source.data)
            if detail["type"] != "missing":
                cut.add(source.written(path))
            elif path[-1] not in _stand_ins(path[:-1], detail["input"]):
                cut.add(source.written(path[:-1]))
            known = source.below(path, self.cut)  # such as a section that stages may not change: it is no slip
            if detail["type"] == "extra_forbidden" and not known and (key := meant(path, source)):
                absent.add((*source.written(path[:-1]), key))
        return Gaps(frozenset(cut), frozenset(absent))


def mended(source: Source, gaps: Gaps, blocked: Collection[Path] = ()) -> tuple[Manifest, Source, list[Problem]]:
    """The manifest without `gaps` and without what cannot stand without those, and what the gaps had hidden.

    Nothing is said of what is written at or below a `blocked` path of the file.
    """
    from pydantic import ValidationError

    from bedplate.manifest.models import Manifest

    found: list[Problem] = []
    while True:
        part = _without(source, gaps)
        try:
            return Manifest.model_validate(part.data), part, found
        except ValidationError as error:
            found += uncovered(error, part, blocked)
            wider = gaps.widened(error, part)
            if wider.cut == gaps.cut:  # cannot happen: what has no stand-in is a part that is there
                raise
            gaps = wider


def _without(source: Source, gaps: Gaps) -> Source:
    copy = _Copy(source, gaps)
    data = copy.of(source.data, (), ())
    return Source(source.tree, data, copy.moved, source.lost | copy.lost, source.raw)


@dataclass
class _Copy:
    """Copies a document but for its gaps; notes where each part was written, since items of lists move up."""

    source: Source
    gaps: Gaps
    moved: dict[Path, Path] = field(default_factory=dict)
    lost: set[Path] = field(default_factory=set)

    def of(self, value: Any, old: Path, new: Path) -> Any:
        if new:
            self.moved[new] = self.source.written(old)
        match value:
            case dict():
                return self.mapping(value, old, new)
            case list():
                return self.items(value, old, new)
            case _:
                return value

    def mapping(self, value: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
        here = self.source.written(old)
        self.lost.update((*new, path[-1]) for path in self.gaps.absent if path[:-1] == here)
        kept = [key for key in value if self.stays((*old, key), (*new, key))]
        copied = {key: self.of(value[key], (*old, key), (*new, key)) for key in kept}
        missing = {key: stand_in for key, stand_in in _stand_ins(new, copied).items() if key not in copied}
        self.lost.update((*new, key) for key in missing)
        return {**copied, **missing}

    def items(self, value: list[Any], old: Path, new: Path) -> list[Any]:
        kept = [index for index in range(len(value)) if self.stays((*old, index), (*new, -1))]
        return [self.of(value[index], (*old, index), (*new, at)) for at, index in enumerate(kept)]

    def stays(self, old: Path, new: Path) -> bool:
        if self.source.written(old) not in self.gaps.cut:
            return True
        self.lost.add(new)
        return False
