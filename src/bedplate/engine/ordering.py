"""Deleting in the right order: whatever needs something goes before it.

Goes in: the resources to delete. Comes out: a call for each, in waves; the calls of one wave run at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from bedplate.engine.faults import problems_of
from bedplate.engine.state import ResourceState
from bedplate.problems import BedplateError

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
    from concurrent.futures import ThreadPoolExecutor

    for wave in waves(resources):
        with ThreadPoolExecutor(min(PARALLEL, len(wave)), thread_name_prefix="bedplate-delete") as pool:
            futures = [(resource, pool.submit(call, resource)) for resource in wave]
        failures = [(resource, future.exception()) for resource, future in futures]
        problems = [
            p for old, error in failures if isinstance(error, Exception) for p in problems_of(old.name, old.type, error)
        ]
        if problems:
            raise BedplateError(*problems)
