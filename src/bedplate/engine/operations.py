"""Steps carried out, or in a preview imagined: the only place where the engine calls providers to change things.

Goes in: resources as they are and as they are wanted. Comes out: resources as they are now, recorded in the ledger
before and after each call; a `Step` for each, and events. It decides nothing about which step is due.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from bedplate.engine.api import Event, EventSink, Step
from bedplate.engine.faults import hushed, problems_of
from bedplate.engine.hooks import Hooks, Moment
from bedplate.engine.instances import Instances
from bedplate.engine.ordering import delete_in_order
from bedplate.engine.provider import UNKNOWN, Created, Diff, Incomplete, Resource, Unsettled
from bedplate.engine.running import Run, Stopped
from bedplate.engine.state import (
    INIT_ERRORS,
    Begin,
    Change,
    Drop,
    Mark,
    PendingOperation,
    Put,
    ResourceState,
    Settle,
    timestamp,
)
from bedplate.engine.steps import NO_DIFF, Op, delete_op, step_of
from bedplate.engine.storage import Ledger
from bedplate.engine.values import annotate, contains, masked, plain, seal
from bedplate.problems import BedplateError, Problem

T = TypeVar("T")


@dataclass
class Operations:
    """Carries out steps. Called from several threads, for different resources."""

    ledger: Ledger
    preview: bool
    clock: Callable[[], float]
    run: Run
    instances: Instances
    on_event: EventSink | None = None
    steps: list[Step] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """URNs of what this run deletes: what is `deletedWith` one of them goes along."""
    late: list[Problem] = field(default_factory=list)
    """What went wrong with resources that are made or changed all the same: hooks that ran afterwards."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self.hooks = Hooks(self.preview, lambda message: self.emit(Event("log", message=message)))

    def emit(self, event: Event) -> None:
        """Pass an event on, one at a time; a finished step is kept."""
        with self._lock:
            if self.run.abandoned:
                return
            if event.kind == "done" and event.step is not None:
                self.steps.append(event.step)
            if self.on_event is not None:
                self.on_event(event)

    def record(self, *changes: Change) -> None:
        """Make changes durable. Raises Stopped in a step that nobody waits for: its end belongs to the next run."""
        if self.run.abandoned:
            raise Stopped
        self.ledger.record(*changes)

    def stamp(self, state: ResourceState) -> ResourceState:
        """The resource with the time of its change, and of its creation where that is missing."""
        now = timestamp(self.clock())
        return replace(state, created=state.created or now, modified=now)

    def after(self, moment: Moment) -> None:
        """Run the hooks of a resource that is made or changed. What they raise ends the run, and undoes nothing."""
        try:
            self.hooks.run(replace(moment, over=True))
        except BedplateError as error:
            self.late += problems_of(moment.subject.name, moment.subject.type, error)

    def create(self, resource: Resource, new: ResourceState, op: Op = "create", diff: Diff = NO_DIFF) -> ResourceState:
        """Make a resource."""
        return self._create(resource, new, step_of(op, new, diff), None)

    def _create(
        self, resource: Resource, new: ResourceState, step: Step, replaced: ResourceState | None
    ) -> ResourceState:
        moment = Moment("create", new=new)

        def make() -> ResourceState:
            self.hooks.run(moment)
            if self.preview:
                outputs, new_id, failure = resource.preview_outputs(plain(new.inputs), None), "", None
            else:
                made, failure = self._made("creating", moment, lambda: self.create_at(resource, new))
                outputs, new_id = made.outputs, made.id
            state, failure = _came_up(replace(new, id=new_id, outputs=self.marked(resource, new, outputs)), failure)
            state = self.stamp(state)
            # Also where the new one has the old one's id: only its type knows whether that is the same thing.
            marks = [Mark(new.urn)] if replaced else []
            self.record(*marks, Put(state), Settle(new.urn))
            if failure is not None:
                raise failure
            self.after(replace(moment, new=state))
            return state

        return self.perform(step, make, new, replaced or new)

    def create_at(self, resource: Resource, new: ResourceState) -> Created:
        """Call `create`. Raises Unsettled where it gives no id: what it made is there, and cannot be found by it."""
        failure: Incomplete | None = None
        try:
            made = resource.create(plain(new.inputs))
        except Incomplete as error:
            made, failure = error.created, error
        if not isinstance(made.id, str) or not made.id:
            raise Unsettled(_nameless(new, made.id, self.marked(resource, new, made.outputs))) from failure
        if failure is not None:
            raise failure
        return made

    def update(self, resource: Resource, old: ResourceState, new: ResourceState, diff: Diff) -> ResourceState:
        """Change a resource in place."""

        moment = Moment("update", old, new)

        def change() -> ResourceState:
            self.hooks.run(moment)
            arguments = (old.id, plain(old.inputs), plain(old.outputs), plain(new.inputs))
            if self.preview:
                outputs, failure = resource.preview_update(*arguments), None
            else:
                made, failure = self._made("updating", moment, lambda: Created(old.id, resource.update(*arguments)))
                outputs = made.outputs
            state, failure = _came_up(replace(new, outputs=self.marked(resource, new, outputs)), failure, old)
            state = self.stamp(state)
            self.record(Put(state), Settle(new.urn))
            if failure is not None:
                raise failure
            self.after(replace(moment, new=state))
            return state

        return self.perform(step_of("update", new, diff, old), change, new, old)

    def replace(
        self, resource: Resource, old: ResourceState, new: ResourceState, diff: Diff, *, gone: bool = False
    ) -> ResourceState:
        """Make a new resource in place of an old one, which is gone already or goes at the end of the run."""
        made, told = step_of("create-replacement", new, diff, old), Event("done", step_of("replace", new, diff, old))
        # Told in Pulumi's order.
        if gone:
            self.emit(told)
            return self._create(resource, new, made, None)
        state = self._create(resource, new, made, old)
        self.emit(told)
        return state

    def keep(self, new: ResourceState, old: ResourceState) -> ResourceState:
        """Leave a resource as it is. What the program says about it (protect, dependencies) may still change."""
        if new != old:
            self.record(Put(new))
        self.emit(Event("done", step_of("same", new, NO_DIFF, old)))
        return new

    def put_component(self, op: Op, moment: Moment, diff: Diff = NO_DIFF) -> ResourceState:
        """Record a component, which has no provider."""
        new = moment.subject

        def put() -> ResourceState:
            self.hooks.run(moment)
            state = self.stamp(new)
            self.record(Put(state))
            return state

        return self.perform(step_of(op, new, diff), put, new)

    def delete(
        self, resource: Resource | None, old: ResourceState, op: Op = "delete", *, replacing: bool = False
    ) -> None:
        """Remove a resource, or only forget it where there is nothing to call.

        With `replacing` its entry stays until the new one is made.
        """
        end = Put(replace(old, pending_replacement=True)) if replacing else Drop(*old.key)

        moment = Moment("delete", old)

        def hooks(moment: Moment) -> None:
            # Those of an entry that waits for its replacement ran when the resource was deleted.
            if not old.pending_replacement:
                self.hooks.run(moment)

        def remove() -> None:
            hooks(moment)
            if not self.preview and resource is not None:
                self._attempt("deleting", moment, lambda: resource.delete(old.id, plain(old.outputs)))
            self.record(end, Settle(old.urn))
            hooks(replace(moment, over=True))

        self.perform(step_of(op, old, NO_DIFF, old, gone=True), remove, old)

    def delete_all(self, doomed: list[ResourceState], *, keep_going: bool = False) -> None:
        """Remove resources, dependents first, independent ones at once.

        Raises BedplateError with what failed; after that nothing new begins, or with `keep_going` only what the failed
        ones need stays.
        """
        refused = [protected(r, "deleted").problems[0] for r in doomed if r.protect and not r.delete]
        if refused:
            raise BedplateError(*refused)
        self.gone |= {r.urn for r in doomed}
        problems = delete_in_order(doomed, self._delete_one, self.run, keep_going=keep_going)
        if problems:
            raise BedplateError(*problems)

    def _delete_one(self, old: ResourceState) -> None:
        # What is only forgotten needs no type, so that a state outlives the types in it.
        self.delete(self.instances.resource(old) if self.removes(old) else None, old, delete_op(old))

    def removes(self, old: ResourceState) -> bool:
        """Whether deleting this calls its provider: it is ours, and nothing else takes it along."""
        return old.managed and old.deleted_with not in self.gone

    def _made(self, kind: str, moment: Moment, call: Callable[[], Created]) -> tuple[Created, Incomplete | None]:
        """What a call made; where it did not come up as it should, the error to raise once it is recorded."""

        def outcome() -> tuple[Created, Incomplete | None]:
            try:
                return call(), None
            except Incomplete as error:
                return error.created, error

        return self._attempt(kind, moment, outcome)

    def _attempt(self, kind: str, moment: Moment, call: Callable[[], T]) -> T:
        resource = moment.subject
        prior = self.ledger.snapshot.pending.get(resource.urn)
        self.record(Begin(PendingOperation(kind, resource)))
        try:
            return self.hooks.tried(moment, call)
        except Unsettled:
            raise
        except Exception:
            # The provider said no: the end is known. What an earlier run left open stays open.
            self.record(Begin(prior) if prior else Settle(resource.urn))
            raise

    def marked(self, resource: Resource, new: ResourceState, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.preview and contains(outputs, type(UNKNOWN)):
            raise BedplateError(Problem("BP207", f"{new.name}: {new.type} returned an unknown value from an update"))
        names = {*resource.secret_outputs, *new.additional_secret_outputs}
        marked: Mapping[str, Any] = annotate(seal(outputs, names), new.inputs)
        return marked

    def perform(self, step: Step, body: Callable[[], T], *states: ResourceState) -> T:
        """Carry out a step, when there is room for it. Raises Stopped where none may begin any more.

        No error tells the secrets of `states`, the resource as it is wanted and as it was.
        """

        def spoken() -> T:
            try:
                return body()
            except Stopped:
                raise
            except Exception as error:
                if (quiet := hushed(error, *states)) is error:
                    raise
                raise quiet from None

        def performed() -> T:
            with _Running(self, step):
                return spoken()

        if not self.preview:
            return self.run.step(performed)
        self.run.require_going()
        return performed()


def _nameless(new: ResourceState, id: object, outputs: Mapping[str, Any]) -> Problem:
    return Problem(
        "BP207",
        f"{new.name}: {new.type} made it and gave it the id {id!r}, which is no text that it could be found by",
        detail=f"{new.urn}, made with the outputs {json.dumps(masked(outputs), default=repr)}",
        fix="this is a bug in the resource type; once it is mended, the next `up` settles what was made",
    )


def _came_up(
    state: ResourceState, failure: Incomplete | None, *olds: ResourceState
) -> tuple[ResourceState, Incomplete | None]:
    """The resource with what it failed with, so that the next run tries an update; and the error to raise then."""
    if failure is None:
        return state, None
    error = cast(Incomplete, hushed(failure, state, *olds))
    return replace(state, extra={**state.extra, INIT_ERRORS: [problem.summary for problem in error.problems]}), error


@dataclass(frozen=True)
class _Running:
    """Emits `started`, then `done` or `failed`."""

    operations: Operations
    step: Step

    def __enter__(self) -> None:
        self.operations.emit(Event("started", self.step))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.operations.emit(Event("done", self.step))
        else:
            self.operations.emit(Event("failed", self.step, str(error)))


def protected(state: ResourceState, what: str) -> BedplateError:
    """The error for a protected resource that a run would take away."""
    return BedplateError(
        Problem(
            "BP206",
            f"{state.name} is protected and would be {what}",
            detail=state.urn,
            fix="set protect=False on it and run `up` first, if this is what you want",
        )
    )
