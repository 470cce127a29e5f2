"""Redaction: what is masked, what is left alone, and that it costs linear time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.traces import conventions as c
from bedplate.traces.redact import PERSONAL, REDACTED, Redactor, is_secret_name, mask

CASES = yaml.safe_load((Path(__file__).parent / "cases/traces/redaction.yaml").read_text("utf-8"))
SECRET = 'S3cr3t/"value"+x'


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("content", ["redacted", "full"])
def test_text_is_redacted_as_the_cases_say(case: dict[str, str], content: Any) -> None:
    """Each kind of secret and personal data is masked, and what only resembles it is not."""
    expected = case["in"] if case[content] == "same" else case[content]
    assert Redactor(content=content).text(case["in"]) == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_redacting_twice_changes_nothing_more(case: dict[str, str]) -> None:
    """The gateway and the sink both redact; the second pass leaves the first one's marks alone."""
    redactor = Redactor()
    once = redactor.text(case["in"])
    assert redactor.text(once) == once


@pytest.mark.parametrize("content", ["none", "redacted", "full"])
@pytest.mark.parametrize(
    "spelling", [SECRET, 'S3cr3t/\\"value\\"+x', "S3cr3t%2F%22value%22%2Bx", "UzNjcjN0LyJ2YWx1ZSIreA=="]
)
def test_exact_secrets_never_pass(content: Any, spelling: str) -> None:
    """A known secret is masked in every setting, as itself, in JSON, in a URL and in Base64."""
    redactor = Redactor(content=content, secrets=[SECRET])
    assert redactor.text(f"x{spelling}y") == f"x{REDACTED}y"
    assert spelling not in str(redactor.attributes({"a": [f"-{spelling}-"], f"k{spelling}": 1}))


def test_a_secret_inside_a_longer_one_leaves_no_rest() -> None:
    """Of two secrets where one begins with the other, the longer is masked whole."""
    assert Redactor(secrets=["abcd", "abcdefgh"]).text("abcdefgh") == REDACTED


def test_content_attributes_are_dropped_for_none() -> None:
    """`content: none` keeps numbers and names but nothing that was said, under old names either."""
    said = {c.INPUT_MESSAGES: "hi", "gen_ai.prompt": "hi", "gen_ai.prompt.0.content": "hi", "exception.message": "hi"}
    kept = Redactor(content="none").attributes({**said, c.INPUT_TOKENS: 3, "gen_ai.system": "openai"})
    assert kept == {c.INPUT_TOKENS: 3, c.PROVIDER: "openai"}


def test_older_names_become_the_newest() -> None:
    """An older attribute name is read as the newest, which wins where both are there."""
    kept = Redactor().attributes({"gen_ai.system": "old", c.PROVIDER: "new", "gen_ai.usage.prompt_tokens": 7})
    assert kept == {c.PROVIDER: "new", c.INPUT_TOKENS: 7}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True), ("x-api-key", True), ("Authorization", True), ("http.request.header.cookie", True),
        ("dbPassword", True), ("access_token", True), ("client-secret", True), ("privateKey", True),
        ("gen_ai.usage.input_tokens", False), ("gen_ai.request.max_tokens", False), ("key", False), ("monkey", False),
        ("bedplate.grant", False), ("tokenizer", False), ("gen_ai.conversation.id", False),
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str, secret: bool) -> None:
    """A value is masked by its name alone where the name says that it is a secret."""
    assert is_secret_name(name) is secret


def test_arguments_are_redacted_to_their_leaves() -> None:
    """Nested arguments lose secrets by name and personal data by shape; numbers and flags stay."""
    given = {"to": ["ada@example.org"], "auth": {"password": "x", "n": 3, "token": None}, "ok": True}
    assert Redactor().value(given) == {
        "to": ["[email]"],
        "auth": {"password": REDACTED, "n": 3, "token": None},
        "ok": True,
    }


def test_mask_takes_only_the_kinds_named() -> None:
    """Memory redaction masks what the manifest lists and nothing else."""
    text = "ada@example.org, 4111111111111111, +39 011 555 0147"
    assert mask(text, ["card"]) == "ada@example.org, [card], +39 011 555 0147"
    assert mask(text, ["email", "phone", "card"]) == "[email], [card], [phone]"


HOSTILE = [
    "a", "a.", "1", "0 ", "1-", "12 ", "+1", "(", "@", "a@", "@a.", "a@a.", "eyJ", "eyJaaaaaaaa.", "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----", "sk-", "password", "password:", 'password": "', "bearer ", "token='", "\\", "key = ",
    "://", "://a:b", "://a:a:a", "4111 1111 ", "phone ", "number 1 ", "authorization: basic ", "ä", "gh",
    "api key", "a-",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_length_not_faster(unit: str) -> None:
    """Twice the text takes about twice the time, whatever it repeats: a quadratic pattern would take four times."""
    redactor = Redactor(secrets=["canary-value"])
    text = (unit * 100_000)[:100_000]

    def seconds(s: str) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            redactor.text(s)
            best = min(best, time.process_time() - began)
        return best

    half, whole = seconds(text[: len(text) // 2]), seconds(text)
    assert whole < 1.0
    assert whole < 3.2 * half + 0.02


@given(st.text(alphabet=st.sampled_from('ab1290 @.+-()/:="\\\n_eyJské'), max_size=300))
def test_any_text_survives(text: str) -> None:
    """Redaction never fails, and a second pass masks nothing more of personal data."""
    redactor = Redactor(secrets=["b1290"])
    assert "b1290" not in redactor.text(text)
    for kind in PERSONAL:
        mask(text, [kind])
