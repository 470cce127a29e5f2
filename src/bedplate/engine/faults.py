"""Errors of providers, with the name of the resource they are about.

Goes in: what a provider raised. Comes out: problems that name the resource.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import replace

from bedplate.problems import BedplateError, Problem


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
