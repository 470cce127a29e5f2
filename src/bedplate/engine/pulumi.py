"""`PulumiEngine`: the Pulumi CLI behind the `Engine` protocol, through Pulumi's Automation API.

Goes in: a stack, a program, a backend (where Pulumi keeps the state). Comes out: the same steps, outputs and errors as
from the embedded engine. The program runs in this process and the CLI calls it back; providers are plugins on PATH or
in Pulumi's plugin cache. It decides nothing about resources: Pulumi does.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bedplate.engine.api import DEFAULTS, EventSink, Options, Outcome, Program, StackRef, Step, Update
from bedplate.engine.encoding import decode_deployment
from bedplate.engine.pulumiplace import Place, place_of, throwaway, write_settings
from bedplate.engine.state import PROVIDER_PREFIX, STACK_TYPE, ResourceState
from bedplate.engine.targets import whole
from bedplate.engine.values import masked
from bedplate.problems import BedplateError, Problem

if TYPE_CHECKING:
    from pulumi.automation import Stack

    from bedplate.engine.pulumicli import Cli

_KINDS: Final = {"update": "up", "resource-import": "import"}


class PulumiEngine:
    """The engine behind the `Engine` protocol that starts the Pulumi CLI.

    `backend` is a URL as `pulumi login` takes it; without it `PULUMI_BACKEND_URL` of `environment` counts, and without
    that the state is kept in the stack's folder. Secrets are sealed with `PULUMI_CONFIG_PASSPHRASE` or the passphrase
    in the stack's folder, unless the backend is a service that has keys itself.
    """

    def __init__(self, backend: str = "", environment: Mapping[str, str] | None = None) -> None:
        found = dict(os.environ if environment is None else environment)
        # Our own plugin stands beside the Python that runs this.
        path = os.pathsep.join((str(Path(sys.executable).parent), found.get("PATH", "")))
        self._environment = {**found, "PATH": path}
        self._backend = backend or found.get("PULUMI_BACKEND_URL", "")
        self._found: Cli | None = None

    def preview(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        *,
        options: Options = DEFAULTS,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """What `up` would do. A stack that does not exist yet is previewed in a folder that is thrown away."""
        chosen = _arguments(options, "targets", "excludes", "refresh")
        with tempfile.TemporaryDirectory(prefix="bedplate-") as made:
            folder = Path(made)
            there = replace(self._place(stack), folder=folder) if self._exists(stack) else throwaway(folder)
            run = _Run(self._cli, program, on_event)
            opened = self._open(stack, there, config)
            return run.carry_out(lambda: opened.preview(program=run, on_event=run.listen, **chosen))

    def up(
        self,
        stack: StackRef,
        program: Program,
        config: Mapping[str, str],
        *,
        options: Options = DEFAULTS,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """Make the stack what the program says. Raises BedplateError; Pulumi's state then holds what did happen."""
        chosen = _arguments(options, "targets", "excludes", "refresh", "continue_on_error")
        opened = self._open(stack, self._place(stack, make=True), config)
        run = _Run(self._cli, program, on_event)
        return run.carry_out(lambda: opened.up(program=run, on_event=run.listen, **chosen))

    def refresh(
        self,
        stack: StackRef,
        *,
        options: Options = DEFAULTS,
        preview: bool = False,
        on_event: EventSink | None = None,
    ) -> Outcome:
        """Make the state what the providers see; with `preview` only tell it."""
        chosen = _arguments(options, "targets", "excludes")
        return self._without_program(stack, "preview_refresh" if preview else "refresh", chosen, on_event)

    def destroy(self, stack: StackRef, *, options: Options = DEFAULTS, on_event: EventSink | None = None) -> Outcome:
        """Delete every resource, and at the end the stack itself, unless only some were to go."""
        chosen = _arguments(options, "targets", "excludes", "refresh", "continue_on_error")
        # The CLI has it and the Automation API has not.
        excludes = [f"--exclude={urn}" for urn in chosen.pop("exclude", ())]
        if "exclude_dependents" in chosen:
            what = "Pulumi cannot leave out of a destroy what depends on an excluded resource"
            raise BedplateError(Problem("BP264", what, fix="name each resource that is to stay"))
        with self._cli.adding("destroy", excludes):
            outcome = self._without_program(stack, "destroy", chosen, on_event)
        if not options.targets and not options.excludes:
            self.forget(stack)
        return outcome

    def forget(self, stack: StackRef) -> None:
        """Remove the stack from Pulumi's backend, whatever is in it, and our folder. No resource is touched.

        The passphrase stays: the next engine needs it for the same secrets.
        """
        if self._exists(stack):
            self._call(stack, "stack", "rm", "--yes", "--force")
        self._place(stack).erase()

    def _without_program(
        self, stack: StackRef, method: str, chosen: Mapping[str, Any], on_event: EventSink | None
    ) -> Outcome:
        if not self._exists(stack):
            return Outcome(())
        opened = self._open(stack, self._place(stack, make=True), None)
        run = _Run(self._cli, _nothing, on_event)
        return run.carry_out(lambda: getattr(opened, method)(on_event=run.listen, **chosen))

    def cancel(self) -> None:
        """Ctrl-C for the CLI: once, it finishes the steps under way; twice, it stops at once."""
        if self._found is not None:
            self._found.interrupt()

    def outputs(self, stack: StackRef) -> Mapping[str, Any] | None:
        """The stack's outputs after the last update, secrets masked; None where nothing was ever deployed."""
        roots = [state for state in self._states(stack) if state.type == STACK_TYPE]
        found: Mapping[str, Any] | None = masked(roots[0].outputs) if roots else None
        return found

    def resources(self, stack: StackRef) -> tuple[Step, ...]:
        """The resources in state, each as a `same` step, secrets masked, needed ones first."""
        from bedplate.engine.steps import same_step

        return tuple(same_step(state) for state in self._states(stack) if not state.type.startswith(PROVIDER_PREFIX))

    def _states(self, stack: StackRef) -> list[ResourceState]:
        exported = self._exported(stack)
        return [] if exported is None else decode_deployment(exported.get("deployment") or {}, None).ordered()

    def export_state(self, stack: StackRef) -> dict[str, Any]:
        """The state as `pulumi stack export` prints it, secrets encrypted."""
        found: dict[str, Any] = json.loads(self._call(stack, "stack", "export"))
        return found

    def _exported(self, stack: StackRef) -> dict[str, Any] | None:
        """The state; None where there is no such stack."""
        from pulumi.automation import StackNotFoundError

        if self._place(stack).empty:
            return None
        try:
            return self.export_state(stack)
        except BedplateError as error:
            if isinstance(error.__cause__, StackNotFoundError):
                return None
            raise

    def import_state(self, stack: StackRef, document: Mapping[str, Any]) -> tuple[str, ...]:
        """Put such a document in the place of the state, as `pulumi stack import` does. The backend keeps the other."""
        self._open(stack, self._place(stack, make=True), None)
        self._call(stack, "stack", "import", given=json.dumps(document))
        return ()

    def history(self, stack: StackRef) -> tuple[Update, ...]:
        """The runs that Pulumi's backend knows of, the newest first."""
        if not self._exists(stack):
            return ()
        told = json.loads(self._call(stack, "stack", "history", "--json"))
        return tuple(_update(each, len(told) - place) for place, each in enumerate(told))

    @property
    def _cli(self) -> Cli:
        from bedplate.engine.pulumicli import Cli, find

        if self._found is None:
            self._found = Cli(find(self._environment), self._environment)
        return self._found

    def _place(self, stack: StackRef, *, make: bool = False) -> Place:
        return place_of(stack, self._backend, self._environment, make=make)

    def _exists(self, stack: StackRef) -> bool:
        # Of the commands that read a stack this one takes the least time.
        return self._exported(stack) is not None

    def _call(self, stack: StackRef, *arguments: str, given: str = "") -> str:
        """What a command about the stack prints. It runs in a folder that is thrown away: reading changes nothing."""
        from bedplate.engine.pulumicli import translated

        with tempfile.TemporaryDirectory(prefix="bedplate-") as made, translated():
            write_settings(Path(made), stack, None)
            words = [*arguments, "--stack", stack.name]
            return self._cli.call(words, Path(made), self._place(stack).variables, given).stdout

    def _open(self, stack: StackRef, place: Place, config: Mapping[str, str] | None) -> Stack:
        from pulumi.automation import Stack

        from bedplate.engine.pulumicli import Workspace, translated

        write_settings(place.folder, stack, config)
        with translated():
            workspace = Workspace(str(place.folder), env_vars=place.variables, pulumi_command=self._cli)
            return Stack.create_or_select(stack.name, workspace)


