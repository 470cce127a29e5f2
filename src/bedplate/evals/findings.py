"""Collects the problems of one file, so that a person sees them all at once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from bedplate.evals.located import Spot
from bedplate.problems import BedplateError, Problem, Where


class Findings:
    """The problems found so far in `file`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def where(self, spot: Spot, *, at_key: bool = False) -> Where:
        """The place of a value, or of the key it stands under."""
        line, column = spot.key if at_key and spot.key else (spot.line, spot.column)
        return Where(self.file, line, column)

    def add(
        self, code: str, summary: str, spot: Spot, *, fix: str = "", detail: str = "", at_key: bool = False
    ) -> None:
        """Takes down one problem at the place of `spot`."""
        self.problems.append(Problem(code, summary, self.where(spot, at_key=at_key), detail=detail, fix=fix))

    def raise_if_any(self) -> None:
        """Raises BedplateError with everything found, in order of the lines."""
        if self.problems:
            raise BedplateError(
                *sorted(self.problems, key=lambda p: (p.where.line, p.where.column) if p.where else (0, 0))
            )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the nearest of `known`, else the list of them."""
    names = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), names, n=1, cutoff=0.6)
    return f"Did you mean `{names[near[0]]}`?" if near else f"Known here: {', '.join(sorted(names.values()))}."
