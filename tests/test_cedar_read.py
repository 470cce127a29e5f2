"""Cedar as it is written and read: each clause, what the reader refuses, and proofs over policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.access import (
    Argument,
    Ask,
    Claim,
    Condition,
    Effect,
    Grant,
    Never,
    Operation,
    Present,
    Request,
    ScopeSet,
    Spans,
    Subset,
    Texts,
    decide,
)
from bedplate.access.answers import Narrower, Same, Unproved, Wider
from bedplate.access.cedar.emit import compile
from bedplate.access.cedar.evaluate import Decider, check
from bedplate.access.cedar.model import Policies
from bedplate.access.cedar.prove import widens
from bedplate.access.cedar.read import read, read_texts, validate
from bedplate.access.cedar.replay import oracle
from bedplate.problems import BedplateError

pytest.importorskip("cedarpy")
CASES = Path(__file__).parent / "cases" / "cedar"


def _cases(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((CASES / f"{name}.yaml").read_text("utf-8")))


def _condition(case: dict[str, Any]) -> Condition:
    match case:
        case {"globs": globs}:
            test: Any = Texts(tuple(globs))
        case {"spans": spans}:
            test = Spans(tuple((low, high) for low, high in spans))
        case {"subset": globs}:
            test = Subset(tuple(globs))
        case {"claim": name}:
            test = Claim(name)
        case _:
            test = Present(case["present"])
    return Condition(tuple(case["path"]), case["kind"], test)


def _refunds(most: int = 1_000_000, **changes: Any) -> ScopeSet:
    grant = Grant(
        "small-refunds",
        "refunds",
        "call",
        "process_refund",
        "agent.yaml:12",
        (
            Condition(("amount",), "decimal", Spans(((None, most),))),
            Condition(("currency",), "string", Texts(("EUR", "USD"))),
            Condition(("customer", "id"), "string", Claim("customer")),
            Condition(("note",), "string", Present(False)),
        ),
        ("amount", "currency", "customer"),
        Ask((Condition(("amount",), "decimal", Spans(((500_001, None),))),)),
    )
    return ScopeSet((replace(grant, **changes),), (Never("*.delete_*", "agent.yaml:3"),))


@pytest.mark.parametrize("case", _cases("terms"), ids=lambda case: case["clause"])
def test_each_condition_is_one_clause(case: dict[str, Any]) -> None:
    """A condition is compiled to the clause that stands beside it, fits the schema and is read back."""
    condition = _condition(case)
    grant = Grant("g", "t", "call", "*", "agent.yaml:1")
    asking = case.get("ask", False)
    grant = replace(grant, ask=Ask((condition,))) if asking else replace(grant, conditions=(condition,))
    policies = compile(ScopeSet((grant,)))
    assert policies.text("permit").splitlines()[-1] == f"when {{ {case['clause']} }};"
    check(policies)
    assert validate(ScopeSet((grant,)), policies) == ()


@pytest.mark.parametrize("case", _cases("refused"), ids=lambda case: case["put"] or "nothing")
def test_what_is_not_of_our_form_is_refused_with_its_place(case: dict[str, Any]) -> None:
    """An edit that changes a policy's meaning, or only its spelling, is not read as scopes."""
    policies = compile(_refunds())
    permit, ask = policies.text("permit", "never"), policies.text("ask", "never")
    assert case["find"] in permit
    edited = [text.replace(case["find"], case["put"], 1) for text in (permit, ask)]
    with pytest.raises(BedplateError) as caught:
        read_texts(edited[0], edited[1], policies.schema)
    assert caught.value.problems[0].code == "BP845"
    assert case["says"] in caught.value.problems[0].summary
    with pytest.raises(BedplateError, match="BP845"):
        read_texts(edited[0], ask, policies.schema)


