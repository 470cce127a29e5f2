"""Cedar against the model over many more random scopes and requests than the ordinary tests take time for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cedar_support as support

pytest.importorskip("cedarpy")


@settings(max_examples=800)
@given(st.data())
def test_cedar_decides_as_the_model_does_at_length(data: st.DataObject) -> None:
    """Ten thousand random requests and more have one effect by the engine and by `decide`."""
    support.decided_alike(data)
