"""Digests of cases and datasets: `sha256:` and 64 hex digits, the same on every machine and in every run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bedplate.evals.evaluators import Evaluator

if TYPE_CHECKING:
    from bedplate.evals.model import Case


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value.normalize())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def digest(value: Any) -> str:
    """The digest of a JSON value: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def case_digest(turns: tuple[str, ...], expected: Any, evaluators: tuple[Evaluator, ...]) -> str:
    """Covers what is asked and how it is graded. The order of evaluators does not count."""
    graders = sorted(digest([type(e).__name__, asdict(e)]) for e in evaluators)
    return digest({"turns": turns, "expected": expected, "evaluators": graders})


def dataset_digest(cases: Iterable[Case]) -> str:
    """Covers each case with its name and metadata. The order of cases does not count."""
    return digest(sorted([case.name, case.digest, digest(dict(case.metadata))] for case in cases))
