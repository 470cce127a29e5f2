"""The `Engine` protocol: what deploying asks of any engine, and the values that come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from bedplate.engine.provider import DiffKind, Resource
from bedplate.problems import BedplateError, Problem

Program = Callable[[], None]
"""An ordinary Pulumi program: called once, it registers resources and stack outputs."""


@dataclass(frozen=True)
class ProgramRef:
    """A program that also stands in a folder of its own (`Pulumi.yaml`), for engines that start it as a process."""

    run: Program
    folder: Path

    def __call__(self) -> None:
        """Run it in this process: a reference is a `Program` too."""
        self.run()


@dataclass(frozen=True)
class Options:
    """What a person chose for one run. Raises BedplateError BP230 for what makes no sense.

    `parallel` is how many steps run at once. `targets` and `excludes` are URNs in which `*` stands for anything but
    `:` and `**` for anything at all, as Pulumi has them; `target_dependents` adds whatever depends on a target (or, of
    an exclude, leaves it out too). With `continue_on_error` what does not need the failed resource still goes on. With
    `refresh` the state is made what the providers see first. `message` is kept in the history.
    """

    parallel: int = 16
    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    target_dependents: bool = False
    continue_on_error: bool = False
    refresh: bool = False
    message: str = ""

    def __post_init__(self) -> None:
        if self.parallel < 1:
            fix = "give a number of steps at once, at least 1"
            raise BedplateError(Problem("BP230", f"nothing can run with {self.parallel} steps at once", fix=fix))
        if self.targets and self.excludes:
            fix = "name what is to change, or what is not"
            raise BedplateError(Problem("BP230", "targets and excludes cannot be given together", fix=fix))


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


def outputs_in(resources: Sequence[Step]) -> Mapping[str, Any] | None:
    """The stack's outputs by its resources in state: what `Engine.outputs` says, without reading the state again."""
    roots = [step.old_outputs or {} for step in resources if step.type == "pulumi:pulumi:Stack"]
    return roots[0] if roots else None


@dataclass(frozen=True)
class Event:
    """Progress: `started` and `done` around each step, `failed` with the message, `log` from the program.

    `stopping` says that a run was asked to stop.
    """

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
        """The steps that change something because the program says so: intent."""
        return tuple(step for step in self.steps if step.op not in {"same", "read", "refresh"})

    @property
    def drift(self) -> tuple[Step, ...]:
        """The `refresh` steps that found something else than the state says: changed (`diff`) or gone (`note`)."""
        return tuple(step for step in self.steps if step.op == "refresh" and (step.diff or step.note))


@dataclass(frozen=True)
class Update:
    """One run of the past. `kind`: `up`, `refresh`, `destroy`, `import`, `repair`; `result`: `succeeded`, `failed`.

    `started` and `finished` are Unix seconds, `counts` the steps by operation, `who` user and host.
    """

    number: int
    kind: str
    result: str
    started: float
    finished: float
    counts: Mapping[str, int] = field(default_factory=dict)
    message: str = ""
    who: str = ""


EventSink = Callable[[Event], None]
DEFAULTS: Final = Options()
"""The options of a run for which nobody chose any."""


class Engine(Protocol):
    """Runs programs against a stack. Every method raises `BedplateError`; the state on disk is right at any instant."""

    def preview(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        *,
        options: Options = DEFAULTS,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """What `up` would do. Changes nothing and takes no lock."""

    def up(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        *,
        options: Options = DEFAULTS,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """Make the stack what the program says."""

    def refresh(
        self,
        stack: StackRef,
        *,
        options: Options = DEFAULTS,
        preview: bool = False,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """Make the state what the providers see. Changes no resource; with `preview` not even the state."""

    def destroy(self, stack: StackRef, *, options: Options = DEFAULTS, on_event: EventSink | None = None) -> Outcome:
        """Delete every resource, in reverse order of dependency."""

    def cancel(self) -> None:
        """End the runs under way: no new steps, running ones finish. A second time: stop now, wait for nothing.

        May be called from a signal handler or any thread. The runs raise BedplateError.
        """

    def outputs(self, stack: StackRef) -> Mapping[str, Any] | None:
        """The stack's outputs after the last update, or None where nothing was ever deployed."""

    def resources(self, stack: StackRef) -> tuple[Step, ...]:
        """The resources in state, each as a `same` step with its inputs and outputs."""

    def export_state(self, stack: StackRef) -> dict[str, Any]:
        """The state as a Pulumi deployment (`{"version": 3, "deployment": …}`), secrets encrypted."""

    def import_state(self, stack: StackRef, document: Mapping[str, Any]) -> tuple[str, ...]:
        """Put such a document in the place of the state. Returns the files in which the state before is kept."""

    def history(self, stack: StackRef) -> tuple[Update, ...]:
        """The runs of the past that changed the stack or tried to, the newest first."""


Registry = Mapping[str, Resource]
"""Resource types by token. The engine knows no other types but Pulumi's own (`pulumi:pulumi:Stack`, components)."""
