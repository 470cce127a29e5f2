"""One run of a program: every registration becomes a step, and what was not registered is deleted.

Goes in: goals (from the monitor, on several threads), the registry, the ledger. Comes out: steps, events, stack outputs
and a ledger that says what is. It decides; `operations` calls providers. It knows no protobuf and no Pulumi.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bedplate.engine.admission import Admission, Left
from bedplate.engine.api import DEFAULTS, Options, Registry
from bedplate.engine.diffing import diff_properties, same
from bedplate.engine.faults import problems_of
from bedplate.engine.goals import Goal, StackId, alias_urns
from bedplate.engine.operations import Operations, resource_type
from bedplate.engine.paths import keep_old, matches
from bedplate.engine.provider import UNKNOWN, Checked, Diff, DiffKind, Resource
from bedplate.engine.running import Stopped
from bedplate.engine.state import PROVIDER_PREFIX, STACK_TYPE, Drop, Put, Rename, ResourceState
from bedplate.engine.values import annotate, contains, plain, seal
from bedplate.problems import BedplateError, Problem

_REPLACING = {
    DiffKind.ADD: DiffKind.ADD_REPLACE,
    DiffKind.DELETE: DiffKind.DELETE_REPLACE,
    DiffKind.UPDATE: DiffKind.UPDATE_REPLACE,
}


@dataclass
class Deployment:
    """The state of one run. `register`, `read` and `set_outputs` are called from several threads."""

    stack: StackId
    registry: Registry
    operations: Operations
    options: Options = DEFAULTS

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.admission = Admission(self.options)
        self.turned_away = False
        self._failed: list[Problem] = []
        self._registered: dict[str, ResourceState | None] = {}
        self._aliases: dict[str, tuple[str, ...]] = {}
        self._providers: dict[str, str] = {}
        self._stack_outputs: Mapping[str, Any] | None = None
        self.snapshot = self.operations.ledger.snapshot

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What went wrong so far."""
        return tuple(self._failed)

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
        with self._guard(goal):
            urn = self._claim(goal)
            old = self._adopt_alias(urn, goal) or self.snapshot.live(urn)
            if not self.admission.admits(urn, goal, old) and old is not None:
                state = self.operations.keep(old, old)
            elif goal.custom:
                state = self._register_custom(urn, goal, None if old and old.external else old)
            else:
                state = self._register_component(urn, goal, old)
            self._registered[urn] = state
            return state

    def read(self, goal: Goal) -> ResourceState:
        """Take up a resource that exists outside of the stack."""
        with self._guard(goal):
            urn = self._claim(goal)
            state = replace(self._wanted(urn, goal, goal.inputs), provider=self._default_provider(goal), external=True)
            old = self.snapshot.live(urn)
            if not self.admission.admits(urn, goal, old) and old is not None:
                found = self.operations.keep(old, old)
            else:
                found = self.operations.read(resource_type(self.registry, goal.type), state, old)
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
        elif not same(plain(state.outputs), plain(outputs)):
            self._registered[urn] = replace(state, outputs=outputs)
            self.operations.record(Put(replace(state, outputs=outputs)))

    def lookup(self, urn: str) -> ResourceState | None:
        """The resource registered in this run under `urn`."""
        return self._registered.get(urn)

    def finish(self) -> None:
        """After a program that ran to its end: keep its outputs, delete what it no longer registers.

        Raises BedplateError with what failed here, and before this where the run went on.
        """
        self._keep_outputs()
        every = self.snapshot.ordered()
        doomed = [r for r in every if r.delete or r.urn not in self._registered]
        doomed = self.admission.deletable([r for r in doomed if not r.type.startswith(PROVIDER_PREFIX)], every)
        try:
            self.operations.delete_all(doomed, self.registry, keep_going=self.admission.keep_going)
        except BedplateError as error:
            self.fail(error.problems)
        if self._failed:
            raise BedplateError(*self._failed)
        self._drop_unused_providers()

    def _keep_outputs(self) -> None:
        root = self.snapshot.live(self.stack.urn("", STACK_TYPE, f"{self.stack.project}-{self.stack.stack}"))
        if root is None or self._stack_outputs is None:
            return
        if not self.operations.preview:
            # What failed or was left out has no value: then the one of the last update stands.
            known = {k: v for k, v in self._stack_outputs.items() if not contains(v, type(UNKNOWN))}
            partly = bool(self._failed) or len(known) < len(self._stack_outputs)
            self._stack_outputs = {**root.outputs, **known} if partly else known
        if root.outputs != self._stack_outputs:
            self.operations.record(Put(replace(root, outputs=self._stack_outputs)))

    @contextmanager
    def _guard(self, goal: Goal) -> Iterator[None]:
        if (self._failed and not self.admission.keep_going) or self.operations.run.stopped:
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
            self.fail(problems_of(goal.name, goal.type, error))
            if self.admission.keep_going:
                raise self.admission.failed(self.stack.urn(goal.parent, goal.type, goal.name), goal) from error
            raise

    def fail(self, problems: tuple[Problem, ...]) -> None:
        """Remember what went wrong and turn later registrations away."""
        with self._lock:
            self._failed += problems

    def fail_once(self, error: BedplateError) -> None:
        """Remember an error that no registration has remembered yet: one in the request itself."""
        if not self._failed:
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
            self._registered[urn] = None
        return urn

    def _adopt_alias(self, urn: str, goal: Goal) -> ResourceState | None:
        urns = alias_urns(goal, self.stack, self._aliases.get(goal.parent, ()))
        with self._lock:
            self._aliases[urn] = urns
        if self.snapshot.live(urn) is not None:
            return None
        for old_urn in urns:
            if self.snapshot.live(old_urn) is not None and old_urn not in self._registered:
                self.operations.record(Rename(old_urn, urn))
                return self.snapshot.live(urn)
        return None

    def _wanted(self, urn: str, goal: Goal, inputs: Mapping[str, Any]) -> ResourceState:
        parent = self._registered.get(goal.parent)
        protect = goal.protect if goal.protect is not None else bool(parent and parent.protect)
        retain = goal.retain_on_delete
        return ResourceState(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            id=goal.id,
            inputs=inputs,
            parent=goal.parent,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
            protect=protect,
            retain_on_delete=retain if retain is not None else bool(parent and parent.retain_on_delete),
            additional_secret_outputs=goal.additional_secret_outputs,
        )

    def _register_component(self, urn: str, goal: Goal, old: ResourceState | None) -> ResourceState:
        wanted = self._wanted(urn, goal, goal.inputs)
        if old is None:
            return self.operations.put_component("create", wanted)
        wanted = _carry(wanted, old, old.outputs)
        diff = diff_properties(plain(old.inputs), plain(goal.inputs))
        if diff.changes:
            return self.operations.put_component("update", wanted, diff)
        return self.operations.keep(wanted, old)

    def _register_custom(self, urn: str, goal: Goal, old: ResourceState | None) -> ResourceState:
        resource = resource_type(self.registry, goal.type)
        provider = self._default_provider(goal)
        given = goal.inputs if old is None else keep_old(old.inputs, goal.inputs, goal.ignore_changes)

        def wanted(olds: Mapping[str, Any] | None) -> ResourceState:
            checked = resource.check(plain(given), None if olds is None else plain(olds))
            return replace(self._wanted(urn, goal, _accept(checked, given)), provider=provider)

        if old is None:
            return self.operations.create(resource, wanted(None))
        new = _carry(wanted(old.inputs), old, old.outputs)
        diff = _compare(resource, old, new, goal)
        if not diff.changes:
            names = {*goal.additional_secret_outputs, *resource.secret_outputs}
            kept = annotate(seal(old.outputs, names), new.inputs)
            return self.operations.keep(replace(new, outputs=kept), old)
        if not diff.replaces:
            return self.operations.update(resource, old, new, diff)
        before = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        return self.operations.replace(resource, old, wanted(None), replace(diff, delete_before_replace=before))

    def _default_provider(self, goal: Goal) -> str:
        package = goal.package
        name = "default" + ("_" + goal.version.replace(".", "_") if goal.version else "")
        type_ = PROVIDER_PREFIX + package
        urn = self.stack.urn("", type_, name)
        # Registrations race for it: one makes it, the others wait.
        with self._lock:
            if urn not in self._providers:
                old = self.snapshot.live(urn)
                inputs = {"version": goal.version} if goal.version else {}
                state = old or self.operations.stamp(
                    ResourceState(urn=urn, type=type_, custom=True, id=str(uuid.uuid4()), inputs=inputs, outputs=inputs)
                )
                if old is None:
                    self.operations.record(Put(state))
                self._providers[urn] = f"{urn}::{state.id}"
            return self._providers[urn]

    def _drop_unused_providers(self) -> None:
        used = {r.provider.rpartition("::")[0] for r in self.snapshot.resources.values()}
        unused = [
            r for r in self.snapshot.resources.values() if r.type.startswith(PROVIDER_PREFIX) and r.urn not in used
        ]
        if unused:
            self.operations.record(*(Drop(r.urn) for r in unused))


def _carry(wanted: ResourceState, old: ResourceState, outputs: Mapping[str, Any]) -> ResourceState:
    """What stays when a resource is kept or updated: its id, outputs, creation, and fields of other engines."""
    return replace(wanted, id=old.id, outputs=outputs, created=old.created, modified=old.modified, extra=old.extra)


def _compare(resource: Resource, old: ResourceState, new: ResourceState, goal: Goal) -> Diff:
    diff = resource.diff(old.id, plain(old.inputs), plain(old.outputs), plain(new.inputs))
    if not goal.replace_on_changes:
        return diff
    forced = {
        path: _REPLACING.get(kind, kind)
        for path, kind in diff.properties.items()
        if any(matches(pattern, path) for pattern in goal.replace_on_changes)
    }
    return replace(diff, properties={**diff.properties, **forced})


def _accept(checked: Checked, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if checked.failures:
        raise BedplateError(
            *(Problem("BP205", f"{f.property}: {f.reason}" if f.property else f.reason) for f in checked.failures)
        )
    inputs: Mapping[str, Any] = annotate(dict(checked.inputs), given)
    return inputs
