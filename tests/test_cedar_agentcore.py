"""The profile `agentcore`: a projection that never denies what the scopes grant, and lists what it cannot say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cedar_support as support
from bedplate.access import (
    Argument,
    Condition,
    Effect,
    Grant,
    Never,
    Operation,
    Request,
    ScopeSet,
    Spans,
    Texts,
    decide,
)
from bedplate.access.cedar.emit import compile
from bedplate.access.cedar.evaluate import check
from bedplate.access.cedar.read import validate
from bedplate.access.fits import misfit
from bedplate.problems import BedplateError

pytest.importorskip("cedarpy")
GATEWAY = "arn:aws:bedrock-agentcore:us-east-1:111122223333:gateway/g"


@settings(max_examples=60)
@given(st.data())
def test_it_permits_what_the_scopes_grant_and_lists_the_rest(data: st.DataObject) -> None:
    """What scopes allow or ask for is permitted; where nothing but `ask` and limits is left out, nothing else is."""
    scopes: ScopeSet = data.draw(support.pinned_sets())
    policies = compile(scopes, "agentcore", gateway=GATEWAY)
    exact = {remainder.clause for remainder in policies.remainder} <= {"ask", "limit"}
    for request in data.draw(st.lists(support.calls(scopes), min_size=5, max_size=10)):
        if misfit(scopes, request):
            continue
        granted = decide(scopes, request).effect >= Effect.ASK
        permitted = support.agentcore_allows(policies, request, GATEWAY)
        assert permitted >= granted, request
        assert permitted == granted or not exact, request


@settings(max_examples=60)
@given(support.pinned_sets())
def test_it_fits_its_schema_and_reads_back(scopes: ScopeSet) -> None:
    """Cedar's validator accepts the policies, and they are read back as the projection of the scopes."""
    policies = compile(scopes, "agentcore", gateway=GATEWAY)
    check(policies)
    assert validate(scopes, policies) == policies.remainder


def _over(count: int) -> ScopeSet:
    return ScopeSet(tuple(Grant(f"g{n}", "t", "call", f"op_{n}") for n in range(count)))


def _listed(count: int) -> ScopeSet:
    values = Texts(tuple(f"value-{n:06}" for n in range(count)))
    grant = Grant("long", "t", "call", "op", conditions=(Condition(("a",), "string", values),))
    return ScopeSet((grant,), operations=(Operation("t", "op", (Argument(("a",), "string"),)),))


def _wide(count: int) -> ScopeSet:
    arguments = tuple(Argument((f"argument_{n}",), "string") for n in range(count))
    return ScopeSet((Grant("g", "t", "call", "op"),), operations=(Operation("t", "op", arguments),))


@pytest.mark.parametrize(
    ("scopes", "code"), [(_listed(800), "BP841"), (_over(1100), "BP842"), (_wide(10_000), "BP843")]
)
def test_what_is_too_large_for_the_service_is_an_error(scopes: ScopeSet, code: str) -> None:
    """One policy, all policies and the schema each have the size that AgentCore takes, or compiling fails."""
    with pytest.raises(BedplateError) as caught:
        compile(scopes, "agentcore", gateway=GATEWAY)
    assert code in {problem.code for problem in caught.value.problems}


def test_an_operation_of_an_http_api_is_exact_where_its_address_is_covered() -> None:
    """An operation is permitted where the pattern may match its address; where it may miss it, that is listed."""
    operations = (
        Operation("api", "list", method="get", url="https://api.example.com/v1/charges"),
        Operation("api", "one", method="GET", url="https://api.example.com/v1/charges/{id}"),
        Operation("api", "add", method="post", url="https://api.example.com/v1/charges"),
        Operation("api", "other", method="get", url="https://api.example.com/v1/users"),
    )
    grants = (Grant("g", "api", "get", "https://api.example.com/v1/charges*"),)
    narrow = (Grant("g", "api", "get", "https://api.example.com/v1/charges/7"),)
    whole = compile(ScopeSet(grants, operations=operations), "agentcore", gateway=GATEWAY)
    part = compile(ScopeSet(narrow, operations=operations), "agentcore", gateway=GATEWAY)
    assert 'action in [AgentCore::Action::"api___list", AgentCore::Action::"api___one"]' in whole.text("permit")
    assert whole.remainder == ()
    assert [remainder.clause for remainder in part.remainder] == ["object"]
    assert "api___list" not in part.text("permit")


def test_what_it_cannot_reach_is_listed_and_not_permitted() -> None:
    """A verb that is no call, and a pattern of a tool that is not pinned, have no policy."""
    grants = (Grant("r", "docs", "read", "*"), Grant("w", "mcp", "call", "get_*"))
    policies = compile(ScopeSet(grants), "agentcore", gateway=GATEWAY)
    assert (policies.text("permit"), [r.grant for r in policies.remainder]) == ("", ["r", "w"])


def test_never_forbids_the_actions_that_it_names() -> None:
    """`never` takes back the actions that are permitted and match it, and no policy is written for others."""
    operations = (Operation("t", "read_a"), Operation("t", "delete_a"))
    nevers = (Never("*.delete_*", "agent.yaml:3"), Never("*.other", "agent.yaml:4"))
    scopes = ScopeSet((Grant("g", "t", "call", "*"),), nevers, operations)
    policies = compile(scopes, "agentcore", gateway=GATEWAY)
    allowed = [
        support.agentcore_allows(policies, Request("t", operation.name, "call", operation.name), GATEWAY)
        for operation in operations
    ]
    assert allowed == [True, False]
    assert [policy.where for policy in policies.of("never")] == ["agent.yaml:3"]


def test_numbers_are_typed_by_the_pinned_schema() -> None:
    """A condition on another kind than the schema has cannot be written, so it is listed."""
    condition = Condition(("n",), "decimal", Spans(((0, 10_000),)))
    operation = Operation("t", "op", (Argument(("n",), "integer"),), True)
    scopes = ScopeSet((Grant("g", "t", "call", "op", conditions=(condition,)),), operations=(operation,))
    policies = compile(scopes, "agentcore", gateway=GATEWAY)
    assert [(r.clause, "integer" in policies.text("permit")) for r in policies.remainder] == [("n", False)]
