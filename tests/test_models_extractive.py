"""`bedplate:extractive`: what it looks up, what it quotes, and what it says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedplate.runtime.models.chunks import estimate
from bedplate.runtime.models.extractive import respond
from bedplate.search.model import CONFIDENT

SEARCH, FAQ, RECALL, REMEMBER = "docs___search", "faq___search", "memory___recall", "memory___remember"
GRANTED = frozenset({SEARCH, FAQ})
GOOD = {
    "path": "guide.md", "anchor": "limits", "heading": "Limits",
    "text": "A turn may take 90 seconds.", "confidence": 0.9,
}  # fmt: skip


def offered(*names: str) -> list[dict[str, Any]]:
    """Tools in a request."""
    return [{"type": "function", "function": {"name": name}} for name in names]


def asked(*said: str, tools: tuple[str, ...] = (SEARCH,), system: str = "") -> dict[str, Any]:
    """A conversation in which the user said these things, each answered but the last."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for text in said:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "…"}]
    return {"messages": messages[:-1], "tools": offered(*tools)}


def answered(body: dict[str, Any], *results: tuple[str, Any]) -> dict[str, Any]:
    """The same conversation after tools have answered."""
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": n, "arguments": "{}"}}
        for i, (n, _) in enumerate(results)
    ]
    told = [
        {"role": "tool", "tool_call_id": f"c{i}", "content": r if isinstance(r, str) else json.dumps(r)}
        for i, (_, r) in enumerate(results)
    ]
    return body | {"messages": [*body["messages"], {"role": "assistant", "content": None, "tool_calls": calls}, *told]}


def calls(body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and arguments of the calls it makes."""
    return [
        (c["function"]["name"], json.loads(c["function"]["arguments"]))
        for c in respond(body, GRANTED).get("tool_calls", [])
    ]


def says(body: dict[str, Any]) -> str:
    """What it answers."""
    message = respond(body, GRANTED)
    assert "tool_calls" not in message
    return str(message["content"])


def passages(*found: dict[str, Any]) -> dict[str, Any]:
    """A search tool's data."""
    return {"passages": list(found)}


def test_every_granted_search_tool_is_asked_and_no_other() -> None:
    """Search tools that are granted and offered are called with the question; other tools are not."""
    body = asked("How long may a turn take?", tools=(SEARCH, FAQ, "refunds___refund", "web___search"))
    query = {"query": "How long may a turn take?"}
    assert calls(body) == [(SEARCH, query), (FAQ, query)]


@pytest.mark.parametrize("second", ["and in prod?", "why?", "What about staging?", "How do I change it?"])
def test_a_follow_up_is_searched_with_the_question_before_it(second: str) -> None:
    """A message that means nothing alone is searched together with what the user asked before."""
    [(_, arguments)] = calls(asked("How long may a turn take?", second))
    assert arguments["query"] == f"How long may a turn take? {second}"


@pytest.mark.parametrize("second", ["How do I destroy a stage?", "What is a gate?", "Which port has the gateway?"])
def test_a_question_that_stands_alone_is_searched_alone(second: str) -> None:
    """A complete question is not mixed with the one before it."""
    [(_, arguments)] = calls(asked("How long may a turn take?", second))
    assert arguments["query"] == second


def test_the_best_passage_is_quoted_with_its_source_and_two_more_at_most() -> None:
    """The first fitting passage of the surest tool is quoted line by line; others are named once each."""
    others = [GOOD | {"path": f"{n}.md", "confidence": 0.7 + n / 100, "text": "other"} for n in range(4)]
    text = says(answered(asked("How long?"), (SEARCH, passages(*others)), (FAQ, passages(GOOD, GOOD))))
    assert text.splitlines() == [
        "> A turn may take 90 seconds.",
        "",
        "Source: guide.md#limits (Limits)",
        "See also: 0.md#limits (Limits); 1.md#limits (Limits)",
    ]


def test_a_long_passage_is_cut_at_the_paragraph_that_answers() -> None:
    """Of a passage that is too long only the paragraphs that share words with the question are quoted, whole."""
    long = "\n\n".join(["Filler words stand here. " * 20, "The timeout of a turn is 90 seconds.", "More filler. " * 50])
    text = says(answered(asked("What is the timeout of a turn?"), (SEARCH, passages(GOOD | {"text": long}))))
    assert text.startswith("> The timeout of a turn is 90 seconds.")
    assert "Filler words" not in text


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (passages(), "I found nothing in what I can search that answers this."),
        (passages(GOOD | {"confidence": 0.1}), "I found nothing in what I can search that answers this."),
        (passages(GOOD | {"confidence": CONFIDENT - 0.02}), "I found nothing in what I can search that answers this. "
         "The nearest passage, which may not help, is guide.md#limits (Limits)."),
        ({"error": "denied: no grant"}, "I could not search: docs.search: denied: no grant"),
    ],
)  # fmt: skip
def test_nothing_relevant_is_said_plainly(result: dict[str, Any], said: str) -> None:
    """Low confidence, no passages and errors are told as what they are, and nothing is quoted."""
    assert says(answered(asked("Who won?"), (SEARCH, result))) == said


