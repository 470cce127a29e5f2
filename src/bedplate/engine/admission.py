"""Which registrations of a run are carried out: targets, and what may go on after a failure.

Goes in: a registration's URN, goal and old state. Comes out: whether it is carried out, or the answer that the program
gets instead. It calls no provider and writes no state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bedplate.engine.api import Options
from bedplate.engine.goals import Goal
from bedplate.engine.state import ResourceState
from bedplate.engine.targets import Selection, needed_by, untargeted


class Left(Exception):
    """A registration that is answered without its resource being made what the program wants.

    `why`: `fail` where it failed and the run goes on, `skip` where it needs one that failed, `untargeted` where it does
    not exist yet and is not among the targets.
    """

    def __init__(self, urn: str, why: Literal["fail", "skip", "untargeted"], inputs: Mapping[str, Any]) -> None:
        super().__init__(urn)
        self.urn, self.why, self.inputs = urn, why, inputs


class Admission:
    """Asked once for each registration, from several threads."""

    def __init__(self, options: Options) -> None:
        self.selection = Selection(options)
        self.keep_going = options.continue_on_error
        self._unmade: set[str] = set()
        self._uncreated: set[str] = set()

    def admits(self, urn: str, goal: Goal, old: ResourceState | None) -> bool:
        """Whether the resource is to be made what the goal says, or, where it exists, is left as it is.

        Raises Left, and BedplateError BP234 for a target that needs what is not created.
        """
        needs = _needs(goal)
        if not self._unmade.isdisjoint(needs):
            self._unmade.add(urn)
            raise Left(urn, "skip", goal.inputs)
        if not self.selection.includes(urn, needs):
            if old is not None:
                return False
            self._uncreated.add(urn)
            raise Left(urn, "untargeted", goal.inputs)
        if missing := needs & self._uncreated:
            raise untargeted(goal.name, min(missing))
        return True

    def failed(self, urn: str, goal: Goal) -> Left:
        """Note a resource that could not be made, and give the answer for it."""
        self._unmade.add(urn)
        return Left(urn, "fail", goal.inputs)

    def deletable(self, doomed: Sequence[ResourceState], every: Sequence[ResourceState]) -> list[ResourceState]:
        """Those of `doomed` that may go: targets, and nothing that a resource needs which could not be changed.

        Raises BedplateError BP232, BP233.
        """
        self.selection.require_known({r.urn for r in every} | self._uncreated | self._unmade)
        kept = needed_by((r for r in every if r.urn in self._unmade), every) if self._unmade else set()
        return self.selection.narrowed([r for r in doomed if r.urn not in kept], every)


def _needs(goal: Goal) -> frozenset[str]:
    own = {urn for urns in goal.property_dependencies.values() for urn in urns}
    provider = goal.provider.rpartition("::")[0]
    return frozenset({*goal.dependencies, *goal.replace_with, goal.parent, goal.deleted_with, provider, *own} - {""})
