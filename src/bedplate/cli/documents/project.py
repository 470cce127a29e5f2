"""What commands print that need no stage: `init`, `validate`, `lock`, `explain`, `skills`, `ci init`; and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bedplate.problems import CodeEntry, Problem
from bedplate.release.relocking import Change
from bedplate.review.ci.write import Platform, WrittenWorkflow
from bedplate.skills import Written


@dataclass(frozen=True)
class ErrorDocument:
    """Any command that failed. `exit` is its exit code."""

    schema: Literal["bedplate.dev/error/v1"]
    ok: Literal[False]
    exit: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class InitDocument:
    """`init`: the files that were written."""

    schema: Literal["bedplate.dev/init/v1"]
    ok: Literal[True]
    template: str
    intent: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class ValidStage:
    """One stage of a valid manifest."""

    target: str
    behaviour_digest: str


@dataclass(frozen=True)
class ValidateDocument:
    """`validate`: a valid manifest, its stages by name, and what is worth saying of it."""

    schema: Literal["bedplate.dev/validate/v1"]
    ok: Literal[True]
    agent: str
    intent: str
    build_digest: str
    stages: Mapping[str, ValidStage]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class LockReportDocument:
    """`lock`: what differs from the pins that were there, and what could not be pinned. `exit` is its exit code.

    `stale`: the file said something else; `wrote`: now it does not.
    """

    schema: Literal["bedplate.dev/lock-report/v1"]
    ok: bool
    exit: int
    file: str
    stale: bool
    wrote: bool
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class CodesDocument:
    """`explain all`: every code."""

    schema: Literal["bedplate.dev/codes/v1"]
    codes: tuple[CodeEntry, ...]


@dataclass(frozen=True, kw_only=True)
class CodeDocument(CodeEntry):
    """`explain CODE`: what one code means and how to mend it."""

    schema: Literal["bedplate.dev/code/v1"]


@dataclass(frozen=True)
class SkillRow:
    """One skill of the bundle."""

    name: str
    description: str


@dataclass(frozen=True)
class SkillsDocument:
    """`skills list`: the bundle, and the coding agents it can be installed for."""

    schema: Literal["bedplate.dev/skills/v1"]
    skills: tuple[SkillRow, ...]
    agents: tuple[str, ...]


@dataclass(frozen=True)
class SkillsInstallDocument:
    """`skills install`: what became of each file."""

    schema: Literal["bedplate.dev/skills-install/v1"]
    ok: Literal[True]
    files: tuple[Written, ...]


@dataclass(frozen=True)
class CiInitDocument:
    """`ci init`: what became of each file, and what is left to do by hand on the platform, in order."""

    schema: Literal["bedplate.dev/ci-init/v1"]
    ok: Literal[True]
    platform: Platform
    files: tuple[WrittenWorkflow, ...]
    remaining: tuple[str, ...]
