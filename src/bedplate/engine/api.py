"""The `Engine` protocol: what deploying asks of any engine, and the values that come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bedplate.engine.provider import DiffKind, Resource

Program = Callable[[], None]
"""An ordinary Pulumi program: called once, it registers resources and stack outputs."""


@dataclass(frozen=True)
class StackRef:
    """One stack: an agent in a stage. `folder` holds its state (`state.json`, `journal.jsonl`, `lock.json`)."""

    project: str
    name: str
    folder: Path


@dataclass(frozen=True)
class Step:
    """One thing that an update does or would do to one resource.

    `op` is a Pulumi operation: `create`, `update`, `delete`, `replace`, `create-replacement`, `delete-replaced`,
    `same`, `read`, `refresh`. `diff` gives the changed property paths, `note` what no property shows. Inputs
    are as checked, secrets masked.
    """

    op: str
    urn: str
    type: str
    name: str
    diff: Mapping[str, DiffKind] = field(default_factory=dict)
    note: str = ""
    old_inputs: Mapping[str, Any] | None = None
    new_inputs: Mapping[str, Any] | None = None
    old_outputs: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Event:
    """Progress: `started` and `done` around each step, `failed` with the message, `log` from the program."""

    kind: str
    step: Step | None = None
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a preview found or an update did. `outputs` are the stack's, secrets masked, with `UNKNOWN` in a preview."""

    steps: tuple[Step, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.op not in {"same", "read", "refresh"})


EventSink = Callable[[Event], None]


class Engine(Protocol):
    """Runs programs against a stack. Every method raises `BedplateError`; the state on disk is right at any instant."""

    def preview(
        self, stack: StackRef, program: Program, config: Mapping[str, str], *, on_event: EventSink | None = None
    ) -> Outcome:
        """What `up` would do. Changes nothing and takes no lock."""

    def up(
        self, stack: StackRef, program: Program, config: Mapping[str, str], *, on_event: EventSink | None = None
    ) -> Outcome:
        """Make the stack what the program says."""

    def destroy(self, stack: StackRef, *, on_event: EventSink | None = None) -> Outcome:
        """Delete every resource, in reverse order of dependency."""

    def outputs(self, stack: StackRef) -> Mapping[str, Any] | None:
        """The stack's outputs after the last update, or None where nothing was ever deployed."""

    def resources(self, stack: StackRef) -> tuple[Step, ...]:
        """The resources in state, each as a `same` step with its inputs and outputs."""


Registry = Mapping[str, Resource]
"""Resource types by token. The engine knows no other types but Pulumi's own (`pulumi:pulumi:Stack`, components)."""
