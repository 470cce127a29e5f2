"""What `eval` and `evals generate` print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

EvalResults = Annotated[dict[str, Any], WithJsonSchema({"$ref": "https://bedplate.dev/schemas/eval-results.v1.json"})]


@dataclass(frozen=True)
class EvalDocument:
    """`eval`: the results of each suite. `exit` is the command's exit code."""

    schema: Literal["bedplate.dev/eval/v1"]
    ok: bool
    exit: int
    suites: tuple[EvalResults, ...]


@dataclass(frozen=True)
class EvalsGenerateDocument:
    """`evals generate`: how many cases were proposed, and of how many search finds the source."""

    schema: Literal["bedplate.dev/evals-generate/v1"]
    ok: Literal[True]
    file: str
    cases: int
    retrieved: int
