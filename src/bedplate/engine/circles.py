"""The SDK's search for circles among resources, without recursion.

Before a resource waits for another one, the SDK looks whether that one waits for it (pulumi, sdk/python,
`runtime/resource_cycle_breaker.py`). It does so with generators within generators, which takes cubic time in a chain of
resources, each of which refers to the one before, and fails with RecursionError at about 1,000. Here is the same answer
in constant time for a resource that nothing waits for yet, as each of a chain is, else in time linear in what it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

_AWAITED = "_bedplate_awaited"


def install(breaker: ModuleType) -> None:
    """Put the search in the place of the SDK's, where this SDK has it. Doing it twice changes nothing."""
    if hasattr(breaker, "_reachable") and hasattr(breaker, "_deps"):
        breaker._reachable = search(breaker._deps)  # type: ignore[attr-defined]


def search(dependencies: Callable[[Any], set[Any]]) -> Callable[[Any, Any], bool]:
    """Whether `from_resource` needs `to_resource`; where it does not, `to_resource` is taken to need it from now on."""

    def reachable(from_resource: Any, to_resource: Any) -> bool:
        found = from_resource is to_resource
        if not found and _AWAITED in vars(to_resource):
            found = _finds(dependencies, from_resource, to_resource)
        if not found:
            setattr(from_resource, _AWAITED, True)
        return found

    return reachable


def _finds(dependencies: Callable[[Any], set[Any]], start: Any, wanted: Any) -> bool:
    left, seen = [start], {start}
    while left:
        new = dependencies(left.pop()) - seen
        if wanted in new:
            return True
        seen |= new
        left += new
    return False
