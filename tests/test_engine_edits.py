"""Random rows of edits with faults and drift on the embedded engine."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from engine_edits import Edit, check, edits


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_renamed_moved_replaced_and_failing_things_end_as_a_fresh_deployment(row: list[Edit]) -> None:
    """After any row of edits cloud and state agree, nothing was doubled or orphaned, and no step came too early."""
    check(row)
