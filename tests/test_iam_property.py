"""IAM widening against brute force: small random policies, every request of a small world, and the evaluator."""

from itertools import product
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from bedplate.access.answers import Narrower, Same, Unproved, Wider
from bedplate.access.iam.document import Caller, Request, Rules
from bedplate.access.iam.evaluate import evaluate
from bedplate.access.iam.prove import widens
from bedplate.access.iam.reading import Kind, read_rules

# A service that nobody knows, so that actions have to be made up.
ACTIONS = ("crm:GetDeal", "crm:PutDeal", "crm:GetMail", "crm:SetDeal", "sqs:SendMessage", "iam:PassRole")
ACTION_PATTERNS = (
    "crm:GetDeal", "CRM:putdeal", "crm:Get*", "crm:*", "*", "crm:?etDeal", "crm:*Deal", "crm:*t*a*", "crm:????eal",
    "sqs:*", "*:Get*", "c*:Put*",
)  # fmt: skip
RESOURCES = ("arn:aws:s3:::a/1", "arn:aws:s3:::a/2", "arn:aws:s3:::ab", "arn:aws:sqs:eu-west-1:1:q", "*")
RESOURCE_PATTERNS = (
    "*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/1", "arn:aws:s3:::a*", "arn:aws:s3:::a/?", "arn:aws:s3:::*b",
    "arn:aws:sqs:*",
    "arn:aws:s3:::a?*", "arn:aws:s3:::*a*",
)  # fmt: skip
ACCOUNT = "arn:aws:iam::111122223333"
PRINCIPALS: tuple[Any, ...] = (
    "*", {"AWS": "111122223333"}, {"AWS": f"{ACCOUNT}:role/one"},
    {"AWS": [f"{ACCOUNT}:role/one", f"{ACCOUNT}:user/two"]},
    {"Service": "lambda.amazonaws.com"}, {"AWS": f"{ACCOUNT}:user/two", "Service": "ec2.amazonaws.com"},
    {"Federated": "accounts.google.com"}, {"AWS": "444455556666"},
)  # fmt: skip
CALLERS = (
    Caller("AWS", f"{ACCOUNT}:role/one"), Caller("AWS", "arn:aws:sts::111122223333:assumed-role/one/me"),
    Caller("AWS", f"{ACCOUNT}:user/two"), Caller("AWS", f"{ACCOUNT}:user/three"), Caller("AWS", f"{ACCOUNT}:root"),
    Caller("AWS", "arn:aws:iam::444455556666:user/two"), Caller("AWS", "arn:aws:iam::777788889999:role/one"),
    Caller("Service", "lambda.amazonaws.com"), Caller("Service", "ec2.amazonaws.com"), Caller("Anonymous"),
    Caller("Federated", "accounts.google.com"), Caller("Federated", "example.org"),
)  # fmt: skip
TEXTS = ("a", "A", "b", "ab", "a:b", "")
TEXT_PATTERNS = ("a", "A", "b", "a*", "*b", "a?", "*", "?", "", "a:*")
ARNS = ("arn:aws:s3:::a", "arn:aws:s3:::b", "arn:aws:sqs:r:1:q:x", "no ARN")
ARN_PATTERNS = ("arn:aws:s3:::*", "arn:aws:*:*:*:*", "arn:aws:sqs:?:*:q*", "arn:aws:s3:::a")
NUMBERS, DATES = (
    ("1", "1.5", "2", "3", "-4"),
    ("2026-01-01T00:00:00Z", "2026-01-01", "1767225601", "2027-01-01T00:00:00+01:00"),
)
ADDRESSES = ("10.0.0.1", "10.1.0.0", "11.0.0.0", "192.168.0.9", "::1", "2001:db8::9")
RANGES = ("10.0.0.0/8", "10.0.0.0/16", "10.0.0.1", "0.0.0.0/0", "2001:db8::/32", "192.168.0.0/24")
ORDERS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
TEXT_OPERATORS = (
    "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
)  # fmt: skip
# For each key: its operators, the values that policies name, and those that requests give.
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "x:Text": (TEXT_OPERATORS, TEXT_PATTERNS, TEXTS),
    "x:Tags": (TEXT_OPERATORS, TEXT_PATTERNS, TEXTS),
    "x:Arn": (("ArnLike", "ArnNotLike", "ArnEquals", "ArnNotEquals"), ARN_PATTERNS, ARNS[:3]),
    "x:Number": (tuple(f"Numeric{o}" for o in ORDERS), ("1", "2", "2.5"), NUMBERS),
    "x:Date": (tuple(f"Date{o}" for o in ORDERS), DATES, DATES),
    "x:Address": (("IpAddress", "NotIpAddress"), RANGES, ADDRESSES),
    "x:Flag": (("Bool",), ("true", "false"), ("true", "false")),
    "x:Bytes": (("BinaryEquals",), ("QQ==", "Qg=="), ("QQ==", "Qw==")),
}  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn, keys: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """A Condition over the keys of a world; `x:Tags` is tested as a set everywhere, the others never."""
    made: dict[str, dict[str, list[str]]] = {}
    for key in draw(st.lists(st.sampled_from(keys), max_size=2, unique=True)):
        operators, values, _ = KEYS[key]
        if draw(st.integers(0, 5)) == 0:
            made.setdefault("Null", {})[key] = [draw(st.sampled_from(("true", "false")))]
            continue
        each = draw(st.sampled_from(("ForAnyValue:", "ForAllValues:"))) if key == "x:Tags" else ""
        operator = each + draw(st.sampled_from(operators)) + draw(st.sampled_from(("", "", "IfExists")))
        spelled = draw(st.sampled_from((key, key.lower())))
        named = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))
        made.setdefault(operator, {})[spelled] = named
    return made


