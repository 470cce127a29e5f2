"""The Cedar compiler: what the engine decides over compiled policies is what `access.decide` decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cedar_support as support
from bedplate.access import decide
from bedplate.access.answers import Unproved, Wider
from bedplate.access.cedar.emit import compile
from bedplate.access.cedar.evaluate import Decider, check
from bedplate.access.cedar.normal import normal
from bedplate.access.cedar.prove import widens
from bedplate.access.cedar.read import read, validate
from bedplate.access.model import ScopeSet

pytest.importorskip("cedarpy")


@settings(max_examples=80)
@given(st.data())
def test_cedar_decides_as_the_model_does(data: st.DataObject) -> None:
    """For random scopes and requests with odd values, the effect by Cedar is the effect by `decide`."""
    support.decided_alike(data)


@settings(max_examples=80)
@given(support.scope_sets())
def test_what_is_compiled_fits_its_schema(scopes: ScopeSet) -> None:
    """Cedar's own validator accepts every policy against the schema that goes with it."""
    check(compile(scopes))


@settings(max_examples=100)
@given(support.scope_sets())
def test_what_is_compiled_reads_back_as_the_scopes(scopes: ScopeSet) -> None:
    """The normal form of the scopes is what the reader makes of their policies."""
    policies = compile(scopes)
    assert read(policies) == normal(scopes)
    assert {r.grant for r in validate(scopes, policies)} == {g.id for g in scopes.grants if g.budgets}


@settings(max_examples=50)
@given(st.data())
def test_the_normal_form_decides_as_the_scopes(data: st.DataObject) -> None:
    """Bringing scopes into their normal form changes no decision."""
    scopes: ScopeSet = data.draw(support.scope_sets())
    same = replace(normal(scopes), operations=scopes.operations)
    for request in data.draw(st.lists(support.requests(scopes), min_size=5, max_size=10)):
        assert decide(same, request).effect is decide(scopes, request).effect


@settings(max_examples=60)
@given(st.data())
def test_pairs_of_policies_are_compared_as_the_engine_decides(data: st.DataObject) -> None:
    """A witness is decided higher by the new policies; where there is none, no request is. No judge disagrees."""
    old = data.draw(support.scope_sets())
    new = support.changed(old, data.draw(support.scope_sets()), data.draw(st.integers(0, 3)))
    pair = compile(old), compile(new)
    judges = [Decider(policies) for policies in pair]
    answer = widens(*pair, spent=lambda: False)
    if isinstance(answer, Wider):
        effects = [judge.decide(answer.witness).effect for judge in judges]
        assert effects[0] < effects[1]
    elif isinstance(answer, Unproved):
        assert "judge" not in answer.reason
    else:
        for request in data.draw(st.lists(support.requests(new), min_size=5, max_size=10)):
            assert judges[0].decide(request).effect >= judges[1].decide(request).effect
