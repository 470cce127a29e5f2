"""The providers of one run, by the reference (`urn::id`) that stands in the state of every resource.

Goes in: providers that the program registers, and those that the state names. Comes out: for a resource in state, the
`Resource` that manages it. A provider that no program registers in this run (its resources are only read or deleted) is
opened from its state when it is first needed.
"""

from __future__ import annotations

import threading

from bedplate.engine.packages import Packages, Provider, Subject
from bedplate.engine.provider import Resource
from bedplate.engine.state import PROVIDER_PREFIX, ResourceState, Snapshot
from bedplate.engine.values import plain


class Instances:
    """Configured providers. Called from several threads."""

    def __init__(self, packages: Packages, snapshot: Snapshot) -> None:
        self.packages = packages
        self._snapshot = snapshot
        self._known: dict[str, Provider] = {}
        self._lock = threading.Lock()

    def add(self, reference: str, provider: Provider) -> None:
        """Remember a provider that is configured."""
        with self._lock:
            self._known[reference] = provider

    def of(self, reference: str) -> Provider:
        """The provider with this reference, from this run or opened as the state has it. Raises BedplateError."""
        # Under the lock: two resources that need the same provider must not start its plugin twice.
        with self._lock:
            if reference not in self._known:
                self._known[reference] = self._from_state(reference)
            return self._known[reference]

    def _from_state(self, reference: str) -> Provider:
        urn, _, id = reference.rpartition("::")
        known = (r for r in self._snapshot.resources.values() if r.urn == urn and r.id == id)
        state = next(known, None)
        if state is None:
            # Written by a version that gave default providers no entry: all they had was the name in the URN.
            return self.packages.open(urn.split("::")[2].rpartition("$")[2].removeprefix(PROVIDER_PREFIX))
        inputs = plain(state.inputs)
        provider = self.packages.open(state.type.removeprefix(PROVIDER_PREFIX), str(inputs.get("version", "")))
        provider.configure(state.urn, state.id, inputs)
        return provider

    def resource(self, state: ResourceState) -> Resource:
        """What manages this resource. Raises BedplateError where its package or its type is not to be found."""
        if not state.provider:
            return self.packages.open(state.type.partition(":")[0]).resource(subject_of(state))
        return self.of(state.provider).resource(subject_of(state))


def subject_of(state: ResourceState) -> Subject:
    """What calls about a resource in state have to know of it."""
    return Subject(state.urn, state.type, plain(state.inputs), state.custom_timeouts, state.ignore_changes)
