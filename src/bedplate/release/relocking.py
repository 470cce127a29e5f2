"""What differs between two locks, in the words of a diff. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.blueprint.lock import Lock, Pinned

_SYMBOLS = {"added": "+", "changed": "~", "removed": "-"}


@dataclass(frozen=True)
class Change:
    """One pin that is new, gone or another. `name` is `tool.operation`, a tool, a stage or a dataset's path.

    `detail` says what of it changed.
    """

    what: Literal["operation", "tool", "models", "dataset"]
    name: str
    change: Literal["added", "changed", "removed"]
    detail: str = ""

    @property
    def symbol(self) -> str:
        """`+`, `~` or `-`."""
        return _SYMBOLS[self.change]

    @property
    def label(self) -> str:
        """What it is about: `shop.refund`, `models prod`, `dataset evals/faq.yaml`."""
        return self.name if self.what in ("operation", "tool") else f"{self.what} {self.name}"


def changes(old: Lock, new: Lock) -> tuple[Change, ...]:
    """Every pin that differs: tools with their operations, then models, then datasets, each by name."""
    return (*_tools(old, new), *_models(old, new), *_datasets(old, new))


def told(found: Sequence[Change], most: int = 4) -> str:
    """Changes in one line, the first of them by name: `~ shop.refund (description), + shop.cancel`."""
    words = [f"{one.symbol} {one.label}" + (f" ({one.detail})" if one.detail else "") for one in found[:most]]
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(words) + more


def _tools(old: Lock, new: Lock) -> Iterator[Change]:
    for name in sorted({*old.tools, *new.tools}):
        before, after = old.tools.get(name), new.tools.get(name)
        if before and after and before.behind != after.behind:
            moved = sorted(k for k in {*before.behind, *after.behind} if before.behind.get(k) != after.behind.get(k))
            yield Change("tool", name, "changed", ", ".join(moved))
        yield from _operations(name, before, after)


def _operations(tool: str, old: Pinned | None, new: Pinned | None) -> Iterator[Change]:
    before, after = (old.pins if old else {}), (new.pins if new else {})
    for name in sorted({*before, *after}):
        if name not in before:
            yield Change("operation", f"{tool}.{name}", "added")
        elif name not in after:
            yield Change("operation", f"{tool}.{name}", "removed")
        elif before[name] != after[name]:
            yield Change("operation", f"{tool}.{name}", "changed", _parts(old, new, name))


def _parts(old: Pinned | None, new: Pinned | None, name: str) -> str:
    """Which parts of an operation differ, where both locks have them."""
    said = [_said(pinned, name) for pinned in (old, new)]
    if not all(said):
        return ""
    before, after = said
    return ", ".join(sorted(key for key in {*before, *after} if before.get(key) != after.get(key)))


def _said(pinned: Pinned | None, name: str) -> Mapping[str, Any]:
    return next((one.parts for one in (pinned.operations if pinned else ()) if one.name == name), {})


def _models(old: Lock, new: Lock) -> Iterator[Change]:
    for stage in sorted({*old.models, *new.models}):
        before, after = old.models.get(stage), new.models.get(stage)
        if before is None:
            yield Change("models", stage, "added", ", ".join(after or ()))
        elif after is None:
            yield Change("models", stage, "removed")
        elif before != after:
            yield Change("models", stage, "changed", f"{', '.join(before)} → {', '.join(after)}")


def _datasets(old: Lock, new: Lock) -> Iterator[Change]:
    for path in sorted({*old.datasets, *new.datasets}):
        if path not in old.datasets:
            yield Change("dataset", path, "added")
        elif path not in new.datasets:
            yield Change("dataset", path, "removed")
        elif old.datasets[path] != new.datasets[path]:
            yield Change("dataset", path, "changed")
