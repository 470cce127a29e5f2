"""What is to be done about one custom resource: create, update, replace, import, or nothing.

Goes in: a goal, the resource as it would be, and as it stands in state. Comes out: the resource as it is after the step
that was due. The rules are Pulumi's (pulumi/pulumi, pkg/resource/deploy/step_generator.go); `operations` carries out.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bedplate.engine.checking import accepted
from bedplate.engine.dependents import forced, going_along
from bedplate.engine.diffing import same
from bedplate.engine.goals import Goal
from bedplate.engine.operations import Operations, protected
from bedplate.engine.paths import keep_old
from bedplate.engine.provider import UNKNOWN, Diff, DiffKind, Resource
from bedplate.engine.providing import Providers
from bedplate.engine.refreshing import refreshed
from bedplate.engine.state import INIT_ERRORS, REFRESH_FIRST, TAINT, ResourceState
from bedplate.engine.taking import adopt, is_import
from bedplate.engine.values import annotate, contains, plain, seal
from bedplate.problems import BedplateError, Problem


@dataclass
class Decider:
    """Decides for one run. `settled` has the URNs that were registered so far; it changes under `lock` only."""

    operations: Operations
    providers: Providers
    settled: Collection[str]
    lock: threading.Lock
    replaced: set[str] = field(default_factory=set)
    _going: dict[str, threading.Event] = field(default_factory=dict)

    def wait(self, urn: str) -> None:
        """Wait until a resource that another one takes along is gone: what comes back is made anew."""
        if (going := self._going.get(urn)) is not None:
            going.wait()

    def decide(self, goal: Goal, wanted: ResourceState, old: ResourceState | None) -> ResourceState:
        """Make the resource what the goal says. Raises BedplateError."""
        resource = self.operations.instances.resource(wanted)
        if is_import(goal, old):
            imported = adopt(self.operations, resource, wanted, goal.import_id, old)
            return self._change(resource, goal, wanted, imported, imported=True)
        if old is not None and old.managed and old.extra.get(REFRESH_FIRST):
            # Gone, it is made again under its name: its entry stays until then, for what refers to it.
            old = refreshed(self.operations, self.operations.instances.resource(old), old)
        if old is None:
            return self.operations.create(resource, _checked(resource, wanted, goal.inputs, None))
        if old.external or old.pending_replacement or not old.custom:
            # What stands there is not ours, is deleted already, or was never anything but an entry.
            self.replaced.add(wanted.urn)
            new = _checked(resource, wanted, goal.inputs, None)
            return self.operations.replace(resource, old, new, Diff(), gone=not old.external)
        return self._change(resource, goal, wanted, old)

    def _change(
        self, resource: Resource, goal: Goal, wanted: ResourceState, old: ResourceState, *, imported: bool = False
    ) -> ResourceState:
        given = keep_old(old.inputs, goal.inputs, goal.ignore_changes)
        new = carried(_checked(resource, wanted, given, old.inputs), old)
        diff = self._difference(resource, old, new)
        if diff.replaces:
            return self._replace(resource, goal, wanted, old, diff)
        if diff.changes or INIT_ERRORS in old.extra:
            return self.operations.update(resource, old, new, diff)
        names = {*goal.additional_secret_outputs, *resource.secret_outputs}
        new = replace(new, outputs=annotate(seal(old.outputs, names), new.inputs))
        return old if imported else self.operations.keep(new, old)

    def _difference(self, resource: Resource, old: ResourceState, new: ResourceState) -> Diff:
        if reason := self._forcing(old, new):
            return Diff({reason: DiffKind.UPDATE_REPLACE})
        diff = resource.diff(old.id, plain(old.inputs), plain(old.outputs), plain(new.inputs))
        return forced(diff, new.replace_on_changes)

    def _forcing(self, old: ResourceState, new: ResourceState) -> str:
        """The option that replaces the resource, whatever its properties say; "" for none."""
        if old.extra.get(TAINT):
            return TAINT
        if _triggered(old.replacement_trigger, new.replacement_trigger):
            return "replacementTrigger"
        if not self.replaced.isdisjoint(new.replace_with):
            return "replaceWith"
        if new.deleted_with in self.replaced:
            return "deletedWith"
        return "provider" if self.providers.replaces(old.provider, new.provider) else ""

    def _replace(
        self, resource: Resource, goal: Goal, wanted: ResourceState, old: ResourceState, diff: Diff
    ) -> ResourceState:
        if old.protect and wanted.protect:
            raise protected(old, "replaced")
        if goal.import_id:
            raise _imported(wanted, diff)
        self.replaced.add(wanted.urn)
        # Defaults that came from the old one do not hold for the new one.
        new = _checked(resource, wanted, goal.inputs, None)
        first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        if first:
            self._delete_first(old)
        return self.operations.replace(resource, old, new, diff, gone=first)

    def _delete_first(self, old: ResourceState) -> None:
        find, over = self.operations.instances.resource, threading.Event()
        with self.lock:
            # Under the lock no other registration can begin, which would otherwise change what is being deleted.
            along = going_along(self.operations.ledger.snapshot, old, self.settled, find)
            for resource in along:
                if resource.protect:
                    raise protected(resource, f"replaced together with {old.name}")
            self._going |= {resource.urn: over for resource in along}
        self.operations.gone |= {old.urn, *(resource.urn for resource in along)}
        try:
            for resource in (*reversed(along), old):
                found = find(resource) if self.operations.removes(resource) else None
                self.operations.delete(found, resource, "delete-replaced", replacing=True)
        finally:
            over.set()


def carried(wanted: ResourceState, old: ResourceState) -> ResourceState:
    """What stays when a resource is kept or updated: its id, outputs, creation, and fields of other engines."""
    extra = {key: value for key, value in old.extra.items() if key not in {INIT_ERRORS, TAINT}}
    return replace(wanted, id=old.id, outputs=old.outputs, created=old.created, modified=old.modified, extra=extra)


def _checked(
    resource: Resource, wanted: ResourceState, given: Mapping[str, Any], olds: Mapping[str, Any] | None
) -> ResourceState:
    checked = resource.check(plain(given), None if olds is None else plain(olds))
    return replace(wanted, inputs=accepted(checked, given))


def _triggered(old: Any, new: Any) -> bool:
    if contains(new, type(UNKNOWN)) or contains(old, type(UNKNOWN)):
        return True
    # Setting a trigger for the first time, or taking it away, triggers nothing.
    return old is not None and new is not None and not same(plain(old), plain(new))


def _imported(wanted: ResourceState, diff: Diff) -> BedplateError:
    paths = ", ".join(diff.replaces)
    return BedplateError(
        Problem(
            "BP222",
            f"{wanted.name} is imported as {wanted.import_id} and would be replaced: {paths}",
            detail=wanted.urn,
            fix="write the properties as they are, or take `import_` out once the resource is imported",
        )
    )
