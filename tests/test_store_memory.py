"""Long-term memory: what is taken down, what is found again, what replaces what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.problems import BedplateError
from bedplate.store import Counts, Store, facts_in, recall, remember
from bedplate.store.memory import MAX_FACT

CASES = Path(__file__).parent / "cases/store"
DAY = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    now = iter(range(1_800_000_000, 1_900_000_000))
    opened = Store.open(tmp_path / "memory.db", clock=lambda: float(next(now)))
    yield opened
    opened.close()


def tell(store: Store, text: str, user: str = "ada", **more: Any) -> str:
    return remember(store, "support", user, text, "t1", more.pop("retention", DAY), **more).text


@pytest.mark.parametrize(
    "case", yaml.safe_load((CASES / "facts.yaml").read_text()), ids=lambda case: str(case["said"])[:40]
)
def test_only_statements_of_the_speaker_are_facts(case: dict[str, Any]) -> None:
    """What users say of themselves is found word for word; questions, quotes and passing wishes are not."""
    assert facts_in(case["said"]) == case["facts"]


@pytest.mark.parametrize("case", yaml.safe_load((CASES / "recall.yaml").read_text()), ids=lambda case: str(case["ask"]))
def test_questions_find_their_facts(store: Store, case: dict[str, Any]) -> None:
    """A question in other words finds the fact; one about everything gets the newest; a strange one nothing."""
    for fact in case["facts"]:
        tell(store, fact)
    found = [fact.text for fact in recall(store, "support", "ada", case["ask"])]
    assert found[:1] == ([case["first"]] if "first" in case else [])
    assert len(found) == case.get("count", len(found))


def test_facts_belong_to_one_user_of_one_agent(store: Store) -> None:
    """Nobody else's question finds a fact, whatever it asks."""
    tell(store, "My name is Ada")
    for agent, user in (("support", "bob"), ("other", "ada"), ("support", "")):
        assert recall(store, agent, user, "what is my name") == []
        assert recall(store, agent, user, "what do you know about me") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("My name is Ada", "my name is Grace."),
        ("Call me Ada", "My full name is Ada Byron"),
        ("I live in Turin", "I moved to Rome"),
        ("I'm 41", "I am 42 years old"),
        ("My favourite colour is green", "My favourite colour is blue"),
        ("Remember that my dog is Rex", "my dog is Fido"),
    ],
)
def test_a_newer_statement_replaces_the_older(store: Store, old: str, new: str) -> None:
    """Of a subject that has one answer only the newest is kept."""
    tell(store, old)
    tell(store, "I like tea")
    tell(store, old, user="bob")
    tell(store, new)
    assert [f.text for f in recall(store, "support", "ada", "")] == [new, "I like tea"]
    assert [f.text for f in recall(store, "support", "bob", "")] == [old]


def test_other_statements_stand_beside_each_other(store: Store) -> None:
    """Likes, allergies and the like add up."""
    for text in ("I like tea", "I like coffee", "I use Linux", "I am a nurse", "I'm allergic to nuts"):
        tell(store, text)
    assert store.counts() == Counts(facts=5)


def test_the_same_words_are_kept_once(store: Store) -> None:
    """Case, spaces and punctuation make no new fact; saying it again renews it."""
    tell(store, "I like green tea.")
    tell(store, "I drive a van")
    tell(store, "i like  GREEN tea")
    assert [f.text for f in recall(store, "support", "ada", "")] == ["i like GREEN tea", "I drive a van"]


def test_personal_data_is_masked_before_it_is_stored(tmp_path: Path, store: Store) -> None:
    """What the manifest lists under `redact` never reaches the file."""
    text = tell(store, "My mail is ada@example.org, card 4111 1111 1111 1111", redact=("email", "card"))
    assert text == "My mail is [email], card [card]"
    assert b"ada@example" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_secrets_are_never_remembered(store: Store) -> None:
    """Keys by their look, and the stage's secrets by their value, are masked whatever `redact` says."""
    assert tell(store, "My key is sk-abcdefghijklmnop1234") == "My key is [redacted]"
    assert tell(store, "I use canary-value-1", secrets=["canary-value-1"]) == "I use [redacted]"


def test_long_facts_are_cut_visibly(store: Store) -> None:
    """A fact longer than the bound ends in an ellipsis at a word."""
    text = tell(store, "I like " + "tea " * 500)
    assert len(text) <= MAX_FACT
    assert text.endswith("tea…")


@pytest.mark.parametrize("text", ["", "  \n ", "?!…", "'"])
def test_an_empty_fact_is_refused(store: Store, text: str) -> None:
    """There is no fact without words."""
    with pytest.raises(BedplateError, match="BP469"):
        tell(store, text)


def test_facts_end_with_their_retention(store: Store) -> None:
    """An expired fact is neither found nor, after cleaning, there."""
    tell(store, "My name is Ada", retention=1)
    tell(store, "I like tea")
    assert [f.text for f in recall(store, "support", "ada", "what is my name?")] == []
    assert [f.text for f in recall(store, "support", "ada", "")] == ["I like tea"]
    assert store.expire().facts == 1


@pytest.mark.parametrize(
    "unit", ["a ", "my ", "my a ", "i am ", "hi ", '"', "`", "> \n", "please ", "remember that ", "i like a "]
)
def test_finding_facts_takes_linear_time(unit: str) -> None:
    """A long hostile message costs little."""
    began = time.process_time()
    facts_in((unit * 100_000)[:100_000])
    assert time.process_time() - began < 0.5
