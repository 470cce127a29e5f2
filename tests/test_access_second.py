"""The second opinion on scopes: cvc5, asked in terms written apart from the prover."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedplate.access import ScopeSet
from bedplate.access.answers import Narrower, Same, Unproved, Wider
from bedplate.access.encode import of_scopes
from bedplate.access.prove import widens
from test_access_prove import changed, never_spent, scope_sets

pytest.importorskip("cvc5", reason="the second opinion needs the extra `proof`")


@settings(max_examples=50)
@given(scope_sets, st.data())
def test_cvc5_and_the_prover_agree(old: ScopeSet, data: st.DataObject) -> None:
    """Whatever the one proves, the other does not contradict."""
    new = ScopeSet(tuple(data.draw(changed(grant)) for grant in old.grants), old.never, old.operations)
    ask = of_scopes(2.0)
    assert ask is not None
    opinion, answer = ask(old, new), widens(old, new, spent=never_spent)
    assert not (opinion == "wider" and isinstance(answer, Same | Narrower))
    assert not (opinion == "not wider" and isinstance(answer, Wider))


@given(scope_sets)
def test_who_does_not_agree_leaves_it_unproved(scopes: ScopeSet) -> None:
    """A second opinion that says otherwise, or that does not know, is no proof that nothing is wider."""
    for opinion in ("wider", "unknown"):
        answer = widens(scopes, scopes, spent=never_spent, second=lambda old, new, said=opinion: said)
        assert isinstance(answer, Unproved)
        assert "second opinion" in answer.reason
    agreed = widens(scopes, scopes, spent=never_spent, second=lambda old, new: "not wider")
    assert isinstance(agreed, Same)
