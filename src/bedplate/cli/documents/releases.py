"""What `build`, `plan`, `up` and `destroy` print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.blueprint.model import FileRef
from bedplate.release.builds.compare import BuildDiff
from bedplate.release.plan import Plan


@dataclass(frozen=True)
class BuildDocument:
    """`build`: a build and its files. `new` tells whether it was made now."""

    schema: Literal["bedplate.dev/build/v1"]
    ok: Literal[True]
    agent: str
    build_digest: str
    new: bool
    bytes: int
    files: tuple[FileRef, ...]


@dataclass(frozen=True)
class KeptBuild:
    """A build that is kept: when it was made (Unix seconds), its number of files, and what uses it."""

    build_digest: str
    made: float
    files: int
    bytes: int
    uses: tuple[str, ...]


@dataclass(frozen=True)
class BuildsDocument:
    """`build list`: the one made last first."""

    schema: Literal["bedplate.dev/builds/v1"]
    ok: Literal[True]
    builds: tuple[KeptBuild, ...]


@dataclass(frozen=True, kw_only=True)
class BuildDiffDocument(BuildDiff):
    """`build diff`: what differs between two builds."""

    schema: Literal["bedplate.dev/build-diff/v1"]
    ok: Literal[True]


@dataclass(frozen=True)
class BuildCollectDocument:
    """`build collect`: the digests that were removed, and the bytes that this freed."""

    schema: Literal["bedplate.dev/build-collect/v1"]
    ok: Literal[True]
    builds: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PlanDocument(Plan):
    """`plan`: what `up` would do. `pending` tells whether that is anything."""

    schema: Literal["bedplate.dev/plan/v1"]
    pending: bool


@dataclass(frozen=True)
class ReleaseDocument:
    """`up`: what was done, the stack's outputs (`url` is the address), and what works only in part."""

    schema: Literal["bedplate.dev/release/v1"]
    plan: PlanDocument
    outputs: Mapping[str, Any]
    troubles: tuple[str, ...]
    ok: Literal[True]


@dataclass(frozen=True)
class DestroyDocument:
    """`destroy`: the resources that were deleted, and what was lost with them, counted."""

    schema: Literal["bedplate.dev/destroy/v1"]
    ok: Literal[True]
    deleted: tuple[str, ...]
    lost: Mapping[str, int]
