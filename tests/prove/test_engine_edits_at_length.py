"""The random rows of edits of tests/test_engine_edits.py, many more of them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from engine_edits import Edit, check, edits


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_many_rows_of_edits_end_as_a_fresh_deployment(row: list[Edit]) -> None:
    """After any row of edits cloud and state agree, nothing was doubled or orphaned, and no step came too early."""
    check(row)
