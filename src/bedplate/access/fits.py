"""Whether a request fits the schema that is pinned for its operation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bedplate.access.model import Argument, Operation, Request, ScopeSet
from bedplate.access.values import given, number, read


def misfit(scopes: ScopeSet, request: Request) -> str:
    """What of a request its pinned operation does not take, in words; "" where it fits or nothing is known of the tool.

    A tool with a pinned operation has no others: what a server adds later is not what was reviewed.
    """
    if request.verb not in scopes.called.get(request.tool, ()):
        return ""  # what a tool does by itself, with data or the network, is no call of an operation
    operation = scopes.pinned[request.tool].get(request.operation)
    if operation is None:
        return f"{request.tool} has no pinned operation {request.operation}"
    return _unfit(operation, request.args)


def _unfit(operation: Operation, args: Mapping[str, Any]) -> str:
    for argument in operation.arguments:
        value, name = given(argument.path, args), ".".join(argument.path)
        if value is None:
            if argument.required and parent_given(argument, args):
                return f"{name} is required"
        elif not admits(argument, value):
            return f"{name} is not {_wanted(argument)}"
    if operation.closed:
        tops = {argument.path[0] for argument in operation.arguments}
        return next(
            (f"{name} is no argument" for name, value in args.items() if value is not None and name not in tops), ""
        )
    return ""


def parent_given(argument: Argument, args: Mapping[str, Any]) -> bool:
    """Whether the object that holds an argument is there; what is required of it is so only then."""
    return len(argument.path) == 1 or given(argument.path[:-1], args) is not None


def admits(argument: Argument, value: Any) -> bool:
    """Whether a value that is given is of the argument's kind, and of its enum where it has one."""
    if argument.kind is None:
        return True
    found = read(argument.kind, value)
    if found is None or not argument.values:
        return found is not None
    match found:
        case str():
            return found in argument.values
        case tuple():
            return set(found) <= set(argument.values)
        case _:
            return found in numbers(argument)


@lru_cache(maxsize=1024)
def numbers(argument: Argument) -> frozenset[int]:
    """The enum of an argument whose kind is a number: its texts spell JSON values."""
    assert argument.kind is not None
    found = (_spelt(argument, text) for text in argument.values)
    return frozenset(value for value in found if value is not None)


def _spelt(argument: Argument, text: str) -> int | None:
    match argument.kind:
        case "integer" | "decimal":
            try:
                return (
                    number(argument.kind, int(text))
                    if text.lstrip("-").isdigit()
                    else number(argument.kind, float(text))
                )
            except ValueError:
                return None
        case "boolean":
            return {"true": 1, "false": 0}.get(text.lower())
        case "time" | "ip":
            return number(argument.kind, text)
        case _:
            return None


def _wanted(argument: Argument) -> str:
    if argument.values:
        return f"one of {', '.join(argument.values)}"
    article = "an" if (argument.kind or "")[:1] in "aeiou" else "a"
    return "a list of strings" if argument.kind == "strings" else f"{article} {argument.kind}"
