"""What `access` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.access.artefacts import Line, Remainder
from bedplate.access.findings import Effect
from bedplate.access.matrix import Hold
from bedplate.access.matrix import Verdict as RowVerdict
from bedplate.release.artefacts import Target
from bedplate.review.accessdiff import Verdict
from bedplate.review.accessproof import Judge


@dataclass(frozen=True)
class DiffFinding:
    """One way in which one side may do more, or less. `digest` is what an approval is bound to."""

    id: str
    effect: Effect
    subject: str
    verb: str
    object: str
    behind: str
    witness: str
    reason: str
    where: str
    digest: str


@dataclass(frozen=True)
class DiffPair:
    """Two stages compared; "" where a side has none."""

    old: str
    new: str
    verdict: Verdict
    findings: tuple[DiffFinding, ...]


@dataclass(frozen=True)
class AccessDiffDocument:
    """`access diff`: what was compared, and each pair of stages. `ok`: nothing is wider or unproved."""

    schema: Literal["bedplate.dev/access-diff/v1"]
    ok: bool
    agent: str
    old: str
    new: str
    pairs: tuple[DiffPair, ...]


@dataclass(frozen=True)
class AskedRequest:
    """A request as it is decided: `claims` are those of the session."""

    tool: str
    operation: str
    verb: str
    object: str
    arguments: Mapping[str, Any]
    claims: Mapping[str, Any]


@dataclass(frozen=True)
class AskedGrant:
    """A grant of the tool for the verb, what it demands besides its pattern, and what it says of the request."""

    id: str
    verb: str
    pattern: str
    demands: str
    where: str
    effect: Literal["allow", "ask", "deny"]


@dataclass(frozen=True)
class AccessWhyDocument:
    """`access why`: the decision, the grant and line that it comes from, and every grant that was asked.

    `note` says that the document of the request does not exist, whatever the scopes say.
    """

    schema: Literal["bedplate.dev/access-why/v1"]
    ok: Literal[True]
    stage: str
    request: AskedRequest
    decision: Literal["allow", "ask", "deny"]
    grant: str
    where: str
    reason: str
    note: str
    grants: tuple[AskedGrant, ...]


@dataclass(frozen=True)
class MatrixRow:
    """One clause of a grant and what holds it. `name` is `object`, an argument's path, `only`, `ask`, `limit`, `never`.

    `note` says why it is open, or who accepted that.
    """

    grant: str
    tool: str
    verb: str
    name: str
    text: str
    where: str
    holds: tuple[Hold, ...]
    verdict: RowVerdict
    note: str


@dataclass(frozen=True)
class AccessMatrixDocument:
    """`access matrix`: every clause of a stage. `ok`: none is open.

    `risk` is the way through all three of the rule of two, "" for none.
    """

    schema: Literal["bedplate.dev/access-matrix/v1"]
    ok: bool
    agent: str
    stage: str
    target: Literal["local", "docker", "aws"]
    rows: tuple[MatrixRow, ...]
    risk: str


@dataclass(frozen=True)
class ProvedEffects:
    """What becomes of the request on each side: `deny`, `ask` or `allow`."""

    within: str
    stage: str


@dataclass(frozen=True)
class AccessProofDocument:
    """`access prove`: whether `stage` may do nothing that `within` may not (`ok`). `judges`: who agreed to that.

    `request` is one that shows the contrary, null where there is none; `reason` says why it is unproved, or what else
    is wider.
    """

    schema: Literal["bedplate.dev/access-proof/v1"]
    ok: bool
    agent: str
    stage: str
    within: str
    verdict: Verdict
    request: AskedRequest | None
    effects: ProvedEffects | None
    reason: str
    where: str
    judges: tuple[Judge, ...]


@dataclass(frozen=True)
class CompiledFile:
    """One artefact, whole and by lines, each with the grant and the line of the manifest that it comes from."""

    name: str
    media: str
    text: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class AccessCompileDocument:
    """`access compile`: the artefacts of one target, what it cannot express, and the files written."""

    schema: Literal["bedplate.dev/access-compile/v1"]
    ok: Literal[True]
    stage: str
    target: Target
    artefacts: tuple[CompiledFile, ...]
    remainder: tuple[Remainder, ...]
    files: tuple[str, ...]
