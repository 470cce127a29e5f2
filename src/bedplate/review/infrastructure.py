"""What a change does to the infrastructure of a stage, with neither a state nor a folder nor a credential.

Goes in: two blueprints. Comes out: `Change` values, by the same program, engine and wording as `bedplate plan`: what
the old blueprint would deploy is imagined, and the new one is compared with that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bedplate.blueprint.digest import canonical
from bedplate.blueprint.model import Blueprint, to_json
from bedplate.engine.api import StackRef
from bedplate.release.changes import changes_of
from bedplate.release.plan import KINDS, Change
from bedplate.release.target import PROJECT

_PROJECT = "/project"
"""Where both sides are said to stand, so that a path is a change only where its place in the project changed."""
_STAGE = "stage"
_FOLLOWS = ("lines", "digests")
Found = tuple[tuple[Change, ...], int]


class Infrastructure:
    """Compares blueprints; stages that differ in nothing but their name are compared once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[bytes, Found] = {}

    def compare(self, old: Blueprint | None, new: Blueprint) -> Found:
        """The changes, and how many things stay as they are. Without `old` everything is new."""
        before, after = placed(old) if old else None, placed(new)
        if before is not None and _bare(before) == _bare(after):
            return (), 0
        key = canonical([before, after])
        if key not in self._found:
            self._found[key] = self._imagine(before, after, new)
        return self._found[key]

    def _imagine(self, before: Mapping[str, Any] | None, after: Mapping[str, Any], new: Blueprint) -> Found:
        from bedplate.engine.embedded import EmbeddedEngine
        from bedplate.providers.bedplate.imagined import imagined
        from bedplate.stacks.local.program import program

        stack = StackRef(PROJECT, _STAGE, Path(_PROJECT, ".bedplate", _STAGE))
        configs = [self._config(document, stack) for document in (before, after) if document is not None]
        outcome = EmbeddedEngine(imagined(), environment={}).imagine(stack, program, configs)
        steps = [step for step in outcome.steps if step.type in KINDS]
        return tuple(changes_of(steps, new, self._file)), sum(step.op == "same" for step in steps)

    def _config(self, document: Mapping[str, Any], stack: StackRef) -> dict[str, str]:
        return {
            "bedplate:blueprint": json.dumps(document),
            "bedplate:manifest": self._file,
            "bedplate:stageFolder": str(stack.folder),
            "bedplate:sandbox": "bubblewrap",
        }


def is_record(change: Change) -> bool:
    """Whether a process would only take down the new build's digest: a manifest that was reordered, say."""
    return change.note == "records the new build" and not change.details


def placed(blueprint: Blueprint) -> dict[str, Any]:
    """The blueprint as JSON, as if its project stood at one fixed place and its stage had one fixed name."""
    document: dict[str, Any] = _moved(to_json(blueprint), blueprint.project)
    return {**document, "stage": _STAGE}


def _moved(value: Any, root: str) -> Any:
    match value:
        case str() if value == root or value.startswith(f"{root}/"):
            return _PROJECT + value[len(root) :]
        case Mapping():
            return {key: _moved(inner, root) for key, inner in value.items()}
        case list():
            return [_moved(inner, root) for inner in value]
        case _:
            return value


def _bare(document: Mapping[str, Any]) -> Any:
    """What decides: without lines of the manifest, and without digests, which follow from the rest."""
    return _without_places({key: value for key, value in document.items() if key not in _FOLLOWS})


def _without_places(value: Any) -> Any:
    match value:
        case Mapping():
            kept = {k: v for k, v in value.items() if k != "where" or not isinstance(v, str)}
            return {key: _without_places(inner) for key, inner in kept.items()}
        case list():
            return [_without_places(inner) for inner in value]
        case _:
            return value
