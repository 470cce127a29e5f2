"""Deleting in the right order: whatever needs something goes before it.

Goes in: the resources to delete. Comes out: a call for each, as soon as nothing is left that needs it. Time and memory
grow with the number of resources and of what they need.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue

from bedplate.engine.faults import problems_of
from bedplate.engine.running import Ended, Run, Stopped
from bedplate.engine.state import ResourceState
from bedplate.problems import Problem


class Queue:
    """The resources of which nothing that is left needs them, one after the other; without `ordered`, all of them."""

    def __init__(self, resources: Sequence[ResourceState], *, ordered: bool = True) -> None:
        self._users = Counter(urn for resource in resources for urn in resource.needs if ordered)
        self._old_users = Counter(urn for resource in resources for urn in resource.needs if resource.delete)
        self._left: dict[str, list[ResourceState]] = {}
        for resource in resources:
            self._left.setdefault(resource.urn, []).append(resource)

    def free(self, urns: Iterable[str] | None = None) -> list[ResourceState]:
        """Take those that can go now, of `urns` or of all."""
        found = [urn for urn in (list(self._left) if urns is None else urns) if not self._users[urn]]
        return [resource for urn in found for resource in self._left.pop(urn, ())]

    def gone(self, resource: ResourceState) -> list[ResourceState]:
        """Note that a resource is gone, and take those that can go now."""
        self._users.subtract(resource.needs)
        if resource.delete:
            self._old_users.subtract(resource.needs)
        return self.free(sorted(resource.needs))

    def rest(self) -> list[ResourceState]:
        """Take what goes first where all that is left needs something of it.

        That is a circle through an old copy: it needs something that has since come to need its new copy, and both
        copies have one name. So the old copy goes first, unless another one needs it. Otherwise any order will do.
        """
        rest = [resource for copies in self._left.values() for resource in copies]
        old = [resource for resource in rest if resource.delete and self._needs_itself(resource)]
        chosen = [resource for resource in old if not self._old_users[resource.urn]] or old or rest
        for resource in chosen:
            self._left[resource.urn].remove(resource)
        self._left = {urn: copies for urn, copies in self._left.items() if copies}
        return chosen

    def _needs_itself(self, resource: ResourceState) -> bool:
        """Whether what it needs, of what is left, leads back to its name."""
        seen, ahead = set[str](), [*resource.needs]
        while ahead and resource.urn not in seen:
            urn = ahead.pop()
            if urn not in seen:
                seen.add(urn)
                ahead += [needed for copy in self._left.get(urn, ()) for needed in copy.needs]
        return resource.urn in seen


def delete_in_order(
    resources: Sequence[ResourceState], call: Callable[[ResourceState], None], run: Run, *, keep_going: bool
) -> list[Problem]:
    """Call for each resource, dependents first, and return what went wrong.

    After a failure nothing new begins; with `keep_going` only what the failed one needs stays. Raises Stopped.
    """
    return _work_off(Queue(resources), call, run, keep_going)


def in_any_order(
    resources: Sequence[ResourceState], call: Callable[[ResourceState], None], run: Run, *, keep_going: bool
) -> list[Problem]:
    """The same for calls that do not mind each other."""
    return _work_off(Queue(resources, ordered=False), call, run, keep_going)


def _work_off(queue: Queue, call: Callable[[ResourceState], None], run: Run, keep_going: bool) -> list[Problem]:
    problems: list[Problem] = []
    answers: SimpleQueue[Ended] = SimpleQueue()
    ready, under_way = deque(queue.free() or queue.rest()), 0
    while under_way or (ready and (keep_going or not problems)):
        while ready and under_way < run.parallel and (keep_going or not problems):
            _begin(ready.popleft(), call, run, answers)
            under_way += 1
        ended = run.wait(answers)
        if isinstance(ended.error, Stopped):
            _drain(run, answers, under_way - 1)
            raise Stopped
        under_way -= 1
        problems += _problems(ended)
        ready += () if ended.error else queue.gone(ended.key)
        if not (ready or under_way or problems):
            ready += queue.rest()
    return problems


def _begin(
    resource: ResourceState, call: Callable[[ResourceState], None], run: Run, answers: SimpleQueue[Ended]
) -> None:
    run.begin(resource, lambda: call(resource), answers)


def _drain(run: Run, answers: SimpleQueue[Ended], under_way: int) -> None:
    """Wait for what runs already, unless that is to be left too."""
    for _ in range(under_way):
        if not run.abandoned:
            run.wait(answers)


def _problems(ended: Ended) -> tuple[Problem, ...]:
    match ended.error:
        case None:
            return ()
        case Exception() as error:
            return problems_of(ended.key.name, ended.key.type, error)
        case error:
            raise error
