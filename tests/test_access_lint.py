"""What scopes say in vain."""

from __future__ import annotations

from typing import Any

import pytest

from access_cases import cases, facts, scopes
from bedplate.access.lint import lint


@pytest.mark.parametrize("case", cases("lint"))
def test_what_is_said_in_vain_is_remarked_on(case: dict[str, Any]) -> None:
    """Grants that nothing can use, tools that nobody may call, asks that other scopes overrule: no others."""
    remarks = lint(scopes(case), facts(case), lambda: False)
    assert [f"{remark.kind}: {remark.text}" for remark in remarks] == case["remarks"]
