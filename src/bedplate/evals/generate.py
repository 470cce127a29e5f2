"""Proposes cases from documents without any model: headings become questions, first sentences their answers.

Passages of the declared data go in, `Candidate`s come out, and a file for a person to review. A proposed case gates
nothing until its `status: proposed` is deleted (see `dataset`). No existing file is ever overwritten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bedplate.evals.phrases import Corpus, answer_of, phrase_of, sentences_of
from bedplate.evals.questions import question_of
from bedplate.problems import BedplateError, Problem, Where

TOP = 3
"""Among how many hits the right page must be for a candidate to count as retrieved."""

_SEPARATOR = " › "  # between the headings of a passage's path, as search writes it
_HEADER = """\
# Cases proposed from the documents by `bedplate evals generate`. Nobody has read them yet.
# Read each: is it a question that users ask, and is `expected_output` what a right answer must contain?
# Mend it or delete it, then delete its line `status: proposed`. `retrieved: false` means that searching for the
# question did not find its page among the first three: mend the document, or the question.
"""


class Located(Protocol):
    """Something found in a document."""

    @property
    def path(self) -> str: ...


class Passage(Located, Protocol):
    """A part of a document: `heading` may be a path of headings, `anchor` leads to it."""

    @property
    def heading(self) -> str: ...
    @property
    def anchor(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def title(self) -> str: ...


Search = Callable[[str, int], Sequence[Located]]
"""Finds at most so many passages for a question, best first."""


@dataclass(frozen=True)
class Candidate:
    """A proposed case. `source` is `path#anchor`; `retrieved` None: not tried yet."""

    name: str
    question: str
    expected: str
    source: str
    retrieved: bool | None = None

    @property
    def path(self) -> str:
        """The page that answers."""
        return self.source.partition("#")[0]


def propose(passages: Sequence[Passage], *, limit: int | None = None) -> list[Candidate]:
    """Candidates in the order of the passages, one a section and one a question, at most `limit`."""
    corpus = Corpus([passage.text for passage in passages])
    candidates: dict[str, Candidate] = {}
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for passage in passages:
        if (passage.path, passage.heading) in seen:
            continue
        seen.add((passage.path, passage.heading))
        candidate = _candidate(passage, corpus, names)
        if candidate and candidate.question.casefold() not in candidates:
            candidates[candidate.question.casefold()] = candidate
            names.add(candidate.name)
    return list(candidates.values())[:limit]


def _candidate(passage: Passage, corpus: Corpus, names: set[str]) -> Candidate | None:
    heading = (passage.heading or passage.title).rpartition(_SEPARATOR)[2]
    text = _without_heading(passage.text, heading)
    sentences = sentences_of(text)
    question = question_of(heading, sentences[0], text) if sentences else None
    expected = phrase_of(answer_of(sentences), question, corpus) if question else None
    if not question or not expected:
        return None
    source = f"{passage.path}#{passage.anchor}" if passage.anchor else passage.path
    return Candidate(_name(question, names), question, expected, source)


def _without_heading(text: str, heading: str) -> str:
    first, _, rest = text.partition("\n")
    return rest if first.strip("# ").casefold() == heading.casefold() else text


def _name(question: str, taken: set[str]) -> str:
    slug = re.sub(r"[^\w]+", "-", question.casefold()).strip("-")[:60].rstrip("-")
    number, name = 2, slug
    while name in taken:
        name, number = f"{slug}-{number}", number + 1
    return name


def check_retrieval(candidates: Iterable[Candidate], search: Search) -> list[Candidate]:
    """The candidates, each with whether searching for its question finds its page among the first three hits."""
    return [
        replace(candidate, retrieved=candidate.path in [hit.path for hit in search(candidate.question, TOP)[:TOP]])
        for candidate in candidates
    ]


def write_candidates(path: Path, candidates: Sequence[Candidate], *, file: str | None = None) -> None:
    """Writes the candidates for review. Raises BedplateError: BP516 where there are none, BP515 if the file exists."""
    import yaml

    shown = file or str(path)
    if not candidates:
        raise BedplateError(
            Problem("BP516", "no case could be proposed from the documents", fix="Write cases by hand.")
        )
    document = {"name": path.stem, "cases": [_case(candidate) for candidate in _unlike(candidates)]}
    text = _HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        fix = f"Review {shown} and move its cases into your dataset, or name another file."
        raise BedplateError(Problem("BP515", f"{shown} exists already", Where(shown), fix=fix)) from error


def _unlike(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with names of their own: those of several data sources may share some."""
    names: set[str] = set()
    unlike: list[Candidate] = []
    for candidate in candidates:
        unlike.append(replace(candidate, name=_name(candidate.question, names)))
        names.add(unlike[-1].name)
    return unlike


def _case(candidate: Candidate) -> dict[str, Any]:
    metadata: dict[str, Any] = {"source": candidate.source, "status": "proposed"}
    if candidate.retrieved is not None:
        metadata["retrieved"] = candidate.retrieved
    return {
        "name": candidate.name,
        "inputs": candidate.question,
        "expected_output": candidate.expected,
        "metadata": metadata,
    }
