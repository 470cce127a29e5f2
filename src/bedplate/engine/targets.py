"""Targets and excludes: which resources a run may touch.

Goes in: patterns for URNs, resources with what they need. Comes out: whether each is meant, and which of them may be
deleted. The rules are Pulumi's (pulumi/pulumi, pkg/resource/deploy/step_generator.go): `*` stands for anything but `:`,
`**` for anything at all; providers and the stack itself are always meant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from bedplate.engine.api import Options
from bedplate.engine.state import PROVIDER_PREFIX, STACK_TYPE, ResourceState
from bedplate.problems import BedplateError, Problem


def whole(pattern: str) -> str:
    """The pattern as Pulumi takes it. Without `:` and without `**` it is the name of a resource: `db` is `**::db`."""
    return pattern if ":" in pattern or "**" in pattern else f"**::{pattern}"


class Patterns:
    """A set of URNs."""

    def __init__(self, patterns: Iterable[str]) -> None:
        full = [whole(p) for p in patterns]
        self._given = dict(zip(full, patterns, strict=True))
        self._exact = frozenset(p for p in full if "*" not in p)
        self._shapes = [_shape(p) for p in full if "*" in p]

    def __bool__(self) -> bool:
        return bool(self._given)

    def __contains__(self, urn: str) -> bool:
        return urn in self._exact or any(shape.fullmatch(urn) for shape in self._shapes)

    def missing(self, urns: Collection[str]) -> list[str]:
        """What names one resource, and none of `urns` is it: as it was given."""
        single = {p: given for p, given in self._given.items() if "*" not in given}
        return [given for p, given in single.items() if not any(u in Patterns((p,)) for u in urns)]


def _shape(pattern: str) -> re.Pattern[str]:
    anything = (re.escape(part).replace(r"\*", "[^:]*") for part in pattern.split("**"))
    return re.compile(".*".join(anything), re.DOTALL)


class Selection:
    """What a run may touch. `includes` is asked about a resource after everything that it needs."""

    def __init__(self, options: Options) -> None:
        self._targets, self._excludes = Patterns(options.targets), Patterns(options.excludes)
        self._dependents = options.target_dependents
        self._followed: set[str] = set()

    @property
    def limited(self) -> bool:
        """Whether anything is left out at all."""
        return bool(self._targets or self._excludes)

    def includes(self, urn: str, needs: Iterable[str]) -> bool:
        """Whether the resource is meant: named, or dependent on one that is named where dependents are taken along."""
        if not self.limited or _implicit(urn):
            return True
        chosen = urn in (self._targets or self._excludes)
        if not chosen and self._dependents:
            chosen = not self._followed.isdisjoint(needs)
        if chosen:
            self._followed.add(urn)
        return chosen == bool(self._targets)

    def narrowed(self, resources: Sequence[ResourceState], every: Sequence[ResourceState]) -> list[ResourceState]:
        """Those of `resources` that may be deleted; `every` is all that is deployed, needed ones first.

        Raises BedplateError BP233 where something that stays would lose what it needs.
        """
        if not self.limited:
            return list(resources)
        selection = self._again()
        meant = {r.urn for r in every if selection._deletes(r)}
        if self._excludes:
            meant -= needed_by((r for r in every if r.urn not in meant), every)
        doomed = [r for r in resources if r.urn in meant]
        gone = {r.urn for r in doomed if not r.delete}
        keys = {r.key for r in doomed}
        _require_no_users(gone, [r for r in every if r.key not in keys])
        return doomed

    def _deletes(self, resource: ResourceState) -> bool:
        if _implicit(resource.urn) and resource.urn not in (self._targets or self._excludes):
            return not self._targets
        return self.includes(resource.urn, resource.needs)

    def _again(self) -> Selection:
        options = (self._targets, self._excludes, self._dependents)
        fresh = Selection(Options())
        fresh._targets, fresh._excludes, fresh._dependents = options
        return fresh

    def require_known(self, urns: Collection[str]) -> None:
        """Raise BedplateError BP232 for a target or exclude that names no resource."""
        missing = (self._targets or self._excludes).missing(urns) if self.limited else []
        if missing:
            raise BedplateError(*(_unknown(pattern, urns) for pattern in missing))


def _implicit(urn: str) -> bool:
    type_ = urn.split("::", 3)[2].rpartition("$")[2]
    return type_ == STACK_TYPE or type_.startswith(PROVIDER_PREFIX)


def needed_by(resources: Iterable[ResourceState], every: Sequence[ResourceState]) -> set[str]:
    """The URNs of everything that these resources need, directly or not, and their own."""
    needs: dict[str, set[str]] = {}
    for resource in every:
        needs.setdefault(resource.urn, set()).update(resource.needs)
    found: set[str] = set()
    left = [resource.urn for resource in resources]
    while left:
        urn = left.pop()
        if urn not in found:
            found.add(urn)
            left += needs.get(urn, ())
    return found


def _require_no_users(gone: set[str], staying: Iterable[ResourceState]) -> None:
    users = [(r, urn) for r in staying for urn in sorted(r.needs & gone)]
    if users:
        raise BedplateError(
            *(
                Problem(
                    "BP233",
                    f"{urn.split('::', 3)[-1]} would be deleted, but {r.name}, which is no target, needs it",
                    detail=r.urn,
                    fix="add it to the targets, or take everything along that depends on them: --target-dependents",
                )
                for r, urn in users
            )
        )


def untargeted(name: str, needed: str) -> BedplateError:
    """The error for a resource that needs one which a target leaves uncreated."""
    return BedplateError(
        Problem(
            "BP234",
            f"{name} needs {needed.split('::', 3)[-1]}, which does not exist and is not among the targets",
            detail=needed,
            fix="add it to the targets",
        )
    )


def _unknown(pattern: str, urns: Collection[str]) -> Problem:
    names = {urn.split("::", 3)[-1]: urn for urn in urns}
    near = difflib.get_close_matches(pattern, [*urns, *names], n=1)
    fix = f"did you mean {near[0]}?" if near else "see the names of what is deployed with `bedplate status`"
    return Problem("BP232", f"there is no resource {pattern} in this stack", fix=fix)