def test_plain_text_of_a_search_tool_is_quoted_without_a_source() -> None:
    """A tool without data is quoted, and the missing source is admitted."""
    text = says(answered(asked("How long?"), (SEARCH, "Ninety seconds.")))
    assert text == "> Ninety seconds.\n\nThe tool gave no source for this."


def test_questions_about_the_user_ask_memory_too() -> None:
    """ "my", "I told you" and "do you remember" lead to a recall beside the search, where it is offered."""
    for question in ("What is my name?", "What did I tell you about Bern?", "Do you remember my project?"):
        assert [name for name, _ in calls(asked(question, tools=(SEARCH, RECALL)))] == [SEARCH, RECALL]
    assert [name for name, _ in calls(asked("How do I deploy?", tools=(SEARCH, RECALL)))] == [SEARCH]


def test_a_remembered_fact_answers_a_question_about_the_user() -> None:
    """The fact that shares words with the question is quoted; unrelated facts leave the floor to the documents."""
    facts = "- My name is Ada.\n- I live in Bern."
    body = asked("What is my name?", tools=(SEARCH, RECALL))
    assert says(answered(body, (SEARCH, passages(GOOD)), (RECALL, facts))) == "You told me: “My name is Ada.”"
    body = asked("What limits does my agent have?", tools=(SEARCH, RECALL))
    assert says(answered(body, (SEARCH, passages(GOOD)), (RECALL, facts))).startswith("> A turn may take")


@pytest.mark.parametrize("empty", ["Nothing is remembered that bears on this.", {"facts": []}])
def test_an_empty_memory_is_not_quoted(empty: Any) -> None:
    """What memory says when it knows nothing is no fact about the user."""
    body = asked("What do you remember about me?", tools=(SEARCH, RECALL))
    assert says(answered(body, (SEARCH, passages()), (RECALL, empty))).startswith("I found nothing")


def test_facts_as_data_are_quoted() -> None:
    """Memory's structured answer is read as well."""
    body = asked("What do you remember about me?", tools=(SEARCH, RECALL))
    told = answered(body, (SEARCH, passages()), (RECALL, {"facts": ["I live in Bern."]}))
    assert says(told) == "You told me: “I live in Bern.”"


def test_facts_of_the_system_message_answer_without_a_call() -> None:
    """What the agent puts into the marked block is known at once."""
    system = "x\n<facts-remembered-about-this-user>\n- I live in Bern.\n</facts-remembered-about-this-user>"
    assert says(asked("Where do I live?", system=system)) == "You told me: “I live in Bern.”"


def test_a_statement_about_oneself_is_noted_not_searched() -> None:
    """With memory it is acknowledged in the user's words, without memory the lack is admitted."""
    assert says(asked("My name is Ada.", tools=(SEARCH, RECALL))) == "Noted: “My name is Ada.”"
    assert "no long-term memory" in says(asked("My name is Ada."))


def test_remember_calls_the_tool_and_then_confirms() -> None:
    """ "Remember that …" is given to memory.remember where it is offered; the answer follows its result."""
    body = asked("Please remember that I use Debian.", tools=(SEARCH, RECALL, REMEMBER))
    assert calls(body) == [(REMEMBER, {"fact": "I use Debian."})]
    assert says(answered(body, (REMEMBER, "stored"))) == "I will remember: “I use Debian.”"


@pytest.mark.parametrize("text", ["Who are you?", "Are you a language model?", "hello", "Hi!", "What can you do?"])
def test_it_says_what_it_is(text: str) -> None:
    """Asked or greeted, it says that it is no language model and what it searches."""
    reply = says(asked(text))
    assert "no language model" in reply
    assert "docs" in reply


def test_without_search_tools_it_says_so() -> None:
    """No granted search tool, no answer, and the reason."""
    assert "no search tool" in says(asked("How long?", tools=("refunds___refund",)))


def test_it_is_deterministic() -> None:
    """The same conversation gets the same message, ids included."""
    body = asked("How long may a turn take?", tools=(SEARCH, FAQ))
    assert respond(body, GRANTED) == respond(body, GRANTED)


def test_old_results_do_not_answer_a_new_question() -> None:
    """Results of an earlier turn stand in the history; a new question is searched anew."""
    body = answered(asked("How long may a turn take?"), (SEARCH, passages(GOOD)))
    body["messages"] += [{"role": "assistant", "content": "…"}, {"role": "user", "content": "What does a gate check?"}]
    assert calls(body) == [(SEARCH, {"query": "What does a gate check?"})]


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_tokens_are_estimated_by_length(text: str, tokens: int) -> None:
    """A quarter of the characters, rounded up."""
    assert estimate(text) == tokens
