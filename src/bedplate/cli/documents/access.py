"""What `access` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.access.findings import Effect
from bedplate.review.accessdiff import Verdict


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