@st.composite
def statements(draw: st.DrawFn, kind: Kind, keys: tuple[str, ...]) -> dict[str, Any]:
    """Any statement of the world."""
    some_actions = st.lists(st.sampled_from(ACTION_PATTERNS), min_size=1, max_size=2, unique=True)
    some_resources = st.lists(st.sampled_from(RESOURCE_PATTERNS), min_size=1, max_size=2, unique=True)
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(("Allow", "Allow", "Deny")))}
    made[draw(st.sampled_from(("Action", "Action", "Action", "NotAction")))] = draw(some_actions)
    if kind != "trust":
        made[draw(st.sampled_from(("Resource", "Resource", "Resource", "NotResource")))] = draw(some_resources)
    if kind != "identity":
        made[draw(st.sampled_from(("Principal", "Principal", "NotPrincipal")))] = draw(st.sampled_from(PRINCIPALS))
    if condition := draw(conditions(keys)):
        made["Condition"] = condition
    return made


@st.composite
def worlds(draw: st.DrawFn) -> tuple[tuple[str, ...], Kind]:
    """Two keys, and what kind of policies."""
    keys = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=2, unique=True))
    return tuple(keys), draw(st.sampled_from(("identity", "identity", "resource", "trust")))


@st.composite
def sides(draw: st.DrawFn, kind: Kind, keys: tuple[str, ...]) -> Rules:
    """One or two policies, sometimes with a boundary."""
    listed = st.lists(statements(kind, keys), min_size=1, max_size=3)
    document = st.builds(lambda found: {"Version": "2012-10-17", "Statement": found}, listed)
    boundary = st.lists(statements("identity", keys), min_size=1, max_size=2)
    limit = None
    if kind == "identity" and draw(st.integers(0, 2)) == 0:
        limit = [{"Version": "2012-10-17", "Statement": draw(boundary)}]
    return read_rules(draw(st.lists(document, min_size=1, max_size=2)), limit, kind)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Rules, Rules, tuple[str, ...], Kind]:
    """Two sides; often the second one has the statements of the first with a little changed."""
    keys, kind = draw(worlds())
    old, new = draw(sides(kind, keys)), draw(sides(kind, keys))
    if draw(st.booleans()):
        new = Rules((*old.policies, *new.policies), draw(st.sampled_from((old.boundary, new.boundary))))
    return old, new, keys, kind


