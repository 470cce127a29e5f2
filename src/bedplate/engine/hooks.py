"""Resource hooks: functions of the program that run before and after a step, or when one has failed.

Goes in: hooks that the program registers by name, and the moments at which a resource names some. Comes out: nothing,
an error, or whether to try again. How a function is called is the caller's (`callbacks`); the rules are Pulumi's
(pulumi/pulumi, pkg/resource/deploy/resource_hooks.go, step.go).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar

from bedplate.engine.provider import Unsettled
from bedplate.engine.state import ResourceState
from bedplate.problems import BedplateError, Problem

T = TypeVar("T")
Say = Callable[[str], None]
RETRIES: Final = 100
"""How often an operation fails before no error hook is asked any more."""


@dataclass(frozen=True)
class Moment:
    """A step about which a hook is told: what the resource was and what it is to be, or, afterwards, is.

    A create has no `old`, a delete no `new`. `errors` are those of the operation so far, the newest first.
    """

    operation: Literal["create", "update", "delete"]
    old: ResourceState | None = None
    new: ResourceState | None = None
    over: bool = False
    errors: tuple[str, ...] = ()

    @property
    def subject(self) -> ResourceState:
        """The resource whose hooks run."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a moment has a resource")
        return found


@dataclass(frozen=True)
class Hook:
    """A function that runs before or after a step; in a preview only with `on_preview`. Its errors may not count."""

    name: str
    call: Callable[[Moment], None]
    on_preview: bool = False
    ignore_errors: bool = False


@dataclass(frozen=True)
class ErrorHook:
    """A function that says whether a failed operation is to be tried again."""

    name: str
    call: Callable[[Moment], bool]


@dataclass
class Hooks:
    """The hooks of one run. Registered and run from several threads."""

    preview: bool = False
    say: Say = lambda _message: None
    _named: dict[str, Hook | ErrorHook] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._named)

    def add(self, hook: Hook | ErrorHook) -> None:
        """Register a hook. Raises BedplateError BP226 where its name is taken."""
        if self._named.setdefault(hook.name, hook) is not hook:
            summary = f"the resource hook {hook.name} is registered twice"
            raise BedplateError(Problem("BP226", summary, fix="give each hook its own name"))

    def run(self, moment: Moment) -> None:
        """Run what the resource names for the moment. Raises BedplateError BP226, and BP227 with what a hook raised."""
        kind = ("After" if moment.over else "Before") + moment.operation.capitalize()
        for name in moment.subject.hooks.get(kind, ()):
            hook = self._named.get(name)
            if not isinstance(hook, Hook):
                raise _unregistered(name, moment)
            if hook.on_preview or not self.preview:
                self._run(hook, moment)

    def _run(self, hook: Hook, moment: Moment) -> None:
        try:
            hook.call(moment)
        except BedplateError as error:
            if not hook.ignore_errors:
                raise
            self.say(f"{moment.subject.name}: {error.problems[0].summary}")

    def tried(self, moment: Moment, call: Callable[[], T]) -> T:
        """What an operation gives, tried again for as long as an error hook of the resource asks for it.

        What nobody knows to be done or not is not tried again: that could do it twice.
        """
        while True:
            try:
                return call()
            except Unsettled:
                raise
            except Exception as error:
                moment = replace(moment, errors=(str(error), *moment.errors))
                if not self._again(moment):
                    raise

    def _again(self, moment: Moment) -> bool:
        names, failed = moment.subject.hooks.get("OnError", ()), len(moment.errors)
        if not names:
            return False
        if failed >= RETRIES:
            self.say(f"{moment.subject.name}: tried {RETRIES} times, and no hook is asked again")
            return False
        answers = [self._asked(name, moment) for name in names]
        if any(answers):
            self.say(f"{moment.subject.name}: a hook asks to {moment.operation} it again ({failed} of {RETRIES})")
        return any(answers)

    def _asked(self, name: str, moment: Moment) -> bool:
        hook = self._named.get(name)
        if not isinstance(hook, ErrorHook):
            raise _unregistered(name, moment)
        return hook.call(moment)


def _unregistered(name: str, moment: Moment) -> BedplateError:
    fix = (
        "keep the hook in the program for as long as a deployed resource names it; `destroy` runs no program: take the "
    )
    return BedplateError(
        Problem(
            "BP226",
            f"the resource hook {name}, which {moment.subject.name} names, is not registered",
            detail=moment.subject.urn,
            fix=f"{fix}resource, or its hook, out of the program and run `up` before it",
        )
    )
