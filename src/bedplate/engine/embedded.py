"""`EmbeddedEngine`: Pulumi's engine in this process, for ordinary Pulumi programs in Python.

Goes in: a stack, a program, a registry of resource types. Comes out: steps, outputs and the stack's files. Reading a
state imports no Pulumi; running a program does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from bedplate.engine.api import DEFAULTS, Event, EventSink, Options, Outcome, Program, Registry, StackRef, Step, Update
from bedplate.engine.builtins import builtins
from bedplate.engine.deployment import Deployment
from bedplate.engine.goals import StackId
from bedplate.engine.history import Begun, whoami
from bedplate.engine.instances import Instances
from bedplate.engine.operations import Operations
from bedplate.engine.origins import Origin
from bedplate.engine.packages import Packages, Provider
from bedplate.engine.pending import resolve
from bedplate.engine.places import Place, place_of
from bedplate.engine.providing import is_default
from bedplate.engine.references import read_outputs
from bedplate.engine.refreshing import refresh
from bedplate.engine.repair import foreseen, mend, tidy
from bedplate.engine.running import Run, Stopped, stopped_error
from bedplate.engine.secrets import Keyring
from bedplate.engine.state import PROVIDER_PREFIX, STACK_TYPE, ResourceState, Snapshot
from bedplate.engine.steps import same_step
from bedplate.engine.storage import Ledger, Loaded, Storage, history, load, opened
from bedplate.engine.targets import Selection
from bedplate.engine.transfer import bring_in, exported
from bedplate.engine.values import masked
from bedplate.problems import BedplateError, Problem


class EmbeddedEngine:
    """The engine behind the `Engine` protocol that needs nothing but Python.

    `clock` gives Unix seconds; `tool_version` stands in the manifest of the state; `environment` is read for
    `PULUMI_CONFIG_PASSPHRASE` and `BEDPLATE_STATE` only; `place` says where a stack's files are;
    `providers` makes providers of this process by package, for types that are configured or have functions beside them.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float] = time.time,
        tool_version: str = "",
        environment: Mapping[str, str] | None = None,
        place: Callable[[StackRef], Place] | None = None,
        providers: Mapping[str, Callable[[], Provider]] | None = None,
    ) -> None:
        self._registry, self._providers = registry, providers
        self._clock = clock
        self._version = tool_version
        self._environment = os.environ if environment is None else environment
        self._place = place or (lambda stack: place_of(stack, self._environment))
        self._runs: list[Run] = []

    def preview(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        *,
        options: Options = DEFAULTS,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """What `up` would do. Changes nothing on disk and calls no provider but to check, compare and read."""
        with self._under_way("the preview", options) as run:
            ledger = Ledger(load(self._place(stack), self._environment), None)
            operations = Operations(
                ledger, True, self._clock, run, self._instances(stack, run, ledger, on_event), on_event
            )
            return self._run(stack, program, config, operations, options)

    def imagine(self, stack: StackRef, program: Program, configs: Sequence[Mapping[str, str]]) -> Outcome:
        """What an update to the last configuration would do, had those before it been deployed one after the other.

        Everything is a preview in memory: no state is read, and none is written.
        """
        nothing = Loaded(Snapshot(), Keyring(stack.folder, None, self._environment))
        ledger, outcome = Ledger(nothing, None), Outcome(())
        for config in configs:
            with self._under_way("the preview", DEFAULTS) as run:
                operations = Operations(ledger, True, self._clock, run, self._instances(stack, run, ledger))
                outcome = self._run(stack, program, config, operations, DEFAULTS)
        return outcome

    def up(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        *,
        options: Options = DEFAULTS,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """Make the stack what the program says. Raises BedplateError; the state then holds what did happen."""
        with self._under_way("the update", options) as run, self._opened(stack, "up", options.message) as storage:
            operations = self._operations(stack, run, storage, on_event)
            resolve(operations)
            return self._run(stack, program, config, operations, options)

    def refresh(
        self,
        stack: StackRef,
        *,
        options: Options = DEFAULTS,
        preview: bool = False,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """Make the state what the providers see; no resource is changed. With `preview` not even the state.

        Operations that were interrupted stay pending: settling one may change a resource, which is for `up`.
        """
        with self._under_way("the refresh", options) as run:
            if preview:
                ledger = Ledger(load(self._place(stack), self._environment), None)
                return self._refresh(
                    Operations(ledger, True, self._clock, run, self._instances(stack, run, ledger, on_event), on_event),
                    options,
                )
            with self._opened(stack, "refresh", options.message) as storage:
                operations = self._operations(stack, run, storage, on_event)
                return self._refresh(operations, options)

    def destroy(self, stack: StackRef, *, options: Options = DEFAULTS, on_event: EventSink | None = None) -> Outcome:
        """Delete every resource, in reverse order of dependency, and at the end the state."""
        with self._under_way("destroying", options) as run, self._opened(stack, "destroy", options.message) as storage:
            operations = self._operations(stack, run, storage, on_event)
            resolve(operations)
            _refuse_pending(storage.ledger)
            if options.refresh:
                self._refresh(operations, options)
            operations.delete_all(_deletable(storage.ledger, options), keep_going=options.continue_on_error)
            return Outcome(tuple(operations.steps))

    def cancel(self) -> None:
        """End the runs under way: running steps finish. A second time: stop now and wait for nothing."""
        for run in tuple(self._runs):
            run.cancel()

    def outputs(self, stack: StackRef) -> Mapping[str, Any] | None:
        """The stack's outputs after the last update, secrets masked; None where nothing was ever deployed."""
        loaded = load(self._place(stack), self._environment, decrypt=False)
        if not loaded.exists:
            return None
        roots = (r for r in loaded.snapshot.resources.values() if r.type == STACK_TYPE)
        found: Mapping[str, Any] = next((masked(root.outputs) for root in roots), {})
        return found

    def resources(self, stack: StackRef) -> tuple[Step, ...]:
        """The resources in state, each as a `same` step, secrets masked, needed ones first."""
        loaded = load(self._place(stack), self._environment, decrypt=False)
        found = loaded.snapshot.ordered()
        return tuple(same_step(r) for r in found if not r.type.startswith(PROVIDER_PREFIX))

    def export_state(self, stack: StackRef, *, show_secrets: bool = False) -> dict[str, Any]:
        """The state as a Pulumi deployment, its secrets encrypted unless `show_secrets`."""
        loaded = load(self._place(stack), self._environment)
        return exported(loaded, self._version, self._clock(), show_secrets=show_secrets)

    def import_state(self, stack: StackRef, document: Mapping[str, Any]) -> tuple[str, ...]:
        """Put a deployment in the place of the state, which is kept as the files that are returned.

        Raises BedplateError BP252; the state is then as it was.
        """
        begun = Begun("import", self._clock(), "", whoami())
        return bring_in(self._place(stack), begun, self._version, self._clock, self._environment, stack, document)

    def history(self, stack: StackRef) -> tuple[Update, ...]:
        """The runs that changed the stack or tried to, the newest first. Raises BedplateError BP211."""
        return history(self._place(stack))

    def repair(
        self,
        stack: StackRef,
        *,
        forget: Sequence[str] = (),
        preview: bool = False,
        on_event: EventSink | None = None,
    ) -> tuple[str, ...]:
        """Mend a damaged state, settle what was interrupted; what was done (or would be, in a preview) in sentences.

        `forget` names resources whose interrupted operation a person has settled. Raises BedplateError BP211 where
        there is nothing to mend from, BP216 for an operation that is left, BP256 for a name without one.
        """
        place = self._place(stack)
        if preview:
            return foreseen(place, self._environment, forget)
        begun = Begun("repair", self._clock(), "", whoami())
        done = mend(place, begun, self._version, self._clock, self._environment)
        with self._under_way("the repair", DEFAULTS) as run, self._opened(stack, "repair") as storage:
            tidied = tidy(storage.ledger, forget)
            resolve(self._operations(stack, run, storage, on_event))
            _refuse_pending(storage.ledger)
        return (*done, *tidied)

    def _opened(self, stack: StackRef, kind: str, message: str = "") -> AbstractContextManager[Storage]:
        begun = Begun(kind, self._clock(), message, whoami())
        return opened(self._place(stack), begun, self._version, self._clock, self._environment)

    @contextmanager
    def _under_way(self, what: str, options: Options) -> Iterator[Run]:
        run = Run(options.parallel)
        self._runs.append(run)
        try:
            yield run
        except Stopped as error:
            raise stopped_error(what, at_once=run.abandoned) from error
        except BedplateError as error:
            if not run.abandoned:
                raise
            # What failed because it was left, as a call of a plugin that was ended under it.
            raise stopped_error(what, at_once=True) from error
        finally:
            self._runs.remove(run)
            run.close()

    def _refresh(self, operations: Operations, options: Options) -> Outcome:
        refresh(operations, Selection(options), operations.instances.resource, keep_going=options.continue_on_error)
        return Outcome(tuple(operations.steps))

    def _operations(self, stack: StackRef, run: Run, storage: Storage, on_event: EventSink | None) -> Operations:
        instances = self._instances(stack, run, storage.ledger, on_event)
        return Operations(storage.ledger, False, self._clock, run, instances, on_event, steps=storage.steps)

    def _instances(self, stack: StackRef, run: Run, ledger: Ledger, on_event: EventSink | None = None) -> Instances:
        def log(message: str) -> None:
            if on_event is not None:
                on_event(Event("log", message=message))

        def start(package: str, origin: Origin) -> Provider:
            # Loads gRPC, which nothing needs but plugins.
            from bedplate.engine.plugins import opener

            return opener(self._environment, log)(package, origin)

        own = builtins(lambda name: read_outputs(name, stack, self._place, self._environment))
        packages = Packages({**self._registry, **own}, start, self._providers)

        def ask() -> None:
            for problem in packages.cancel():
                log(problem.summary)

        run.cancelling(ask, packages.close)
        run.ending(packages.close)
        return Instances(packages, ledger.snapshot)

    def _run(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        operations: Operations,
        options: Options,
    ) -> Outcome:
        # Loads asyncio and, later, Pulumi: not needed by what only reads a state.
        from bedplate.engine.program import run

        if options.refresh:
            self._refresh(operations, options)
        deployment = Deployment(StackId(stack.project, stack.name), operations, options, config)
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
                    fix="mend what stands in its way and run the command again, or remove it by hand and "
                    f"`bedplate state repair --forget {operation.resource.name}`",
                )
                for operation in left
            )
        )


def _deletable(ledger: Ledger, options: Options) -> list[ResourceState]:
    every, selection = ledger.snapshot.ordered(), Selection(options)
    selection.require_known({r.urn for r in every})
    return selection.narrowed([r for r in every if not is_default(r)], every)
