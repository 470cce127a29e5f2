"""Errors of providers, with the name of the resource they are about.

Goes in: what a provider raised. Comes out: problems that name the resource, and tell none of its secrets.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from bedplate.engine.provider import Incomplete, Unsettled
from bedplate.engine.state import ResourceState
from bedplate.engine.values import MASK, Secret, plain
from bedplate.problems import BedplateError, Problem

SHORTEST: Final = 4
"""Characters of a secret that is masked in the text of an error; a shorter one would mask half of what is said."""


def problems_of(name: str, type: str, error: Exception) -> tuple[Problem, ...]:
    """What went wrong with the resource `name`: the provider's own problems, or BP207 for what it did not explain."""
    if not isinstance(error, BedplateError):
        return (_unexplained(name, type, error),)
    return tuple(named(name, problem) for problem in error.problems)


def named(name: str, problem: Problem) -> Problem:
    """The problem with the resource's name in its summary."""
    said = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", problem.summary)
    return problem if said else replace(problem, summary=f"{name}: {problem.summary}")


def _unexplained(name: str, type: str, error: Exception) -> Problem:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Problem(
        "BP207",
        f"{name}: {type} failed unexpectedly with {error.__class__.__name__}: {error}",
        detail=f"raised in {last.name} at {last.filename.rpartition('/')[2]}:{last.lineno}",
        fix="this is a bug in the resource type, not in your program or manifest; please report it",
    )


def hushed(error: Exception, *states: ResourceState) -> Exception:
    """The error without the secrets of a resource, as it is wanted and as it was; the same one where it tells none.

    What a provider did not explain becomes BP207 then, which has no other text than its own.
    """
    texts = sorted({text for state in states for text in _secrets([state.inputs, state.outputs])}, key=len)[::-1]
    problems = (
        error.problems if isinstance(error, BedplateError) else (_unexplained(states[0].name, states[0].type, error),)
    )
    masked = tuple(_masked(problem, texts) for problem in problems)
    if masked == problems:
        return error
    match error:
        case Incomplete():
            return Incomplete(error.created, *masked, inputs=error.inputs)
        case Unsettled():
            return Unsettled(*masked)
        case _:
            return BedplateError(*masked)


def _secrets(value: Any, inside: bool = False) -> Iterator[str]:
    """The texts and numbers that stand in secrets, as a message would quote them."""
    match value:
        case Secret():
            yield from _secrets(plain(value.value), True)
        case Mapping():
            for item in value.values():
                yield from _secrets(item, inside)
        case list() | tuple():
            for item in value:
                yield from _secrets(item, inside)
        case str() if inside and len(value) >= SHORTEST:
            # As it is, and as `repr` and JSON write it, for texts with line ends and quotes.
            yield from (value, repr(value)[1:-1], json.dumps(value)[1:-1])
        case int() | float() if inside and len(str(value)) >= SHORTEST and not isinstance(value, bool):
            yield str(value)


def _masked(problem: Problem, texts: list[str]) -> Problem:
    def clean(text: str) -> str:
        for secret in texts:
            text = text.replace(secret, MASK)
        return text

    return replace(problem, summary=clean(problem.summary), detail=clean(problem.detail), fix=clean(problem.fix))
