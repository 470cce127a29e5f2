"""`Problem`: what is wrong, where, and how to mend it, as a value that renders to text or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """Exit codes of every command. `RANK` gives the precedence where several causes meet."""

    OK = 0
    ERROR = 1
    CHANGES_PENDING = 2
    NEEDS_APPROVAL = 3
    GATE_FAILED = 4
    DRIFT = 5
    LOCKED = 6
    STALE_PLAN = 7
    INCONCLUSIVE = 8
    INVALID_EVIDENCE = 9
    USAGE = 64


RANK = (64, 1, 6, 7, 9, 4, 8, 3, 5, 2, 0)
"""Exit codes from the highest-ranked cause to the lowest."""


def worst_exit(codes: Iterable[int]) -> ExitCode:
    """The exit code that wins among `codes`: the first of `RANK` that occurs; OK for none."""
    present = set(codes)
    return ExitCode(next((code for code in RANK if code in present), 0))


class Severity(StrEnum):
    """`error` stops the command; `warning` does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Where:
    """A place in a file. Lines and columns count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    `code` is stable and documented (`bedplate explain CODE`). `summary` is one line, lower case, without a period, and
    names the thing at fault. `detail` says more where the summary is not enough. `fix` is what to do about it, ideally
    a command or the line to write.
    """

    code: str
    summary: str
    where: Where | None = None
    detail: str = ""
    fix: str = ""
    severity: Severity = Severity.ERROR

    def to_json(self) -> dict[str, object]:
        """The problem as it stands in `--json` output."""
        place = self.where and {"file": self.where.file, "line": self.where.line, "column": self.where.column}
        return {
            "code": self.code,
            "severity": self.severity.value,
            "summary": self.summary,
            "where": place,
            "detail": self.detail,
            "fix": self.fix,
        }


class BedplateError(Exception):
    """Raised with one or many problems. The command line prints them all and exits with `exit_code`."""

    def __init__(self, *problems: Problem, exit_code: ExitCode | None = None) -> None:
        if not problems:
            raise ValueError("a BedplateError carries at least one problem")
        super().__init__("; ".join(f"{p.code}: {p.summary}" for p in problems))
        self.problems = problems
        self._exit_code = exit_code

    @property
    def exit_code(self) -> ExitCode:
        """The exit code given, else the highest-ranked exit of the problems' codes in the catalogue."""
        if self._exit_code is not None:
            return self._exit_code
        from bedplate.problems.catalogue import exit_of

        return worst_exit(exit_of(p.code) for p in self.problems if p.severity is Severity.ERROR) or ExitCode.ERROR
