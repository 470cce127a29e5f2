"""`EmbeddedEngine`: Pulumi's engine in this process, for ordinary Pulumi programs in Python.

Goes in: a stack, a program, a registry of resource types. Comes out: steps, outputs and the stack's files. Reading a
state imports no Pulumi; running a program does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bedplate.engine.api import EventSink, Outcome, Program, Registry, StackRef, Step
from bedplate.engine.deployment import Deployment
from bedplate.engine.goals import StackId
from bedplate.engine.lock import held
from bedplate.engine.operations import Operations, same_step
from bedplate.engine.pending import resolve
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import PROVIDER_PREFIX, STACK_TYPE, Snapshot
from bedplate.engine.storage import Ledger, Loaded, Storage, load
from bedplate.engine.values import masked
from bedplate.problems import BedplateError, Problem


class EmbeddedEngine:
    """The engine behind the `Engine` protocol that needs nothing but Python.

    `clock` gives Unix seconds; `tool_version` stands in the manifest of the state; `environment` is read for
    `PULUMI_CONFIG_PASSPHRASE` only.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float] = time.time,
        tool_version: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._version = tool_version
        self._environment = os.environ if environment is None else environment

    def preview(
        self, stack: StackRef, program: Program, config: Mapping[str, str], *, on_event: EventSink | None = None
    ) -> Outcome:
        """What `up` would do. Changes nothing on disk and calls no provider but to check, compare and read."""
        loaded = load(stack.folder, self._environment)
        operations = Operations(Ledger(loaded, None), True, self._clock, on_event)
        return self._run(stack, program, config, operations)

    def imagine(self, stack: StackRef, program: Program, configs: Sequence[Mapping[str, str]]) -> Outcome:
        """What an update to the last configuration would do, had those before it been deployed one after the other.

        Everything is a preview in memory: no state is read, and none is written.
        """
        nothing = Loaded(Snapshot(), Keyring(stack.folder, None, self._environment), "", False, False)
        ledger, outcome = Ledger(nothing, None), Outcome(())
        for config in configs:
            outcome = self._run(stack, program, config, Operations(ledger, True, self._clock))
        return outcome

    def up(
        self, stack: StackRef, program: Program, config: Mapping[str, str], *, on_event: EventSink | None = None
    ) -> Outcome:
        """Make the stack what the program says. Raises BedplateError; the state then holds what did happen."""
        with held(stack.folder / "lock.json", "up", self._clock):
            storage = self._storage(stack)
            operations = Operations(storage.ledger, False, self._clock, on_event)
            try:
                resolve(operations, self._registry)
                return self._run(stack, program, config, operations)
            finally:
                storage.fold()

    def destroy(self, stack: StackRef, *, on_event: EventSink | None = None) -> Outcome:
        """Delete every resource, in reverse order of dependency, and at the end the state."""
        with held(stack.folder / "lock.json", "destroy", self._clock):
            storage = self._storage(stack)
            operations = Operations(storage.ledger, False, self._clock, on_event)
            try:
                resolve(operations, self._registry)
                _refuse_pending(storage.ledger)
                operations.delete_all(_deletable(storage.ledger), self._registry)
            except BaseException:
                storage.fold()
                raise
            storage.erase()
            return Outcome(tuple(operations.steps))

    def outputs(self, stack: StackRef) -> Mapping[str, Any] | None:
        """The stack's outputs after the last update, secrets masked; None where nothing was ever deployed."""
        loaded = load(stack.folder, self._environment, decrypt=False)
        if not loaded.exists:
            return None
        roots = (r for r in loaded.snapshot.resources.values() if r.type == STACK_TYPE)
        found: Mapping[str, Any] = next((masked(root.outputs) for root in roots), {})
        return found

    def resources(self, stack: StackRef) -> tuple[Step, ...]:
        """The resources in state, each as a `same` step, secrets masked, needed ones first."""
        loaded = load(stack.folder, self._environment, decrypt=False)
        found = loaded.snapshot.ordered()
        return tuple(same_step(r) for r in found if not r.type.startswith(PROVIDER_PREFIX))

    def _storage(self, stack: StackRef) -> Storage:
        return Storage(stack.folder, self._version, self._clock, self._environment)

    def _run(self, stack: StackRef, program: Program, config: Mapping[str, str], operations: Operations) -> Outcome:
        # Loads asyncio and, later, Pulumi: not needed by what only reads a state.
        from bedplate.engine.program import run

        deployment = Deployment(StackId(stack.project, stack.name), self._registry, operations)
        run(program, deployment, config, preview=operations.preview, on_event=operations.emit)
        deployment.finish()
        return Outcome(tuple(operations.steps), masked(deployment.stack_outputs))


def _refuse_pending(ledger: Ledger) -> None:
    left = tuple(ledger.snapshot.pending.values())
    if left:
        raise BedplateError(
            *(
                Problem(
                    "BP216",
                    f"{operation.resource.name}: {operation.type} was interrupted and could not be settled",
                    detail=operation.resource.urn,
                    fix="mend what stands in its way and run the command again, or remove it by hand and take it out "
                    "of pending_operations in state.json",
                )
                for operation in left
            )
        )


def _deletable(ledger: Ledger) -> list[Any]:
    return [r for r in ledger.snapshot.resources.values() if not r.type.startswith(PROVIDER_PREFIX)]
