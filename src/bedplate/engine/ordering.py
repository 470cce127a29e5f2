"""Deleting in the right order: whatever needs something goes before it.

Goes in: the resources to delete. Comes out: a call for each, in waves; the calls of one wave run at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as dataclass_replace

from bedplate.engine.state import ResourceState
from bedplate.problems import BedplateError, Problem

PARALLEL = 16


def waves(resources: Sequence[ResourceState]) -> Iterator[list[ResourceState]]:
    """The resources in groups; each group is needed by none that come after it."""
    left = list(resources)
    needed = Counter(urn for resource in left for urn in resource.needs)
    while left:
        free = [resource for resource in left if not needed[resource.urn]]
        # Old copies from several failed runs may need each other; then no order is right, and any will do.
        wave = free or left
        yield wave
        gone = {id(resource) for resource in wave}
        left = [resource for resource in left if id(resource) not in gone]
        needed.subtract(urn for resource in wave for urn in resource.needs)


def in_waves(resources: Sequence[ResourceState], call: Callable[[ResourceState], None]) -> None:
    """Call for each resource, dependents first. Raises BedplateError with every failure of the first wave with one."""
    for wave in waves(resources):
        with ThreadPoolExecutor(min(PARALLEL, len(wave)), thread_name_prefix="bedplate-delete") as pool:
            futures = [(resource, pool.submit(call, resource)) for resource in wave]
        problems = [problem for resource, future in futures for problem in _problems(resource, future.exception())]
        if problems:
            raise BedplateError(*problems)


def _problems(resource: ResourceState, error: BaseException | None) -> tuple[Problem, ...]:
    match error:
        case None:
            return ()
        case BedplateError():
            return tuple(
                p if resource.name in p.summary else dataclass_replace(p, summary=f"{resource.name}: {p.summary}")
                for p in error.problems
            )
        case _:
            summary = f"{resource.name}: deleting it failed unexpectedly with {type(error).__name__}: {error}"
            return (Problem("BP207", summary, detail=resource.urn),)
