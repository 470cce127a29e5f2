"""Proposed cases: which headings become questions, which words the answers, and that nobody's work is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.evals import check_retrieval, load_dataset, propose, write_candidates
from bedplate.evals.phrases import Corpus, answer_of, phrase_of, sentences_of
from bedplate.evals.questions import question_of
from bedplate.evals.text import contains
from bedplate.problems import BedplateError
from evals_support import cases


@dataclass(frozen=True)
class Part:
    """A passage as search gives it."""

    path: str
    heading: str
    text: str
    anchor: str = ""
    title: str = ""


GATEWAY = "The gateway is the only process that holds provider credentials. It decides."
DESTROY = "Run `bedplate destroy` in the project folder.\n\n```\nbedplate destroy\n```"
PARTS = [
    Part("gateway.md", "Bedplate › Gateway", GATEWAY, "gateway"),
    Part("stages.md", "Deleting a stage", DESTROY, "deleting"),
    Part("stages.md", "Deleting a stage", "A second passage of the same section is not asked about.", "deleting"),
    Part("faq.md", "Which database keeps sessions?", "Sessions live in a SQLite file beside the log.", "db"),
    Part("faq.md", "History", "It began one day.", "history"),
    Part("code.md", "Exporting traces", "```\nonly code\n```", "code"),
]


@pytest.mark.parametrize("row", cases("headings.yaml"), ids=lambda row: row["heading"] or "empty")
def test_question(row: dict[str, Any]) -> None:
    """A heading becomes the question that the case file says, or none where no rule is sure."""
    assert question_of(row["heading"], row["sentence"], row["sentence"]) == row["question"]


def test_candidates() -> None:
    """Sections with a question and a telling sentence become candidates with their source, one a section."""
    found = propose(PARTS)
    assert [(c.question, c.source) for c in found] == [
        ("What is the gateway?", "gateway.md#gateway"),
        ("How do I delete a stage?", "stages.md#deleting"),
        ("Which database keeps sessions?", "faq.md#db"),
    ]
    assert found[1].expected == "bedplate destroy"
    assert len({c.name for c in found}) == 3
    assert propose(PARTS, limit=1) == found[:1]


def test_expected_words_stand_in_the_answer_and_not_in_the_question() -> None:
    """The expected words are words of the passage, and repeating the question does not contain them."""
    texts = {(p.path, p.anchor): p.text for p in reversed(PARTS)}
    for candidate in propose(PARTS):
        path, _, anchor = candidate.source.partition("#")
        assert contains(texts[path, anchor], candidate.expected)
        assert not contains(candidate.question, candidate.expected)


def test_words_that_stand_everywhere_are_no_answer() -> None:
    """A sentence that many passages repeat gives no expected words, because they would not show which was found."""
    sentence = "This feature was removed in version three."
    assert phrase_of(sentence, "What is x?", Corpus([sentence] * 10)) is None
    assert phrase_of(sentence, "What is x?", Corpus([sentence, *["something else here"] * 9])) is not None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One two three four. Five.", "One two three four."),
        ("```\ncode here is long\n```\n\nProse stands here now.", "Prose stands here now."),
        ("- a list of four words\n\nProse stands here now.", "Prose stands here now."),
        ("| a | b | c | d |", ""),
        ("Use `a.b` for e.g. this one. Then go.", "Use `a.b` for e.g. this one."),
        ("Yes. Set the key in your stage.", "Set the key in your stage."),
        ("This section shows how it is done. Set the key in your stage.", "Set the key in your stage."),
        ("", ""),
    ],
)
def test_first_sentence(text: str, sentence: str) -> None:
    """The first sentence of prose that says something is found, behind code, lists and a mere yes."""
    assert answer_of(sentences_of(text)) == sentence


def test_round_trip() -> None:
    """A candidate is retrieved if its page is among the first three hits for its question."""
    gateway, destroy, database = propose(PARTS)

    def search(question: str, limit: int) -> Sequence[Part]:
        assert limit == 3
        return [PARTS[4], PARTS[5], PARTS[0], PARTS[1]] if question == gateway.question else [PARTS[0]]

    checked = check_retrieval([gateway, destroy, database], search)
    assert [c.retrieved for c in checked] == [True, False, False]


def test_a_written_file_is_refused_until_reviewed(tmp_path: Path) -> None:
    """The file names sources, gates nothing while cases are proposed, and loads once a person has deleted that."""
    path = tmp_path / "evals" / "proposed.yaml"
    write_candidates(path, check_retrieval(propose(PARTS), lambda _question, _limit: PARTS[:1]))
    with pytest.raises(BedplateError) as caught:
        load_dataset(path)
    (problem,) = caught.value.problems
    assert (problem.code, "3 of 3" in problem.summary) == ("BP509", True)
    document = yaml.safe_load(path.read_text("utf-8"))
    assert document["cases"][0]["metadata"] == {"source": "gateway.md#gateway", "status": "proposed", "retrieved": True}
    path.write_text(path.read_text("utf-8").replace("    status: proposed\n", ""), "utf-8")
    assert len(load_dataset(path).cases) == 3


def test_names_of_several_sources_do_not_clash(tmp_path: Path) -> None:
    """Candidates of two data sources with the same questions are written under names of their own."""
    path = tmp_path / "proposed.yaml"
    write_candidates(path, [*propose(PARTS), *propose(PARTS)])
    assert len(load_dataset(path, proposed="allow").cases) == 6


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that exists is left as it is, and a run that found nothing writes nothing."""
    path = tmp_path / "proposed.yaml"
    path.write_text("mine", "utf-8")
    with pytest.raises(BedplateError) as caught:
        write_candidates(path, propose(PARTS), file="evals/proposed.yaml")
    assert [p.code for p in caught.value.problems] == ["BP515"]
    assert path.read_text("utf-8") == "mine"
    with pytest.raises(BedplateError):
        write_candidates(tmp_path / "other.yaml", [])
    assert not (tmp_path / "other.yaml").exists()
