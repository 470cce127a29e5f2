"""The comment: whatever stands in a repository is shown and never acts, and the verdict is never lost."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bedplate.access.findings import Finding
from bedplate.problems import Problem, Where
from bedplate.release.behaviour import GateState, SuiteState
from bedplate.release.plan import Change, Detail
from bedplate.review.commands import next_commands
from bedplate.review.comment import LIMITS, Platform, comment, receipt_of
from bedplate.review.escape import cell, code, fence, read_receipt, receipt
from bedplate.review.model import Review, Revision, Row, Ruling, StageReview

TEXTS = yaml.safe_load((Path(__file__).parent / "cases/review/texts.yaml").read_text())
OURS = {"h3", "h4", "p", "ul", "li", "strong", "code", "pre", "br", "details", "summary"}
OURS |= {"table", "thead", "tbody", "tr", "th", "td"}
BASE, HEAD = Revision("a" * 40, "main", "sha256:" + "1" * 64), Revision("b" * 40, "HEAD", "sha256:" + "2" * 64)


class Rendered(HTMLParser):
    """The comment as a browser has it: its tags, addresses, and the text that is in no code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.prose, self.code, self._inside = "", "", 0
        self.feed(MarkdownIt("commonmark").enable("table").render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        self._inside += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.code += data
        else:
            self.prose += data


def full(text: str, count: int = 1) -> Review:
    """A review in which `text` stands in every place that a repository can write to, each list `count` long."""
    finding = Finding("wider", text, text, text, text, text, text, f"{text}:1")
    rulings = tuple(Ruling(f"{text}{n}", f"sha256:{n:064}", "needed", (text,)) for n in range(count))
    rows = tuple(Row(f"A{n}", replace(finding, object=f"{text}{n}"), rulings) for n in range(count))
    details = tuple(Detail(f"{text}{n}", text, text, text) for n in range(count))
    changes = tuple(Change("update", text, f"{text}{n}", text, details, text, text) for n in range(count))
    gates = tuple(GateState(f"{text}{n}", text, "FAIL", 0.5, text) for n in range(count))
    names = tuple(f"{text}{n}" for n in range(count))
    suites = tuple(
        SuiteState(f"{text}{n}", "FAIL", gates, 1, 2, text, True, names, names) for n in range(min(count, 20))
    )
    stages = tuple(
        StageReview(f"{text}{n}", "changed", text + str(n), changes, 3, "changed", suites, (text,) * count, text, text)
        for n in range(min(count, 20))
    )
    notes = (text,) * count
    return Review(text, f"{text}/agent.yaml", replace(BASE, asked=text[:100]), HEAD, rows, stages, (), notes)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_a_repository_are_only_shown(text: str) -> None:
    """No text makes a tag, a link, an image, a mention, a comment of HTML or another cell; it stands in code."""
    plain, hostile = Rendered(comment(full("x"), "github")), Rendered(comment(full(text), "github"))
    assert hostile.tags <= OURS
    assert hostile.addresses == []
    for sign in ("@", "http", "www.", "#1", "<", "[", "!["):
        assert hostile.prose.count(sign) == plain.prose.count(sign), sign
    assert all(ch.isprintable() or ch == "\n" for ch in hostile.prose + hostile.code)
    assert _cells(comment(full(text), "github")) == _cells(comment(full("x"), "github"))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_in_problems_are_only_shown(text: str) -> None:
    """What a broken manifest says in a message, its file's name and its fix acts as little."""
    problem = Problem("BP010", text, Where(text, 3), fix=text)
    found = Rendered(comment(Review(text, text, BASE, HEAD, problems=(problem, problem)), "gitlab"))
    assert found.tags <= OURS
    assert found.prose.count("BP010") == 2
    assert not any(sign in found.prose for sign in ("@", "http", "<", "[", "evil"))


def _cells(markdown: str) -> list[int]:
    """How many cells each row of each table has, as they are rendered."""
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    return [row.count("<td") for row in html.split("<tr>")]


def test_the_traps_are_live() -> None:
    """The same texts outside of code do make links, tags and mentions: the test above can fail."""
    found = Rendered("\n\n".join(TEXTS))
    assert {"img", "a", "script"} <= found.tags
    assert "@everyone" in found.prose


@pytest.mark.parametrize("text", TEXTS)
def test_the_receipt_survives_every_text(text: str) -> None:
    """What a machine reads is what the review found, whatever stands in it."""
    review = full(text)
    assert read_receipt(comment(review, "github")) == receipt_of(review)


@settings(max_examples=150)
@given(st.text(max_size=60))
def test_code_is_left_by_no_text(text: str) -> None:
    """Any text in a code span, also in a table, leaves exactly one code element, and nothing outside."""
    alone, table = Rendered(code(text)), Rendered(f"| h | i |\n|---|---|\n| {cell(text)} | y |")
    assert alone.tags == {"p", "code"}
    assert (alone.prose.strip(), table.prose.split()) == ("", ["h", "i", "y"])
    assert table.tags == {"table", "thead", "tbody", "tr", "th", "td", "code"}


@settings(max_examples=100)
@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40) | st.sampled_from(TEXTS), max_size=5))
def test_a_receipt_cannot_be_ended_from_inside(document: dict[str, str]) -> None:
    """Any JSON goes through a comment of HTML and comes back the same; it holds no `--` and no `>` of its own."""
    text = receipt(document)
    assert read_receipt(text) == document
    assert text.count("-->") == text.count(">") == 1
    assert "--" not in text.removeprefix("<!--").removesuffix("-->")
    assert "@" not in text


@pytest.mark.parametrize("platform", LIMITS)
@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("text", ["x" * 3000, "`" * 300, "\u202e" * 300, "é|\\" * 100])
def test_a_huge_review_keeps_its_verdict_its_receipt_and_its_commands(
    platform: Platform, count: int, text: str
) -> None:
    """However much there is to say, the comment fits, and only the middle is shortened."""
    review = full(text, count)
    found = comment(review, platform)
    assert len(found) <= LIMITS[platform]
    assert read_receipt(found) == receipt_of(review)
    assert f"**{review.line}**" in found
    assert "\n".join(fence(next_commands(review), "sh", 10_000)) in found
    if count == 40 and platform == "github":
        assert " more" in found


def test_thousands_of_problems_fit_too() -> None:
    """An invalid manifest with more problems than a comment can hold says how many there are."""
    problems = tuple(Problem("BP010", "y" * 300, Where("agent.yaml", n), fix="z" * 300) for n in range(5000))
    found = comment(Review("a", "agent.yaml", BASE, HEAD, problems=problems), "github")
    assert len(found) <= LIMITS["github"]
    assert "### Invalid manifest" in found
    assert "5,000 problems" in found
    assert " more problems" in found
    assert "bedplate validate" in found


def test_colour_carries_no_meaning() -> None:
    """What is wider, at risk or failing is said in words."""
    found = comment(full("x"), "github")
    for word in ("WIDER", "DATA AT RISK", "FAIL", "needs approval"):
        assert word in found
