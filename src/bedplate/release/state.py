"""The state of a stage as such: out, in, mended, and what has happened to it. The manifest may be broken or gone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.blueprint.paths import StagePaths
from bedplate.engine.api import Engine, EventSink, StackRef, Update
from bedplate.problems import BedplateError, Problem, Where
from bedplate.release.destroy import find_stage, first_stage
from bedplate.release.engines import reader_of, stack_of
from bedplate.release.folders import make_home

if TYPE_CHECKING:
    from bedplate.engine.embedded import EmbeddedEngine


@dataclass(frozen=True)
class StageState:
    """The state of one stage, which may not be deployed (yet)."""

    name: str
    project: Path
    paths: StagePaths

    def export(self, *, show_secrets: bool) -> dict[str, Any]:
        """The state as a Pulumi deployment. Raises BedplateError BP704 where nothing is deployed."""
        if self._engine.outputs(self._stack) is None:
            fix = f"bedplate up --stage {self.name}"
            raise BedplateError(Problem("BP704", f"stage {self.name} is not deployed here", fix=fix))
        if show_secrets:
            return self._embedded("`pulumi stack export --show-secrets`").export_state(self._stack, show_secrets=True)
        return self._engine.export_state(self._stack)

    def resources(self) -> int:
        """How many resources the state holds. Raises BedplateError where it is damaged."""
        return len(self._engine.resources(self._stack))

    def bring_in(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        """Put a deployment in the place of the state, and say in which files the state before is kept.

        Raises BedplateError BP252; the state is then as it was.
        """
        make_home(self.project)
        self.paths.folder.mkdir(mode=0o700, exist_ok=True)
        return self._engine.import_state(self._stack, document)

    def repair(self, forget: Sequence[str], *, look: bool, on_event: EventSink | None = None) -> tuple[str, ...]:
        """Mend the state; what was done, or with `look` would be. Raises BedplateError BP211, BP216, BP256."""
        engine = self._embedded("`pulumi state repair` and `pulumi refresh`")
        return engine.repair(self._stack, forget=forget, preview=look, on_event=on_event)

    def history(self) -> tuple[Update, ...]:
        """The runs that changed it or tried to, the newest first."""
        return self._engine.history(self._stack)

    @property
    def _stack(self) -> StackRef:
        return stack_of(self.paths)

    @property
    def _engine(self) -> Engine:
        """The engine that the stage belongs to; a state that is damaged is the embedded engine's."""
        return reader_of(self.paths)

    def _embedded(self, instead: str) -> EmbeddedEngine:
        """The embedded engine with our types. Raises BedplateError BP265 where the Pulumi CLI keeps the state."""
        from bedplate.engine.embedded import EmbeddedEngine
        from bedplate.providers.bedplate import registry

        if not isinstance(self._engine, EmbeddedEngine):
            what = f"the state of stage {self.name} is kept by the Pulumi CLI, which does that itself"
            raise BedplateError(Problem("BP265", what, fix=f"use {instead}"))
        return EmbeddedEngine(registry(self.paths, self.project))


def open_state(manifest: Path, stage: str | None) -> StageState:
    """The state of a stage. Without a name: of the only one deployed, else of the first in the manifest."""
    project = manifest.resolve().parent
    found = find_stage(manifest, stage)
    name = found.name if found else stage or first_stage(manifest)
    return StageState(name, project, StagePaths.of(project, name))


def read_document(path: Path, text: str) -> dict[str, Any]:
    """The document in a file. Raises BedplateError BP252 for what is no JSON object."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _no_document(path, str(error)) from error
    if not isinstance(found, dict):
        raise _no_document(path, "it is no JSON object")
    return found


def _no_document(path: Path, why: str) -> BedplateError:
    fix = "give the file that `bedplate state export` or `pulumi stack export` wrote"
    return BedplateError(
        Problem("BP252", "the document cannot be imported", where=Where(str(path)), detail=why, fix=fix)
    )
