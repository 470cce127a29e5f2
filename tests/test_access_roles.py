"""IAM roles: the compiled policy decides as the scopes do, reads back equal, and is refused where it cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedplate.access import Ask, Budget, Claim, Condition, Grant, Request, ScopeSet, Subset, Texts, decide
from bedplate.access import roles as compiler
from bedplate.access.answers import Narrower, Same
from bedplate.access.artefacts import Artefact
from bedplate.access.iam import document as iam
from bedplate.access.iam.evaluate import evaluate
from bedplate.access.iam.prove import widens
from bedplate.access.iam.reading import read_policy, read_rules
from bedplate.access.roleplaces import Bucket, Place, Table
from bedplate.access.roleread import validate
from bedplate.access.verbs import ACTIONS, verb_of
from bedplate.problems import BedplateError

BUCKET = Bucket("invoices", "acme-invoices", "live/", ("files",))
ORDERS = Table("orders", "orders", ("shop",))
PLACE = Place("support", "prod", "eu-west-1", "111122223333", (BUCKET, ORDERS))
KEYS = ["inbox/a", "inbox/", "", "a?b", "axb", "${aws:username}", "$", "outbox/x/y", "inbox/é"]
GLOBS = ["inbox/*", "*", "a?b", "${aws:username}", "*/x*", "$", "inbox/a"]
TABLE_ARN = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"


def document(artefact: Artefact) -> Any:
    return json.loads(artefact.text)


def policy(scopes: ScopeSet, place: Place = PLACE) -> Any:
    """The policy's document; one without statements where the role needs none."""
    first = compiler.compile(scopes, place).artefacts[0]
    return document(first) if first.name.endswith(".policy.json") else {"Version": "2012-10-17", "Statement": []}


def key_test(globs: list[str]) -> Condition:
    return Condition(("key",), "string", Texts(tuple(globs)))


def attributes(names: list[str]) -> Condition:
    return Condition(("attributes",), "strings", Subset(tuple(names)))


s3 = st.builds(
    lambda verb, glob, n: Grant(f"g-{n}", "files", verb, f"invoices/{glob}", f"agent.yaml:{n}"),
    st.sampled_from(["list", "read", "write", "delete"]),
    st.sampled_from(GLOBS),
    st.integers(1, 3),
)
dynamodb = st.builds(
    lambda verb, keys, names, n: Grant(
        f"t-{n}",
        "shop",
        verb,
        "orders/orders",
        f"agent.yaml:{n}",
        (*([key_test(keys)] if keys else []), *([attributes(names)] if names else [])),
    ),
    st.sampled_from(["get", "query", "put", "update", "delete"]),
    st.lists(st.sampled_from(["acme", "acme#*", "a?b"]), max_size=2, unique=True),
    st.lists(st.sampled_from(["id", "total"]), max_size=2, unique=True),
    st.integers(1, 3),
)
scope_sets = st.lists(s3 | dynamodb, max_size=5).map(lambda grants: ScopeSet(tuple(grants)))


def s3_request(verb: str, key: str) -> iam.Request:
    action = ACTIONS["s3"][verb][0]
    if verb == "list":
        return iam.Request(action, "arn:aws:s3:::acme-invoices", (("s3:prefix", (f"live/{key}",)),))
    return iam.Request(action, f"arn:aws:s3:::acme-invoices/live/{key}")


@given(scope_sets, st.sampled_from(["list", "read", "write", "delete"]), st.sampled_from(KEYS))
def test_s3_decides_as_the_scopes(scopes: ScopeSet, verb: str, key: str) -> None:
    """What the policy allows of a bucket is what decide allows, by an evaluator that knows nothing of the compiler."""
    asked = Request("files", "upload", verb, f"invoices/{key}")
    allowed = evaluate(read_rules([policy(scopes)]), s3_request(verb, key)) == "allow"
    assert allowed == decide(scopes, asked).allowed


@given(
    scope_sets,
    st.sampled_from(["get", "query", "put", "update", "delete"]),
    st.sampled_from(["acme", "acme#1", "a?b", "axb", "other"]),
    st.lists(st.sampled_from(["id", "total", "secret"]), min_size=1, max_size=3, unique=True),
)
def test_dynamodb_decides_as_the_scopes(scopes: ScopeSet, verb: str, key: str, names: list[str]) -> None:
    """Leading keys and attributes are held as the scopes say, where the request names its attributes."""
    asked = Request("shop", "order", verb, "orders/orders", args={"key": key, "attributes": names})
    named = (
        ("dynamodb:Select", ("SPECIFIC_ATTRIBUTES",))
        if verb in {"get", "query"}
        else ("dynamodb:ReturnValues", ("NONE",))
    )
    context = (("dynamodb:LeadingKeys", (key,)), ("dynamodb:Attributes", tuple(names)), named)
    request = iam.Request(ACTIONS["dynamodb"][verb][0], TABLE_ARN, context)
    allowed = evaluate(read_rules([policy(scopes)]), request) == "allow"
    assert allowed == decide(scopes, asked).allowed


