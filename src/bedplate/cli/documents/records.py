"""What `history`, `approve` and `approvals` print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedplate.release.approvals import Approval, Standing
from bedplate.release.records import ReleaseRecord


@dataclass(frozen=True)
class HistoryDocument:
    """`history`: the releases of a stage, the last one first."""

    schema: Literal["bedplate.dev/history/v1"]
    ok: Literal[True]
    stage: str
    releases: tuple[ReleaseRecord, ...]


@dataclass(frozen=True, kw_only=True)
class ReleaseRecordDocument(ReleaseRecord):
    """`history show`: one release."""

    schema: Literal["bedplate.dev/release-record/v1"]
    ok: Literal[True]


@dataclass(frozen=True, kw_only=True)
class ApprovalDocument(Approval):
    """`approve`: the approval that was written, and the findings (`A2`) that still need one."""

    schema: Literal["bedplate.dev/approval/v1"]
    ok: Literal[True]
    waiting: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GivenApproval(Approval):
    """An approval and what it is worth now, against the current plan."""

    standing: Standing


@dataclass(frozen=True)
class ApprovalsDocument:
    """`approvals`: every approval of a stage, and the findings (`A2`) that still need one."""

    schema: Literal["bedplate.dev/approvals/v1"]
    ok: Literal[True]
    stage: str
    approvals: tuple[GivenApproval, ...]
    waiting: tuple[str, ...]
