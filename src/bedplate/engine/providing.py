"""Which provider manages a resource: the one it names or inherits, or the default one of its package.

Goes in: goals, config. Comes out: references (`urn::id`) of providers that stand in state. In a preview the id of a new
provider is not known. Explicit providers are registered like any resource and only noted here.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bedplate.engine.checking import accepted
from bedplate.engine.goals import Goal, StackId
from bedplate.engine.operations import Operations
from bedplate.engine.origins import Origin, configuration
from bedplate.engine.state import PROVIDER_PREFIX, Change, Drop, Mark, Put, ResourceState
from bedplate.engine.values import UNKNOWN_SENTINEL, plain
from bedplate.problems import BedplateError, Problem


def reference_of(state: ResourceState) -> str:
    """What resources name their provider by."""
    return f"{state.urn}::{state.id or UNKNOWN_SENTINEL}"


def is_default(state: ResourceState) -> bool:
    """Whether this is a provider that the engine has made because no program named one."""
    return state.type.startswith(PROVIDER_PREFIX) and state.name.partition("_")[0] == "default" and not state.parent


class Providers:
    """The providers of one run. Called from several threads."""

    def __init__(self, stack: StackId, operations: Operations, config: Mapping[str, str]) -> None:
        self._stack, self._operations, self._config = stack, operations, config
        self._states: dict[str, ResourceState] = {}
        self._lock = threading.Lock()

    def reference(self, goal: Goal) -> str:
        """The reference of the provider that the goal names, or of its package's default one.

        Raises BedplateError BP221 for a provider that this run does not know.
        """
        if not goal.provider:
            return self.default(goal.package, goal.origin)
        urn = goal.provider.rpartition("::")[0]
        if urn not in self._states:
            raise BedplateError(
                Problem("BP221", f"the provider {urn.split('::', 3)[-1]} is not registered", detail=urn)
            )
        return reference_of(self._states[urn])

    def note(self, provider: ResourceState) -> None:
        """Remember an explicit provider as it is from now on."""
        self._states[provider.urn] = provider

    def default(self, package: str, origin: Origin) -> str:
        """The reference of a package's default provider, which is made when it is first needed."""
        type_ = PROVIDER_PREFIX + package
        urn = self._stack.urn("", type_, origin.default_name)
        # Registrations race for it: one makes it, the others wait.
        with self._lock:
            if urn not in self._states:
                inputs = {**self._package_config(package), **origin.inputs()}
                self._states[urn] = self._made(ResourceState(urn=urn, type=type_, custom=True, inputs=inputs))
            return reference_of(self._states[urn])

    def _package_config(self, package: str) -> dict[str, Any]:
        if not self._operations.instances.packages.configurable(package):
            return {}
        parts = ((key.partition(":"), value) for key, value in self._config.items())
        return {name: value for (namespace, _, name), value in parts if namespace == package and name}

    def _made(self, wanted: ResourceState) -> ResourceState:
        """A default provider as it is wanted; nobody is told, as with the programs' own resources."""
        old = self._operations.ledger.snapshot.live(wanted.urn)
        resource = self._operations.instances.resource(wanted)
        inputs = accepted(resource.check(plain(wanted.inputs), plain(old.inputs) if old else None), wanted.inputs)
        wanted = replace(wanted, inputs=inputs, outputs=configuration(inputs))
        if old is None:
            return self._recorded(replace(wanted, id=str(uuid.uuid4())))
        diff = resource.diff(old.id, plain(old.inputs), plain(old.outputs), plain(inputs))
        if diff.replaces:
            return self._recorded(replace(wanted, id=str(uuid.uuid4())), Mark(old.urn))
        if diff.changes:
            return self._recorded(replace(old, inputs=inputs, outputs=configuration(inputs)))
        # Where it comes from may be another place without anything else being different.
        same = replace(old, inputs=inputs)
        if same != old:
            self._operations.record(Put(same))
        return same

    def _recorded(self, state: ResourceState, *changes: Change) -> ResourceState:
        stamped = self._operations.stamp(state)
        self._operations.record(*changes, Put(stamped))
        return stamped

    def replaces(self, old: str, new: str) -> bool:
        """Whether a resource has to be replaced because another provider than before is to manage it."""
        if old == new:
            return False
        urn, _, id = old.rpartition("::")
        snapshot = self._operations.ledger.snapshot
        before = next((r for r in snapshot.resources.values() if r.urn == urn and r.id == id), None)
        after = self._states.get(new.rpartition("::")[0])
        if before is None or after is None:
            return False
        diff = self._operations.instances.resource(after).diff(after.id, plain(before.inputs), {}, plain(after.inputs))
        return bool(diff.replaces)

    def unused(self) -> list[Change]:
        """The changes that drop default providers which manage nothing any more."""
        resources = self._operations.ledger.snapshot.resources.values()
        used = {r.provider for r in resources}
        return [Drop(*r.key) for r in resources if is_default(r) and reference_of(r) not in used]