@given(scope_sets)
def test_it_reads_back_equal(scopes: ScopeSet) -> None:
    """The policy read back is what the scopes say; with one statement less it is not."""
    made = policy(scopes)
    assert validate(scopes, PLACE, made) == ()
    for n, statement in enumerate(made["Statement"]):
        others = [s for k, s in enumerate(made["Statement"]) if k != n]
        same = any({**o, "Sid": ""} == {**statement, "Sid": ""} for o in others)
        smaller = {**made, "Statement": others}
        assert (
            same
            or validate(scopes, PLACE, smaller)
            or widens(read_rules([smaller]), read_rules([made]), spent=lambda: False) in (Same(), Narrower())
        )


@pytest.mark.parametrize(
    "wider",
    [
        {"Action": "s3:*"},
        {"Action": ["s3:GetObject", "s3:GetObjectAcl"]},
        {"Resource": "*"},
        {"Resource": "arn:aws:s3:::acme-invoices/live/*"},
        {"Resource": "arn:aws:s3:::acme-invoices/live/inbox/?"},
        {"Effect": "Deny"},
        {"Condition": {"StringLike": {"s3:ExistingObjectTag/a": "b"}}},
    ],
)
def test_another_document_does_not_read_back_equal(wider: dict[str, Any]) -> None:
    """Whatever is changed in a statement is a difference."""
    scopes = ScopeSet((Grant("r", "files", "read", "invoices/inbox/*"),))
    made = policy(scopes)
    made["Statement"][0] |= wider
    assert validate(scopes, PLACE, made) != ()


def test_a_key_that_may_be_absent_does_not_read_back() -> None:
    """Without the test for absence an empty set of keys would pass."""
    scopes = ScopeSet((Grant("k", "shop", "get", "orders/orders", "", (key_test(["acme"]),)),))
    made = policy(scopes)
    del made["Statement"][0]["Condition"]["Null"]
    assert validate(scopes, PLACE, made) != ()


def test_models_and_secrets_are_named_exactly() -> None:
    """Only the declared model, its inference profile and the secrets are in the policy; nothing is a bare wildcard."""
    models = (("anthropic.claude-x-v1:0", "agent.yaml:3"), ("eu.anthropic.claude-y-v1:0", "agent.yaml:4"))
    place = Place("support", "prod", "eu-west-1", "111122223333", (), models, (("stripe-key", "agent.yaml:9"),))
    made = policy(ScopeSet(), place)
    assert validate(ScopeSet(), place, made) == ()
    rules = read_rules([made])
    invoke = "bedrock:InvokeModel"
    profile = "arn:aws:bedrock:eu-west-1:111122223333:inference-profile/eu.anthropic.claude-y-v1:0"
    behind = "arn:aws:bedrock:eu-north-1::foundation-model/anthropic.claude-y-v1:0"
    through = (("bedrock:InferenceProfileArn", (profile,)),)
    secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:stripe-key-a1B2c3"
    cases = {
        iam.Request(invoke, "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-x-v1:0"): "allow",
        iam.Request(invoke, "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0"): "implicit",
        iam.Request(invoke, profile): "allow",
        iam.Request(invoke, behind, through): "allow",
        iam.Request(invoke, behind): "implicit",
        iam.Request("secretsmanager:GetSecretValue", secret): "allow",
        iam.Request("secretsmanager:GetSecretValue", secret.replace("stripe-key", "stripe-key-2")): "implicit",
    }
    assert {request: evaluate(rules, request) for request in cases} == cases
    assert "*" not in {resource for s in made["Statement"] for resource in s["Resource"]}


@pytest.mark.parametrize(
    ("account", "source", "who", "verdict"),
    [
        ("111122223333", "arn:aws:ecs:eu-west-1:111122223333:task/x", "ecs-tasks.amazonaws.com", "allow"),
        ("999999999999", "arn:aws:ecs:eu-west-1:111122223333:task/x", "ecs-tasks.amazonaws.com", "implicit"),
        ("111122223333", "arn:aws:ecs:us-east-1:111122223333:task/x", "ecs-tasks.amazonaws.com", "implicit"),
        ("111122223333", "arn:aws:ecs:eu-west-1:111122223333:task/x", "lambda.amazonaws.com", "implicit"),
    ],
)
def test_only_the_service_for_this_account_takes_the_role_on(account: str, source: str, who: str, verdict: str) -> None:
    """The trust policy wants the service, the account and the ARN in whose name it acts."""
    rules = read_rules([document(compiler.trust(PLACE))], kind="trust")
    context = (("aws:SourceAccount", (account,)), ("aws:SourceArn", (source,)))
    arn = "arn:aws:iam::111122223333:role/bedplate-support-prod"
    assert evaluate(rules, iam.Request("sts:AssumeRole", arn, context, iam.Caller("Service", who))) == verdict


