"""The second opinion of cvc5 on IAM proofs, and the core of questions that other provers use."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from bedplate.access.answers import Unproved, Wider
from bedplate.access.iam.prove import widens
from bedplate.access.second import Any1, Question, installed, of_iam
from iam_support import cases, named, never, side
from test_iam_property import pairs

pytestmark = pytest.mark.skipif(not installed(), reason="cvc5 comes with the extra `proof`")
RUN = Any1(run=True)


@pytest.mark.parametrize("case", [*cases("pairs"), *cases("cdk")], ids=named)
def test_cvc5_agrees_on_the_cases(case: dict[str, Any]) -> None:
    """On every case that is decided cvc5 says the same, asked on its own."""
    old, new = side(case, "old"), side(case, "new")
    oracle = of_iam(20)
    assert oracle is not None
    alone = widens(old, new, spent=never)
    if not isinstance(alone, Unproved):
        assert (oracle(old, new) == "wider") == isinstance(alone, Wider)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(pairs())
def test_cvc5_never_contradicts(case: Any) -> None:
    """On random policies cvc5 agrees or does not know in its time."""
    oracle = of_iam(1)
    assert oracle is not None
    answer, opinion = widens(case[0], case[1], spent=never), oracle(case[0], case[1])
    assert opinion in ("unknown", "wider" if isinstance(answer, Wider) else "not wider")


def test_question_knows_globs_numbers_and_choices() -> None:
    """The core: globs by field and by case, ranges of numbers, and choices, together."""
    question = Question(10)
    text, number = question.text("path"), question.number("amount")
    inside = question.like(text, [("a/", RUN)])
    assert question.possible(inside, question.no(question.like(text, [("a/b", RUN), ("a/", Any1(run=False))]))) is True
    assert question.possible(question.between(number, Fraction(1), Fraction(2)), question.choice("asked")) is True
    assert question.possible(question.between(number, None, Fraction(1), strict=True)) is False


def test_question_folds_case_and_keeps_fields() -> None:
    """A folded glob takes letters of either case; a wildcard in a field takes no colon."""
    question = Question(10)
    text = question.text("action")
    assert question.possible(question.like(text, [("GET",)]), question.like(text, [("get",)], folded=True)) is True
    other = Question(10)
    text = other.text("arn")
    assert other.possible(other.like(text, [("a:b",)]), other.like(text, [(Any1(run=True, in_field=True),)])) is False
