"""One run of a program: every registration becomes a step, and what was not registered is deleted.

Goes in: goals (from the monitor, on several threads), the registry, the ledger. Comes out: steps, events, stack outputs
and a ledger that says what is. It decides; `operations` calls providers. It knows no protobuf and no Pulumi.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bedplate.engine.admission import Admission, Left
from bedplate.engine.aliases import alias_urns
from bedplate.engine.api import DEFAULTS, Event, Options
from bedplate.engine.deciding import Decider, carried
from bedplate.engine.diffing import diff_properties, same
from bedplate.engine.faults import hushed, problems_of
from bedplate.engine.goals import Goal, StackId
from bedplate.engine.hooks import Moment
from bedplate.engine.operations import Operations, protected
from bedplate.engine.paths import keep_old
from bedplate.engine.provider import UNKNOWN, Diff
from bedplate.engine.providing import Providers, is_default
from bedplate.engine.running import Stopped
from bedplate.engine.state import STACK_TYPE, Mark, Put, Rename, ResourceState
from bedplate.engine.steps import NO_DIFF, Op, step_of
from bedplate.engine.taking import get
from bedplate.engine.values import contains, plain
from bedplate.problems import BedplateError, Problem


@dataclass
class Deployment:
    """The state of one run. `register`, `read` and `set_outputs` are called from several threads."""

    stack: StackId
    operations: Operations
    options: Options = DEFAULTS
    config: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.admission = Admission(self.options)
        self.turned_away = False
        self._failed: list[Problem] = []
        self._finished = False
        self._unfinished: dict[str, Moment] = {}
        self._registered: dict[str, ResourceState | None] = {}
        self._aliases: dict[str, tuple[str, ...]] = {}
        self._adopted: dict[str, str] = {}
        self._goals: dict[str, Goal] = {}
        self._stack_outputs: Mapping[str, Any] | None = None
        self.snapshot = self.operations.ledger.snapshot
        self.providers = Providers(self.stack, self.operations, self.config)
        self.decider = Decider(self.operations, self.providers, self._registered, self._lock)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What went wrong so far."""
        return (*self._failed, *self.operations.late)

    @property
    def stack_outputs(self) -> Mapping[str, Any]:
        """The outputs that the program has set, or those of the last update."""
        if self._stack_outputs is not None:
            return self._stack_outputs
        urn = self.stack.urn("", STACK_TYPE, f"{self.stack.project}-{self.stack.stack}")
        old = self.snapshot.live(urn)
        return old.outputs if old else {}

    def register(self, goal: Goal) -> ResourceState:
        """Make a resource what the goal says. Raises BedplateError, or Stopped after the first failure."""
        goal = goal.under(self._goals.get(goal.parent))
        with self._guard(goal):
            urn = self._claim(goal)
            self.decider.wait(urn)
            old = self._adopt_alias(urn, goal) or self.snapshot.live(urn)
            if not self.admission.admits(urn, goal, old) and old is not None:
                state = self.operations.keep(old, old)
            else:
                state = self._register(goal, self._wanted(urn, goal), old)
            self._registered[urn] = state
            return state

    def _register(self, goal: Goal, wanted: ResourceState, old: ResourceState | None) -> ResourceState:
        if not goal.custom:
            return self._register_component(wanted, old)
        if goal.is_provider:
            goal = replace(goal, inputs={**goal.inputs, **goal.origin.inputs()})
        state = self.decider.decide(goal, wanted, old)
        if goal.is_provider:
            self.providers.note(state)
        return state

    def read(self, goal: Goal) -> ResourceState:
        """Take up a resource that exists outside of the stack."""
        goal = replace(goal, provider=goal.under(self._goals.get(goal.parent)).provider)
        with self._guard(goal):
            urn = self._claim(goal)
            old = self._adopt_alias(urn, goal) or self.snapshot.live(urn)
            if not self.admission.admits(urn, goal, old) and old is not None:
                found = self.operations.keep(old, old)
            else:
                wanted = replace(self._wanted(urn, goal), external=True)
                found = get(self.operations, self.operations.instances.resource(wanted), wanted, old)
            self._registered[urn] = found
            return found

    def set_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Set the outputs of a component, or of the stack: those count only when the whole program succeeds."""
        state = self._registered.get(urn)
        if state is None and urn in self._registered:
            return  # a component that was left out of this run
        if state is None:
            raise BedplateError(Problem("BP207", f"outputs for {urn}, which was never registered"))
        if state.type == STACK_TYPE:
            self._stack_outputs = outputs
            return
        if not same(plain(state.outputs), plain(outputs)):
            self._registered[urn] = state = replace(state, outputs=outputs)
            self.operations.record(Put(state))
        if (moment := self._unfinished.pop(urn, None)) is not None:
            self.operations.after(replace(moment, new=state))

    def lookup(self, urn: str) -> ResourceState | None:
        """The resource registered in this run under `urn`."""
        return self._registered.get(urn)

    def finish(self) -> None:
        """After a program that ran to its end: keep its outputs, delete what it no longer registers.

        Raises BedplateError with what failed here, and before this where the run went on. Only the first call does it.
        """
        if not self._finished:
            self._finished = True
            self._finish()
        if self.problems:
            raise BedplateError(*self.problems)

    def finish_early(self) -> None:
        """The same while the program is still there, for hooks of what is deleted; not after a failure."""
        if self.turned_away or (self.problems and not self.admission.keep_going):
            return
        self.finish()

    def _finish(self) -> None:
        self._keep_outputs()
        every = self.snapshot.ordered()
        doomed = [r for r in every if r.delete or r.urn not in self._registered]
        doomed = self.admission.deletable([r for r in doomed if not is_default(r)], every)
        try:
            self.operations.delete_all(doomed, keep_going=self.admission.keep_going)
        except BedplateError as error:
            self.fail(error.problems)
        if self.problems:
            return
        if unused := self.providers.unused():
            self.operations.record(*unused)

    def _keep_outputs(self) -> None:
        root = self.snapshot.live(self.stack.urn("", STACK_TYPE, f"{self.stack.project}-{self.stack.stack}"))
        if root is None or self._stack_outputs is None:
            return
        if not self.operations.preview:
            # What failed or was left out has no value: then the one of the last update stands.
            known = {k: v for k, v in self._stack_outputs.items() if not contains(v, type(UNKNOWN))}
            partly = bool(self.problems) or len(known) < len(self._stack_outputs)
            self._stack_outputs = {**root.outputs, **known} if partly else known
        if root.outputs != self._stack_outputs:
            self.operations.record(Put(replace(root, outputs=self._stack_outputs)))

    @contextmanager
    def _guard(self, goal: Goal) -> Iterator[None]:
        if (self.problems and not self.admission.keep_going) or self.operations.run.stopped:
            self.turned_away = True
            raise Stopped
        try:
            yield
        except Left:
            raise
        except Stopped:
            self.turned_away = True
            raise
        except Exception as error:
            urn = self.stack.urn(goal.parent, goal.type, goal.name)
            wanted = ResourceState(urn, goal.type, goal.custom, inputs=goal.inputs)
            quiet = hushed(error, wanted, self.snapshot.live(urn) or wanted)
            self.fail(problems_of(goal.name, goal.type, quiet))
            if self.admission.keep_going:
                raise self.admission.failed(urn, goal) from error
            if quiet is error:
                raise
            raise quiet from None

    def fail(self, problems: tuple[Problem, ...]) -> None:
        """Remember what went wrong and turn later registrations away."""
        with self._lock:
            self._failed += problems

    def fail_once(self, error: BedplateError) -> None:
        """Remember an error that no registration has remembered yet: one in the request itself."""
        if not self.problems:
            self.fail(error.problems)

    def _claim(self, goal: Goal) -> str:
        urn = self.stack.urn(goal.parent, goal.type, goal.name)
        with self._lock:
            if urn in self._registered:
                raise BedplateError(
                    Problem(
                        "BP204",
                        f"{goal.type} is registered twice under the name {goal.name}",
                        fix="give each resource of a type its own name",
                    )
                )
            if urn in self._adopted:
                raise _taken(goal, urn, self._adopted[urn])
            self._registered[urn] = None
            self._goals[urn] = goal
        return urn

    def _adopt_alias(self, urn: str, goal: Goal) -> ResourceState | None:
        urns = alias_urns(goal, self.stack, self._aliases.get(goal.parent, ()))
        with self._lock:
            self._aliases[urn] = urns
            if self.snapshot.live(urn) is not None:
                return None
            for old_urn in urns:
                if old_urn in self._adopted:
                    raise _taken(goal, old_urn, self._adopted[old_urn])
                if self.snapshot.live(old_urn) is None:
                    continue
                if old_urn in self._registered:
                    raise _taken(goal, old_urn, old_urn)
                self._adopted[old_urn] = urn
                self.operations.record(Rename(old_urn, urn))
                return self.snapshot.live(urn)
        return None

    def _wanted(self, urn: str, goal: Goal) -> ResourceState:
        return ResourceState(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            id=goal.id,
            inputs=goal.inputs,
            parent=goal.parent,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
            provider=self.providers.reference(goal) if goal.custom and not goal.is_provider else "",
            protect=bool(goal.protect),
            retain_on_delete=bool(goal.retain_on_delete),
            import_id=goal.import_id,
            deleted_with=goal.deleted_with,
            replace_with=goal.replace_with,
            replacement_trigger=goal.replacement_trigger,
            ignore_changes=goal.ignore_changes,
            replace_on_changes=goal.replace_on_changes,
            hide_diff=goal.hide_diffs,
            hooks=goal.hooks,
            custom_timeouts=goal.custom_timeouts,
            additional_secret_outputs=goal.additional_secret_outputs,
        )

    def _register_component(self, wanted: ResourceState, old: ResourceState | None) -> ResourceState:
        if old is None:
            return self._put_component("create", Moment("create", new=wanted))
        if old.custom:
            return self._become_component(wanted, old)
        wanted = carried(wanted, old)
        given = keep_old(old.inputs, wanted.inputs, wanted.ignore_changes)
        diff = diff_properties(plain(old.inputs), plain(given))
        if diff.changes:
            return self._put_component("update", Moment("update", old, wanted), diff)
        return self.operations.keep(wanted, old)

    def _put_component(self, op: Op, moment: Moment, diff: Diff = NO_DIFF) -> ResourceState:
        # What runs afterwards does so when the program has set the component's outputs.
        self._unfinished[moment.subject.urn] = replace(moment, over=True)
        return self.operations.put_component(op, moment, diff)

    def _become_component(self, wanted: ResourceState, old: ResourceState) -> ResourceState:
        if old.protect and wanted.protect:
            raise protected(old, "replaced")
        self.decider.replaced.add(wanted.urn)
        self.operations.record(Mark(wanted.urn))
        state = self._put_component("create-replacement", Moment("create", new=wanted))
        self.operations.emit(Event("done", step_of("replace", state, old=old)))
        return state


def _taken(goal: Goal, alias: str, by: str) -> BedplateError:
    return BedplateError(
        Problem(
            "BP223",
            f"{goal.name} was {alias.split('::', 3)[-1]} by an alias, and so is {by.split('::', 3)[-1]}",
            detail=alias,
            fix="leave the alias to one of them",
        )
    )