def test_the_boundary_cuts_down() -> None:
    """What the ceiling does not allow, the role may not, whatever its policy says; with an empty one nothing."""
    ceiling = ScopeSet((Grant("c", "files", "read", "invoices/inbox/*"),))
    wide = policy(ScopeSet((Grant("r", "files", "read", "invoices/*"), Grant("w", "files", "write", "invoices/*"))))
    for limit, verdicts in ((ceiling, ["allow", "implicit", "implicit"]), (ScopeSet(), ["deny"] * 3)):
        rules = read_rules([wide], [document(compiler.boundary(limit, PLACE))])
        asked = [s3_request("read", "inbox/a"), s3_request("read", "other"), s3_request("write", "inbox/a")]
        assert [evaluate(rules, request) for request in asked] == verdicts


def test_lines_and_provenance_name_the_manifest() -> None:
    """Each statement's line, and its Sid in the provenance, lead to the grant and its line; like ids stay apart."""
    grants = (
        Grant("small-refunds", "files", "read", "invoices/a", "agent.yaml:4"),
        Grant("small-refunds", "files", "read", "invoices/b", "agent.yaml:4"),
        Grant("smallrefunds", "files", "write", "invoices/a", "agent.yaml:5"),
    )
    made, provenance, _ = compiler.compile(ScopeSet(grants), PLACE).artefacts
    assert [(line.grant, line.where) for line in made.lines[1:-1]] == [
        ("small-refunds", "agent.yaml:4"),
        ("smallrefunds", "agent.yaml:5"),
    ]
    assert document(provenance) == {
        "smallrefunds": {"grant": "small-refunds", "where": "agent.yaml:4"},
        "smallrefunds1": {"grant": "smallrefunds", "where": "agent.yaml:5"},
    }


def test_what_iam_cannot_hold_is_listed() -> None:
    """Asking, limits, claims and other conditions are left to other layers, by grant and clause."""
    claim = Condition(("key",), "string", Claim("user"))
    grant = Grant(
        "g", "shop", "get", "orders/orders", "agent.yaml:2", (claim,), ("key",), Ask(always=True), (Budget(1, 60),)
    )
    left = compiler.compile(ScopeSet((grant,)), PLACE).remainder
    assert [(r.grant, r.clause, r.where) for r in left] == [
        ("g", clause, "agent.yaml:2") for clause in ("ask", "limit", "only", "key")
    ]


@pytest.mark.parametrize(
    ("code", "grants", "place"),
    [
        ("BP852", [Grant("g", "files", "get", "invoices/a")], PLACE),
        ("BP852", [Grant("g", "shop", "get", "orders/other")], PLACE),
        ("BP852", [Grant("g", "shop", "get", "orders/orders", "", (key_test(["a"]), key_test(["b"])))], PLACE),
        ("BP852", [Grant("g", "shop", "get", "orders/orders", "", (key_test([]),))], PLACE),
        ("BP852", [], Place("a", "b", "eu-*", "111122223333")),
        ("BP852", [], Place("a", "b", "eu-west-1", "*")),
        ("BP852", [], Place("a", "b", "eu-west-1", "111122223333", (Bucket("x", "*"),))),
        ("BP852", [], Place("a", "b", "eu-west-1", "111122223333", (Table("x", "a*"),))),
        ("BP852", [], Place("a", "b", "eu-west-1", "111122223333", (), (("*", ""),))),
        ("BP851", [Grant(f"g{n}", "files", "read", f"invoices/{n}-{'x' * 80}/*") for n in range(60)], PLACE),
    ],
)
def test_what_cannot_be_exact_is_an_error(code: str, grants: list[Grant], place: Place) -> None:
    """Nothing near a scope is compiled in its stead, and no policy that AWS would refuse for its size."""
    with pytest.raises(BedplateError) as caught:
        compiler.compile(ScopeSet(tuple(grants)), place)
    assert {problem.code for problem in caught.value.problems} == {code}


def test_a_name_that_another_tool_uses_gives_the_role_nothing() -> None:
    """A grant of a tool that does not use the bucket is no grant on it, whatever its object is called."""
    scopes = ScopeSet((Grant("d", "docs", "read", "invoices/*"),))
    assert [a.name for a in compiler.compile(scopes, PLACE).artefacts] == ["bedplate-support-prod.trust.json"]


def test_every_verb_is_told_by_its_actions() -> None:
    """The table of verbs reads back; no two verbs need the same actions."""
    for service, verbs in ACTIONS.items():
        for verb, actions in verbs.items():
            assert verb_of(frozenset(actions)) == (service, verb)
    assert verb_of(frozenset({"s3:GetObject", "s3:PutObject"})) is None
    assert read_policy(policy(ScopeSet())).statements == ()
