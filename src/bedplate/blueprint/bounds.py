"""Bounds besides scopes that an overlay may only tighten: limits, the sandbox, what is remembered and what is traced.

Goes in: the base's and the stage's manifest. Comes out: BP113 with both lines for each bound that the stage loosens.
What neither writes has its default, and the defaults are compared too. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bedplate.manifest.load import StageManifest
from bedplate.manifest.models import Limits, LongTerm, Manifest, Memory, Tracing
from bedplate.manifest.units import duration_text, size_text
from bedplate.manifest.yamltree import Path
from bedplate.problems import Problem

IN_BASE = "make the change outside `stages`, where a reviewer sees it"
_CONTENT = ("none", "redacted", "full")
_WRITE = ("tool", "afterTurn")
"""From what records least to what records most."""


@dataclass(frozen=True)
class _Bound:
    """One bound, in words, in the base and in the stage. `wider`: that of the stage lets through more."""

    path: tuple[str, ...]
    old: str
    new: str
    wider: bool

    @property
    def written(self) -> str:
        return ".".join(self.path)


def loosened(base: StageManifest, stage: StageManifest) -> Iterator[Problem]:
    """Every bound that the stage raises, removes or loosens."""
    for bound in _bounds(base.manifest, stage.manifest):
        if bound.wider and all(of.source.whole_at(*bound.path) for of in (base, stage)):
            where = stage.source.tree.where(("stages", stage.name, *bound.path))
            detail = f"The base has {bound.old}{_line(base, bound.path)}, the stage {bound.new}."
            yield Problem("BP113", _summary(stage.name, bound), where, detail=detail, fix=_fix(bound))


def _summary(stage: str, bound: _Bound) -> str:
    if bound.path[0] != "limits":
        return f"stage `{stage}` loosens `{bound.written}`; an overlay may only narrow"
    said = "removes" if bound.new == "none" else "raises"
    return f"stage `{stage}` {said} the limit `{bound.path[1]}`; an overlay may only lower it"


def _fix(bound: _Bound) -> str:
    return f"{'write a lower one' if bound.path[0] == 'limits' else f'keep {bound.old}'}, or {IN_BASE}"


def _line(base: StageManifest, path: Path) -> str:
    """Where the base has it; by default it stands nowhere."""
    data: Any = base.source.data
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return " by default" if data is None else f" on line {base.source.where(path).line}"


def _bounds(old: Manifest, new: Manifest) -> Iterator[_Bound]:
    yield from _limits(old.limits, new.limits)
    was, now = old.sandbox, new.sandbox
    yield _Bound(("sandbox", "memory"), size_text(was.memory), size_text(now.memory), now.memory > was.memory)
    yield _Bound(("sandbox", "pids"), str(was.pids), str(now.pids), now.pids > was.pids)
    yield from _memory(old.memory or Memory(), new.memory or Memory())
    yield from _tracing(old.tracing or Tracing(), new.tracing or Tracing())


def _limits(old: Limits, new: Limits) -> Iterator[_Bound]:
    """A limit that is removed falls back to its default; cost has none."""
    for name, field in Limits.model_fields.items():
        was, now = getattr(old, name), getattr(new, name)
        said = ["none" if value is None else format(value, "g") for value in (was, now)]
        wider = was is not None and (now is None or now > was)
        yield _Bound(("limits", field.alias or name), said[0], said[1], wider)


def _memory(old: Memory, new: Memory) -> Iterator[_Bound]:
    """Whose it is has one value. That facts exist at all, and who reads and writes them, is told by their grants."""
    if new.sessions and not old.sessions:
        yield _Bound(("memory", "sessions"), "none", "conversations that are kept", wider=True)
    elif new.sessions and old.sessions:
        yield _kept(("memory", "sessions", "retention"), old.sessions.retention, new.sessions.retention)
    if old.long_term and new.long_term:
        yield from _facts(old.long_term, new.long_term)


def _facts(old: LongTerm, new: LongTerm) -> Iterator[_Bound]:
    path = ("memory", "longTerm")
    yield _kept((*path, "retention"), old.retention, new.retention)
    yield _Bound((*path, "write"), old.write, new.write, _WRITE.index(new.write) > _WRITE.index(old.write))
    said = [", ".join(sorted(of.redact)) or "nothing" for of in (old, new)]
    yield _Bound((*path, "redact"), said[0], said[1], not set(old.redact) <= set(new.redact))


def _tracing(old: Tracing, new: Tracing) -> Iterator[_Bound]:
    wider = _CONTENT.index(new.content) > _CONTENT.index(old.content)
    yield _Bound(("tracing", "content"), old.content, new.content, wider)
    yield _kept(("tracing", "retention"), old.retention, new.retention)


def _kept(path: tuple[str, ...], old: int, new: int) -> _Bound:
    return _Bound(path, duration_text(old), duration_text(new), new > old)
