"""The providers of one run, by the reference (`urn::id`) that stands in the state of every resource.

Goes in: the state, which also holds what the program has registered so far. Comes out: for a resource, the `Resource`
that manages it; a provider is a resource itself, managed by a `ProviderType`. A provider is opened when it is first
needed and configured with the inputs that its own state has.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace

from bedplate.engine.origins import INTERNAL, VERSION, configuration, origin_of
from bedplate.engine.packages import Packages, Provider, Subject
from bedplate.engine.provider import Checked, Created, Diff, Properties, ReadResult, Resource
from bedplate.engine.state import PROVIDER_PREFIX, ResourceState, Snapshot
from bedplate.engine.values import plain


class Instances:
    """Opened providers. Called from several threads."""

    def __init__(self, packages: Packages, snapshot: Snapshot) -> None:
        self.packages = packages
        self._snapshot = snapshot
        self._configured: dict[str, tuple[Properties, Provider]] = {}
        self._opened: dict[str, Provider] = {}
        self._lock = threading.RLock()

    def resource(self, state: ResourceState) -> Resource:
        """What manages this resource, or this provider. Raises BedplateError where its package or type is not found."""
        if state.type.startswith(PROVIDER_PREFIX):
            return ProviderType(self, state)
        return self.of(state.provider or state.type.partition(":")[0]).resource(subject_of(state))

    def of(self, reference: str) -> Provider:
        """The configured provider with this reference. Raises BedplateError.

        The id in it may be unknown, in the preview of a new provider. A package's bare name stands for a provider of
        which the state knows nothing.
        """
        urn, _, id = reference.rpartition("::")
        live = self._snapshot.live(urn)
        # The old copy of a replaced provider still has to delete what it made.
        old = self._snapshot.resources.get((urn, id))
        state = live if old is None else old
        inputs = {} if state is None else plain(state.inputs)
        # Under the lock: two resources that need the same provider must not start its plugin twice.
        with self._lock:
            key = reference if state is None or state.delete else urn
            known = self._configured.get(key)
            if known is None or known[0] != inputs:
                known = self._configured[key] = (inputs, self._configure(reference, state, inputs))
            return known[1]

    def _configure(self, reference: str, state: ResourceState | None, inputs: Properties) -> Provider:
        package = package_of(reference)
        if state is None:
            return self._open(package, {})
        # The one that has checked the inputs; it can be configured once.
        provider = (None if state.delete else self._opened.pop(state.urn, None)) or self._open(package, inputs)
        provider.configure(state.urn, state.id, configuration(inputs))
        return provider

    def opened(self, urn: str, package: str, inputs: Properties) -> Provider:
        """The provider with this URN, configured or not: enough to check and compare configurations."""
        with self._lock:
            known = self._configured.get(urn)
            if known is not None and origin_of(known[0]) == origin_of(inputs):
                return known[1]
            if urn not in self._opened:
                self._opened[urn] = self._open(package, inputs)
            return self._opened[urn]

    def _open(self, package: str, inputs: Properties) -> Provider:
        return self.packages.open(package, origin_of(inputs))


class ProviderType(Resource):
    """A provider as a resource of its own: its inputs are its configuration, and making it is nothing but an id."""

    def __init__(self, instances: Instances, state: ResourceState) -> None:
        self._instances, self._urn = instances, state.urn
        self._package = state.type.removeprefix(PROVIDER_PREFIX)

    def _provider(self, inputs: Properties) -> Provider:
        return self._instances.opened(self._urn, self._package, inputs)

    def check(self, news: Properties, olds: Properties | None) -> Checked:
        """As the package's provider checks its configuration; what is the engine's stays as it is."""
        before = None if olds is None else configuration(olds)
        checked = self._provider(news).check_config(self._urn, configuration(news), before)
        ours = {key: news[key] for key in (VERSION, INTERNAL) if key in news}
        return replace(checked, inputs={**checked.inputs, **ours})

    def diff(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Diff:  # noqa: ARG002
        """As the package's provider compares."""
        return self._provider(news).diff_config(self._urn, configuration(old_inputs), configuration(news))

    def create(self, news: Properties) -> Created:
        """An id of its own: resources name the provider by it."""
        return Created(str(uuid.uuid4()), configuration(news))

    def read(self, id: str, inputs: Properties, outputs: Properties) -> ReadResult | None:
        """As it was configured: it exists nowhere else."""
        return ReadResult(id, inputs, outputs)

    def update(self, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Properties:  # noqa: ARG002
        """The new configuration, taken up when the next resource needs it."""
        return configuration(news)

    def delete(self, id: str, outputs: Properties) -> None:
        """There is nothing to remove."""


def package_of(reference: str) -> str:
    """The package of a provider by its reference `urn::id`; a bare name is one."""
    return reference.split("::")[2].rpartition("$")[2].removeprefix(PROVIDER_PREFIX) if "::" in reference else reference


def subject_of(state: ResourceState) -> Subject:
    """What calls about a resource in state have to know of it."""
    timeouts = {key: float(value) for key, value in state.custom_timeouts.items()}
    return Subject(state.urn, state.type, state.inputs, timeouts, state.ignore_changes)