def world(keys: tuple[str, ...], kind: Kind) -> list[Request]:
    """Every request over small domains."""
    contexts: list[list[tuple[tuple[str, tuple[str, ...]], ...]]] = []
    for key in keys:
        values = KEYS[key][2]
        sets = [(a, b) for a in values for b in values if a < b] if key == "x:Tags" else []
        contexts.append([(), *(((key, (v,)),) for v in values), *(((key, s),) for s in sets)])
    callers: tuple[Caller | None, ...] = CALLERS if kind != "identity" else (None,)
    resources = RESOURCES if kind != "trust" else RESOURCES[:1]
    actions = ACTIONS if kind == "identity" else ACTIONS[:3]
    return [
        Request(action, resource, tuple(sorted(pair for c in context for pair in c)), caller)
        for action, resource, caller, *context in product(actions, resources, callers, *contexts)
    ]


def gained(old: Rules, new: Rules, requests: list[Request]) -> Request | None:
    """A request of the world that only the new side permits."""
    for request in requests:
        if evaluate(new, request) == "allow" and evaluate(old, request) != "allow":
            return request
    return None


def never() -> bool:
    """No time limit."""
    return False


@settings(max_examples=120)
@given(pairs())
def test_prover_agrees_with_brute_force_in_both_directions(case: tuple[Rules, Rules, tuple[str, ...], Kind]) -> None:
    """The prover finds what brute force finds, the evaluator confirms what it finds, and no pair is undecided."""
    old, new, keys, kind = case
    requests = world(keys, kind)
    for before, after in ((old, new), (new, old)):
        answer = widens(before, after, spent=never)
        note(f"{answer}")
        match answer:
            case Wider(witness):
                assert evaluate(after, witness) == "allow"
                assert evaluate(before, witness) != "allow"
            case Same():
                assert gained(before, after, requests) is None
                assert gained(after, before, requests) is None
            case Narrower():
                assert gained(before, after, requests) is None
                assert isinstance(widens(after, before, spent=never), Wider)
            case Unproved(reason):
                raise AssertionError(reason)


@settings(max_examples=60)
@given(pairs(), st.randoms(use_true_random=False))
def test_rewriting_changes_nothing(case: tuple[Rules, Rules, tuple[str, ...], Kind], random: Any) -> None:
    """Reordering statements, splitting them by action or resource, and merging policies never widens."""
    old, _, _, _ = case
    assert widens(old, reordered(old, random), spent=never) == Same()
    assert widens(old, split(old), spent=never) == Same()


def reordered(rules: Rules, random: Any) -> Rules:
    """All policies as one, its statements in another order."""
    listed = [s for policy in rules.policies for s in policy.statements]
    random.shuffle(listed)
    return Rules((type(rules.policies[0])(tuple(listed)),), rules.boundary)


def split(rules: Rules) -> Rules:
    """Every statement that lists several actions as one statement for each."""
    from dataclasses import replace

    def parts(statement: Any) -> list[Any]:
        if statement.not_actions:
            return [statement]
        return [replace(statement, actions=(action,)) for action in statement.actions]

    policies = [type(p)(tuple(part for s in p.statements for part in parts(s))) for p in rules.policies]
    return Rules(tuple(policies), rules.boundary)


@settings(max_examples=60)
@given(pairs())
def test_dropping_a_deny_never_narrows_and_dropping_an_allow_never_widens(
    case: tuple[Rules, Rules, tuple[str, ...], Kind],
) -> None:
    """Without its Denies a side permits at least as much; without one Allow at most as much."""
    rules = case[0]
    lenient = Rules(tuple(only(p, "Allow") for p in rules.policies), rules.boundary)
    assert isinstance(widens(rules, lenient, spent=never), Same | Wider)
    assert isinstance(widens(lenient, rules, spent=never), Same | Narrower)
    less = Rules((type(rules.policies[0])(rules.policies[0].statements[1:]), *rules.policies[1:]), rules.boundary)
    if rules.policies[0].statements[0].effect == "Allow":
        assert isinstance(widens(rules, less, spent=never), Same | Narrower)


def only(policy: Any, effect: str) -> Any:
    """A policy's statements of one effect."""
    return type(policy)(tuple(s for s in policy.statements if s.effect == effect))
