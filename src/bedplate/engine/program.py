"""Running an ordinary Pulumi program in this process.

Goes in: a program, a deployment that answers it, config. Comes out: nothing, or one clear `BedplateError`. Each run has
a copy of the context with fresh SDK settings, so runs (also in several threads) do not see each other. Modules are
shared by all runs of the process, so a program must register its resources when called, not when imported.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import sysconfig
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bedplate.engine import circles
from bedplate.engine.api import EventSink, Program
from bedplate.engine.deployment import Deployment
from bedplate.engine.goals import StackId, unsupported
from bedplate.engine.running import Stopped
from bedplate.problems import BedplateError, Problem, Where

THREADS = 32
_MISSING_FEATURE = re.compile(r"The Pulumi CLI does not support (?:the )?(.+?)\. Please update the Pulumi CLI")


def run(
    program: Program,
    deployment: Deployment,
    config: Mapping[str, str],
    *,
    preview: bool,
    on_event: EventSink | None,
) -> None:
    """Run the program to its end. Raises BedplateError with what failed first; other registrations are turned away.

    Raises Stopped where somebody ended the run early. With `continue_on_error` what failed is only remembered.
    """
    context = contextvars.copy_context()
    try:
        with _UNCOLLECTED:
            context.run(_run, program, deployment, config, preview, on_event)
    except SystemExit as error:
        # One that a task of the program has raised.
        raise BedplateError(*deployment.problems, *_exited(error).problems) from error
    except Exception as error:
        # The SDK awaits registrations last first, so its exception may be a follow-up; ours are in order.
        if deployment.problems:
            raise BedplateError(*deployment.problems) from error
        if deployment.turned_away:
            raise Stopped from error
        raise explained(error) from error
    if deployment.problems and not deployment.options.continue_on_error:
        raise BedplateError(*deployment.problems)
    if deployment.turned_away:
        # Even where the program took no notice: what it could not register must not be deleted.
        raise Stopped


class _Uncollected:
    """No search for garbage while programs run: the SDK's objects live as long as the program, and looking at all of
    them again and again takes more than half of the time of a program of 1,000 resources."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._before:
                gc.enable()


_UNCOLLECTED = _Uncollected()


def _run(
    program: Program, deployment: Deployment, config: Mapping[str, str], preview: bool, on_event: EventSink | None
) -> None:
    import pulumi.runtime.resource_cycle_breaker as breaker
    import pulumi.runtime.settings as sdk
    from pulumi.runtime.config import set_all_config
    from pulumi.runtime.stack import run_in_stack

    from bedplate.engine.monitor import EngineService, Monitor

    circles.install(breaker)
    stack = deployment.stack
    sdk.ROOT.set(None)
    sdk.configure(
        sdk.Settings(
            project=stack.project,
            stack=stack.stack,
            monitor=Monitor(deployment),
            engine=EngineService(on_event),
            parallel=deployment.options.parallel,
            dry_run=preview,
            organization="organization",
            root_directory=str(Path.cwd()),
        )
    )
    set_all_config(_qualified(config, stack), [])

    async def main() -> None:
        # A coroutine, because the SDK rescans all tasks after a plain function.
        try:
            program()
        except SystemExit as error:
            raise _exited(error) from error
        await asyncio.sleep(0)

    async def host() -> None:
        # The default executor has six threads on two cores, and a registration blocks one for as long as it takes.
        loop = asyncio.get_running_loop()
        threads = max(THREADS, 2 * deployment.options.parallel)
        loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="bedplate"))
        loop.set_exception_handler(_say_nothing)
        await run_in_stack(main)

    asyncio.run(host())


def _say_nothing(_loop: asyncio.AbstractEventLoop, _context: dict[str, object]) -> None:
    """After a failure the SDK leaves futures that nobody awaits; asyncio would print each when it is collected."""


def _qualified(config: Mapping[str, str], stack: StackId) -> dict[str, str]:
    return {key if ":" in key else f"{stack.project}:{key}": value for key, value in config.items()}


def explained(error: Exception) -> BedplateError:
    """An exception of the program itself as one problem that points at the program's line."""
    if isinstance(error, BedplateError):
        return error
    if missing := _MISSING_FEATURE.search(str(error)):
        return unsupported(missing.group(1))
    lines = str(error).strip().splitlines() or [""]
    return BedplateError(
        Problem(
            "BP201",
            f"the program raised {type(error).__name__}: {lines[0]}",
            where=_place(error),
            detail="\n".join(lines[1:]),
        )
    )


def _exited(error: SystemExit) -> BedplateError:
    """A program that ended itself has not said all that it wants, whatever status it gave."""
    summary = f"the program ended itself with sys.exit({error.code!r})"
    fix = "return from the program instead, or raise an exception"
    return BedplateError(Problem("BP201", summary, where=_place(error), fix=fix))


def _place(error: BaseException) -> Where | None:
    """The innermost line of the trace that belongs neither to this engine, nor to an installed library."""
    libraries = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), str(Path(__file__).parent)}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(frame.filename.startswith(library) for library in libraries):
            return Where(_relative(frame.filename), frame.lineno or 0)
    return None


def _relative(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