def test_a_policy_too_many_or_another_schema_is_refused() -> None:
    """A policy that stands in one set only, twice, or under another schema is not what the scopes compile to."""
    policies = compile(_refunds())
    permit, ask = policies.text("permit", "never"), policies.text("ask", "never")
    other = compile(_refunds(conditions=())).schema
    for texts in ((permit * 2, ask, policies.schema), ("", ask, policies.schema), (permit, ask, other)):
        with pytest.raises(BedplateError, match="BP845"):
            read_texts(*texts)
    assert read_texts(permit.replace("\nwhen", "\n\n  when"), ask, policies.schema) == read(policies)


def test_policies_of_other_scopes_are_told_apart() -> None:
    """Validation fails where the policies are well formed and say something else."""
    with pytest.raises(BedplateError, match="BP846"):
        validate(_refunds(1_000_001), compile(_refunds()))


@pytest.mark.parametrize(
    ("scopes", "says"),
    [
        (ScopeSet((Grant("g", "t", "call", "a"), Grant("g", "t", "call", "b"))), "two different scopes"),
        (_refunds(conditions=(Condition(("a",), "integer", Texts(("x",))),)), "cannot test a"),
        (_refunds(pattern="\ud800"), "not Unicode"),
        (_refunds(conditions=(Condition(("a",) * 41, "string", Texts(("x",))),)), "levels down"),
    ],
)
def test_scopes_that_cedar_cannot_hold_are_refused(scopes: ScopeSet, says: str) -> None:
    """Ids that are not unique, tests of another kind and text that is no Unicode are errors, not policies."""
    with pytest.raises(BedplateError, match=says) as caught:
        compile(scopes)
    assert caught.value.problems[0].code == "BP840"


def test_each_line_knows_its_scope() -> None:
    """Every line of the compiled files has the grant and the line of the manifest behind it."""
    files = compile(_refunds()).compiled.artefacts
    assert [file.name for file in files] == ["permit.cedar", "ask.cedar", "schema.cedarschema.json"]
    permit = files[0].lines
    assert {(line.grant, line.where) for line in permit} == {("small-refunds", "agent.yaml:12"), ("", "agent.yaml:3")}
    assert files[0].text == compile(_refunds()).text("permit", "never")


@pytest.mark.parametrize("amount", [50, 50.0001, 100, 100.0001, float("nan"), 1e400, True, "50", None, [50]])
def test_the_engine_is_a_second_judge(amount: Any) -> None:
    """The oracle gives the model's effect on both sides of every threshold and for values of other kinds."""
    args = {"amount": amount, "currency": "EUR", "customer": {"id": "c"}}
    request = Request("refunds", "process_refund", "call", "process_refund", args=args, session={"customer": "c"})
    assert oracle(request, _refunds()) is decide(_refunds(), request).effect


@pytest.mark.parametrize(
    ("more", "effect"),
    [
        ({}, Effect.ALLOW),
        ({"note": None, "extra": None}, Effect.ALLOW),
        ({"note": "x"}, Effect.DENY),
        ({"extra": 0}, Effect.DENY),
        ({"customer": "c"}, Effect.DENY),
        ({"customer": {"id": "c", "more": 1}}, Effect.ALLOW),
        ({"customer": {"id": None}}, Effect.DENY),
        ({"amount": 0.30000000000000004}, Effect.DENY),
    ],
)
def test_null_is_not_given_and_nothing_else_is_overlooked(more: dict[str, Any], effect: Effect) -> None:
    """`only` and `present: false` count arguments that are given, at any depth, and not those that are null."""
    args = {"amount": 0.3, "currency": "EUR", "customer": {"id": "c"}, **more}
    request = Request("refunds", "process_refund", "call", "process_refund", args=args, session={"customer": "c"})
    assert (oracle(request, _refunds()), decide(_refunds(), request).effect) == (effect, effect)