class _Run:
    """One run of the CLI: the program as Pulumi calls it, what it raised, and what the events said."""

    def __init__(self, cli: Cli, program: Program, on_event: EventSink | None) -> None:
        from bedplate.engine.pulumievents import Listener

        self._cli = cli
        self._program = program
        self._raised: Exception | None = None
        self.listen = Listener(on_event)

    def __call__(self) -> None:
        """The program. What it raises is kept, because the CLI only prints it."""
        try:
            self._program()
        except Exception as error:
            self._raised = error
            raise

    def carry_out(self, call: Callable[[], object]) -> Outcome:
        """Make the call and say what it did. Raises BedplateError with what failed first."""
        from pulumi.automation import CommandError

        with _unheard():
            try:
                call()
            except CommandError as error:
                found = self._explain(str(error))
                self._raised = None
                raise found from error
        return Outcome(self.listen.finish(), self.listen.outputs)

    def _explain(self, said: str) -> BedplateError:
        from bedplate.engine.program import explained
        from bedplate.engine.pulumievents import problem_of

        found = self.listen.problems()
        if self._cli.interrupted:
            fix = "run the same command again to go on from there"
            return BedplateError(Problem("BP231", "the run was stopped", detail=said, fix=fix), *found)
        if found:
            return BedplateError(*found)
        if self._raised is not None:
            return explained(self._raised)
        return BedplateError(problem_of(self.listen.general() or said))


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep what the SDK's own failures would print to ourselves: those of a failed run follow from the first one.

    Its server for programs logs each call that the CLI does not wait for any more, and leaves coroutines behind that
    fail when they are collected, which is done here.
    """
    log, hook = logging.getLogger("grpc._server"), sys.unraisablehook
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda _: None
    try:
        yield
    except BaseException:
        gc.collect()
        raise
    finally:
        log.setLevel(level)
        sys.unraisablehook = hook


def _nothing() -> None:
    """The program of a run that needs none."""


def _arguments(options: Options, *possible: str) -> dict[str, Any]:
    """The options as arguments of the Automation API. Raises BedplateError BP264 for one that it does not offer."""
    for name in ("targets", "excludes", "refresh", "continue_on_error"):
        if getattr(options, name) and name not in possible:
            what = name.replace("_", "-")
            raise BedplateError(Problem("BP264", f"Pulumi's Automation API offers no {what} for this command"))
    given: dict[str, Any] = {
        "target": [whole(target) for target in options.targets],
        "exclude": [whole(exclude) for exclude in options.excludes],
        "exclude_dependents" if options.excludes else "target_dependents": options.target_dependents,
        "refresh": options.refresh,
        "continue_on_error": options.continue_on_error,
        "message": options.message,
    }
    return {"parallel": options.parallel, **{name: value for name, value in given.items() if value}}


def _update(told: Mapping[str, Any], number: int) -> Update:
    """One entry of `pulumi stack history --json` (pulumi/pulumi, pkg/backend/display/json.go)."""
    return Update(
        number=int(told.get("version") or number),
        kind=_KINDS.get(told["kind"], told["kind"]),
        result=told["result"],
        started=_seconds(told.get("startTime", "")),
        finished=_seconds(told.get("endTime", "")),
        counts=told.get("resourceChanges") or {},
        message=told.get("message", ""),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
