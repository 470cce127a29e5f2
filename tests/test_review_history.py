"""A real repository with a history of changes of every kind: each has its verdict and its comment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.review.comment import comment
from bedplate.review.compare import Request, review
from review_support import apply, repository, steady

CASES = Path(__file__).parent / "cases/review"
HISTORY = yaml.safe_load((CASES / "history.yaml").read_text())
NAMES = [change["name"] for change in HISTORY["changes"]]
UPDATE = os.environ.get("BEDPLATE_UPDATE_GOLDEN") == "1"
"""Set to 1, golden comments are written anew instead of compared: look at what git says then."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """The repository, and the commit of each change."""
    folder = repository(tmp_path_factory.mktemp("history"), HISTORY["files"])
    return folder, {change["name"]: apply(folder, change) for change in HISTORY["changes"]}


@pytest.mark.parametrize("change", HISTORY["changes"], ids=NAMES)
def test_each_change_gets_its_verdict_and_comment(
    history: tuple[Path, Mapping[str, str]], change: Mapping[str, Any]
) -> None:
    """The review of a commit against the one before it says what the case says, and exits accordingly."""
    folder, commits = history
    found = review(Request(folder / "agent.yaml", f"{commits[change['name']]}^", commits[change["name"]]))
    text = comment(found, "github")
    assert (found.headline, int(found.exit)) == (change["headline"], change["exit"]), text
    assert found.line == change.get("line", found.line)
    for part in change.get("has", ()):
        assert part in text, f"{part}\n\n{text}"
    for part in change.get("lacks", ()):
        assert part not in text, f"{part}\n\n{text}"
    if change.get("golden"):
        _compare(CASES / "golden" / f"{change['name'].replace(' ', '-')}.md", steady(text))


def _compare(path: Path, text: str) -> None:
    if UPDATE:
        path.write_text(text)
    assert path.read_text() == text


def test_the_history_holds_every_kind_of_change() -> None:
    """There are at least twenty changes, with every exit code of a review that looks at no evals."""
    assert len(NAMES) >= 20
    assert {change["exit"] for change in HISTORY["changes"]} == {0, 1, 3}


def test_no_golden_comment_is_left_over() -> None:
    """Each kept comment belongs to a change."""
    wanted = {f"{c['name'].replace(' ', '-')}.md" for c in HISTORY["changes"] if c.get("golden")}
    assert {path.name for path in (CASES / "golden").iterdir()} == wanted