def test_what_cannot_be_put_to_the_engine_is_denied() -> None:
    """Text that is no Unicode and a tool that no policy names are denied, with reasons."""
    decider = Decider(compile(ScopeSet((Grant("all", "t", "read", "*"),))))
    assert decider.decide(Request("t", "x", "read", "a")).grant == "all"
    denied = [decider.decide(Request(*names)) for names in (("t", "x", "read", "\ud800"), ("u", "x", "read", "a"))]
    assert [d.effect for d in denied] == [Effect.DENY, Effect.DENY]
    assert all(d.reason for d in denied)


def test_one_policy_that_fails_denies_whatever_others_permit() -> None:
    """An evaluation error of any policy is a denial: policies are not trusted to be those that were compiled."""
    policies = compile(ScopeSet((Grant("all", "t", "read", "*"),)))
    broken = replace(
        policies.policies[0], text='@id("broken") permit(principal, action, resource) when { 1 + "a" == 2 };'
    )
    found = Decider(replace(policies, policies=(*policies.policies, broken))).decide(Request("t", "x", "read", "a"))
    assert found.effect is Effect.DENY
    assert "broken" in found.reason or "Cedar" in found.reason


def test_what_the_engine_cannot_parse_is_no_decider() -> None:
    """Policies or a schema that Cedar does not read are an error before the first request."""
    policies = compile(_refunds())
    broken = replace(policies.policies[0], text="permit(")
    for changed in (replace(policies, policies=(broken,)), replace(policies, schema="{}}")):
        with pytest.raises(BedplateError, match="BP845"):
            Decider(changed)


def test_a_denial_by_never_has_its_line() -> None:
    """What `never` forbids is denied with the manifest's line, though a scope permits it."""
    scopes = ScopeSet((Grant("all", "t", "call", "*"),), (Never("t.**delete_*", "agent.yaml:9"),))
    found = Decider(compile(scopes)).decide(Request("t", "x_delete_y", "call", "x_delete_y"))
    assert (found.effect, found.where) == (Effect.DENY, "agent.yaml:9")


@pytest.mark.parametrize(
    ("operation", "args", "effect"),
    [
        ("pay", {"n": 1}, Effect.ALLOW),
        ("pay", {"n": "1"}, Effect.DENY),
        ("pay", {}, Effect.DENY),
        ("pay", {"n": 1, "more": 1}, Effect.DENY),
        ("added", {"n": 1}, Effect.DENY),
    ],
)
def test_requests_are_held_against_the_pinned_schema_first(
    operation: str, args: dict[str, Any], effect: Effect
) -> None:
    """What the pinned operation does not take is denied, whatever the policies permit."""
    pinned = Operation("t", "pay", (Argument(("n",), "integer", True),), True)
    scopes = ScopeSet((Grant("all", "t", "call", "*"),), operations=(pinned,))
    request = Request("t", operation, "call", operation, args=args)
    assert (oracle(request, scopes), decide(scopes, request).effect) == (effect, effect)


def _never_spent() -> bool:
    return False


def test_policies_are_compared_by_what_they_decide() -> None:
    """A raised limit is wider with a request that the engine allows on one side only; the way back is narrower."""
    old, new = compile(_refunds()), compile(_refunds(1_500_000, ask=None))
    answer = widens(old, new, spent=_never_spent)
    assert isinstance(answer, Wider)
    effects = [Decider(policies).decide(answer.witness).effect for policies in (old, new)]
    assert effects[0] < effects[1]
    assert widens(new, old, spent=_never_spent) == Narrower()
    assert widens(old, compile(_refunds()), spent=_never_spent) == Same()


def test_policies_that_were_edited_are_unproved() -> None:
    """A set that cannot be read has no meaning to compare, so there is no answer."""
    old = compile(_refunds())
    edited = replace(old.policies[0], text=old.policies[0].text.replace("lessThanOrEqual", "lessThan"))
    changed: Policies = replace(old, policies=(edited, *old.policies[1:]))
    assert isinstance(widens(old, changed, spent=_never_spent), Unproved)
