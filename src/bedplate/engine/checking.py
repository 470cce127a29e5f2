"""What a provider's check answers, turned into inputs or into problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider import Checked
from bedplate.engine.values import annotate
from bedplate.problems import BedplateError, Problem


def accepted(checked: Checked, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checked inputs, secret where the given ones are. Raises BedplateError BP205 with every failure."""
    if checked.failures:
        raise BedplateError(
            *(Problem("BP205", f"{f.property}: {f.reason}" if f.property else f.reason) for f in checked.failures)
        )
    inputs: Mapping[str, Any] = annotate(dict(checked.inputs), given)
    return inputs
