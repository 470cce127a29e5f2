"""IAM policies: what they say, what they decide, and whether one side permits more than another."""

from typing import Any

import pytest

from bedplate.access.answers import Narrower, Same, Unproved, Wider
from bedplate.access.iam.document import Request, Rules, Unreadable
from bedplate.access.iam.evaluate import evaluate
from bedplate.access.iam.prove import Opinion, widens
from bedplate.access.iam.reading import read_policy, read_rules
from iam_support import cases, document, named, never, side

ANSWERS = {"same": Same, "narrower": Narrower, "wider": Wider, "unproved": Unproved}
KEY = "example:Key"


def under(test: str, values: Any) -> Rules:
    """An Allow under one test."""
    return read_rules([document([{"allow": "s3:GetObject", "to": "*", "Condition": {test: {KEY: values}}}])])


def asking(values: list[str], context: dict[str, str] | None = None) -> Request:
    """A request that gives the key some values, or lacks it."""
    given = {**({KEY: tuple(values)} if values else {}), **{k: (v,) for k, v in (context or {}).items()}}
    return Request("s3:GetObject", "arn:aws:s3:::a/b", tuple(sorted(given.items())))


@pytest.mark.parametrize("case", cases("operators"), ids=named)
def test_operator_decides_requests(case: dict[str, Any]) -> None:
    """Each operator holds for the values that it should, present and absent, and for no others."""
    rules = under(case["test"], case["values"])
    for values in case["holds"]:
        assert evaluate(rules, asking(values, case.get("context"))) == "allow", values
    for values in case["fails"]:
        assert evaluate(rules, asking(values, case.get("context"))) == "implicit", values


@pytest.mark.parametrize("case", cases("operators"), ids=named)
def test_operator_is_proved_about(case: dict[str, Any]) -> None:
    """Under each operator: alone it is the same, no test is wider, other values are narrower and back wider."""
    rules = under(case["test"], case["values"])
    free = read_rules([document([{"allow": "s3:GetObject", "to": "*"}])])
    assert isinstance(widens(rules, rules, spent=never), Same)
    assert isinstance(widens(rules, free, spent=never), Wider)
    assert isinstance(widens(free, rules, spent=never), Narrower)
    if "narrower" in case:
        less = under(case["test"], case["narrower"])
        assert widens(rules, less, spent=never) == Narrower()
        assert isinstance(widens(less, rules, spent=never), Wider)


@pytest.mark.parametrize("case", [*cases("pairs"), *cases("cdk")], ids=named)
def test_pair_is_decided(case: dict[str, Any]) -> None:
    """Each pair has its answer both ways, and each witness is allowed by one side only."""
    old, new = side(case, "old"), side(case, "new")
    answer = widens(old, new, spent=never)
    assert isinstance(answer, ANSWERS[case["answer"]]), answer
    if isinstance(answer, Wider):
        assert (evaluate(new, answer.witness), evaluate(old, answer.witness) == "allow") == ("allow", False)
        for name, value in case.get("request", {}).items():
            assert getattr(answer.witness, name) == value
    if not isinstance(answer, Unproved):
        assert bool(answer.assumed) == case.get("assumed", False)
    if "back" in case:
        assert isinstance(widens(new, old, spent=never), ANSWERS[case["back"]])


@pytest.mark.parametrize("case", cases("unreadable"), ids=named)
def test_what_has_no_meaning_is_refused_with_its_place(case: dict[str, Any]) -> None:
    """What cannot be read is refused and placed, never skipped."""
    statement = {"allow": "s3:*", "to": "*", "Condition": case.get("condition")}
    with pytest.raises(Unreadable) as refused:
        read_policy(case["document"] if "document" in case else document([statement]), case.get("kind", "identity"))
    assert refused.value.place == case["place"]


def test_old_versions_have_no_variables() -> None:
    """Without Version 2012-10-17 `${aws:username}` is text."""
    text = "arn:aws:s3:::home/${aws:username}"
    rules = read_rules([{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": text}}])
    context = (("aws:username", ("alice",)),)
    assert evaluate(rules, Request("s3:GetObject", "arn:aws:s3:::home/alice", context)) == "implicit"
    assert evaluate(rules, Request("s3:GetObject", text, context)) == "allow"


def test_a_deny_is_told_from_silence() -> None:
    """A Deny that applies is `deny`, whatever else applies; nothing that applies is `implicit`."""
    rules = read_rules([document([{"allow": "*", "to": "*"}, {"deny": "iam:*", "to": "*"}])])
    assert evaluate(rules, Request("iam:CreateUser", "*")) == "deny"
    assert evaluate(Rules(()), Request("iam:CreateUser", "*")) == "implicit"


def test_no_time_is_no_answer() -> None:
    """Where time is up before the answer is known, the answer is Unproved."""
    old, new = (side(cases("pairs")[1], name) for name in ("old", "new"))
    assert widens(old, new, spent=lambda: True) == Unproved("time is up")


@pytest.mark.parametrize(
    ("first", "opinion", "kept"),
    [
        ("old", "wider", True),
        ("old", "unknown", True),
        ("old", "not wider", False),
        ("new", "not wider", True),
        ("new", "unknown", False),
        ("new", "wider", False),
    ],
)
def test_second_opinion_must_agree(first: str, opinion: Opinion, kept: bool) -> None:
    """An answer stands only if the second opinion agrees; a witness stands as well where that one does not know."""
    case = cases("cdk")[0]
    second = "new" if first == "old" else "old"
    answer = widens(side(case, first), side(case, second), spent=never, oracle=lambda _old, _new: opinion)
    assert isinstance(answer, Unproved) != kept


def test_witness_is_lifelike() -> None:
    """A witness is an action as AWS spells it, an ARN that looks like one, and values that people know."""
    old = read_rules([document([{"allow": "s3:Get*", "to": "*"}])])
    new = read_rules([document([{"allow": "*", "to": "*", "Condition": {"StringNotEquals": {"aws:username": "bob"}}}])])
    answer = widens(old, new, spent=never)
    assert isinstance(answer, Wider)
    assert answer.witness.action == "s3:PutObject"
    assert answer.witness.resource == "arn:aws:s3:::example-bucket/reports/2026.csv"


def test_many_actions_are_partitioned() -> None:
    """Thousands of actions in two statements are told apart without multiplying them."""
    actions = [f"service{i % 90}:Action{i}" for i in range(6000)]
    old = read_rules([document([{"allow": actions, "to": "*"}, {"allow": "service1:*", "to": "*"}])])
    new = read_rules([document([{"allow": [*actions[:3000], "service1:Other"], "to": "*"}])])
    steps = iter(range(100_000))
    assert widens(old, new, spent=lambda: next(steps, None) is None) == Narrower()
    wide = read_rules([document([{"allow": [*actions[3000:], "service7:Other"], "to": "*"}])])
    answer = widens(old, wide, spent=never)
    assert isinstance(answer, Wider)
    assert answer.witness.action == "service7:Other"
