"""What `review` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedplate.problems import Problem
from bedplate.review.model import Revision, Row, StageReview


@dataclass(frozen=True)
class ReviewDocument:
    """`review`: what a change does to every stage. `exit` is the exit code, `headline` and `line` the verdict."""

    schema: Literal["bedplate.dev/review/v1"]
    ok: bool
    exit: int
    headline: str
    line: str
    agent: str
    file: str
    base: Revision
    head: Revision
    findings: tuple[Row, ...]
    stages: tuple[StageReview, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
