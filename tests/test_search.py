"""The index and its searches, over real files in a real SQLite database."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bedplate.problems import BedplateError
from bedplate.search import CONFIDENT, Hit, IndexStats, SearchIndex, build_index, excerpt

CASES = Path(__file__).parent / "cases" / "search"
QUESTIONS = yaml.safe_load((CASES / "questions.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class File:
    path: str


def build(root: Path, target: Path) -> IndexStats:
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return build_index(root, [File(path) for path in files], target)


def index_of(tmp_path: Path, documents: dict[str, str | bytes]) -> SearchIndex:
    root = tmp_path / "docs"
    for name, text in documents.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    build(root, tmp_path / "docs.db")
    return SearchIndex(tmp_path / "docs.db")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    target = tmp_path_factory.mktemp("index") / "cases.db"
    stats = build(CASES, target)
    assert (stats.documents, stats.skipped, stats.unread) == (3, 1, ())
    return SearchIndex(target)


def everything(_: str) -> bool:
    return True


@pytest.mark.parametrize("case", QUESTIONS, ids=[case["ask"] for case in QUESTIONS])
def test_the_right_section_is_first(cases: SearchIndex, case: dict[str, str]) -> None:
    """Each question of the list finds its section first, with the anchor that the rendered page has."""
    hit = cases.search(case["ask"], 5, everything)[0]
    assert (hit.path, hit.anchor) == (case["path"], case["anchor"])
    assert hit.confidence >= CONFIDENT


def test_furniture_and_comments_are_not_found(cases: SearchIndex) -> None:
    """Navigation, headers, scripts, styles, comments, link targets and tables of contents are not indexed."""
    assert cases.search("zeppelin", 5, everything) == []


def test_headings_are_a_path_and_titles_are_clean(cases: SearchIndex) -> None:
    """A hit names the headings above it; the site's name is no part of a title."""
    (hit,) = cases.search("custom id", 1, everything)
    assert hit.heading == "The kettle › Custom anchor › Named"
    assert cases.search("cups", 1, everything)[0].title == "Cups"
    assert cases.search("boiling", 1, everything)[0].title == "Guide to the kettle"
    assert cases.search("brewing", 1, everything)[0].title == "Tea manual"


def test_code_lists_and_tables_stay_whole(cases: SearchIndex) -> None:
    """Code with blank lines is one fenced block, lists keep their items, tables their rows."""
    text = cases.search("boiling water", 1, everything)[0].text
    assert "```sh\n# not a heading\nkettle --stage boil\n\nkettle --off\n```" in text
    assert "1. Fill the kettle." in text
    sizes = cases.search("sizes small large", 1, everything)[0].text
    assert "- small\n- large\n  - very large" in sizes
    assert '```\ncup = Cup(size="large")\n\ncup.fill()\n```' in sizes
    assert "| small | 100 |" in sizes
    assert "```\nkettle.heat(100)\n\nkettle.pour()\n```" in cases.search("heat the water", 1, everything)[0].text


ODD = [
    *("\"'*()^+%?\\\n\u00df\u0301"),
    *("a*", "AND", "NOT x", "NEAR(a b)", "heading:kettle", "-kettle", "a\0b", "{x}", "kettle OR", "🫖", "e\u0301"),
    *("x" * 10_000, "kettle " * 3000, ";DROP TABLE passage;--", '"unclosed', "kettle AND (water"),
]


@pytest.mark.parametrize("query", ODD, ids=range(len(ODD)))
def test_no_query_text_raises(cases: SearchIndex, query: str) -> None:
    """Syntax of FTS5 and SQL, control characters and long texts are only words, or nothing."""
    assert isinstance(cases.search(query, 5, everything), list)
    assert isinstance(cases.search(f"{query} kettle {query}", 5, everything), list)


def test_stop_words_alone_are_searched_as_they_are(tmp_path: Path) -> None:
    """A query of nothing but common words still finds the heading that says it."""
    index = index_of(tmp_path, {"a.md": "# A\n\n## What is it?\n\nIt is tea.\n\n## Other\n\nThe rest."})
    assert index.search("what is it", 1, everything)[0].anchor == "what-is-it"


def test_only_allowed_documents_are_found(tmp_path: Path) -> None:
    """A hundred better documents that are denied do not push the one allowed out of the result."""
    documents: dict[str, str | bytes] = {f"secret/{n}.md": "# Salary\n\nsalary salary table" for n in range(100)}
    index = index_of(tmp_path, {**documents, "open/a.md": "# Notes\n\nOne word on salary among many other words."})
    hits = index.search("salary", 5, lambda path: path.startswith("open/"))
    assert [hit.path for hit in hits] == ["open/a.md"]


def test_two_of_one_document_among_the_first_five(tmp_path: Path) -> None:
    """A document that matches everywhere leaves room for others, and still fills a longer list."""
    many = "# Tea\n\n" + "\n\n".join(f"## Tea {n}\n\nTea tea tea." for n in range(9))
    others: dict[str, str | bytes] = {f"{n}.md": f"# Note {n}\n\nSome tea and other words." for n in range(6)}
    index = index_of(tmp_path, {"many.md": many, **others})
    paths = [hit.path for hit in index.search("tea", 12, everything)]
    assert paths[:5].count("many.md") == 2
    assert paths.count("many.md") > 2
    assert len(index.search("tea", 12, everything)) == len(
        {(h.path, h.anchor) for h in index.search("tea", 12, everything)}
    )


def test_confidence_tells_answers_from_noise(tmp_path: Path) -> None:
    """A question whose rare words stand nowhere stays under the threshold although common words match."""
    documents: dict[str, str | bytes] = {
        f"{n}.md": f"# Page {n}\n\nHow to change the page and use the menu {n}." for n in range(50)
    }
    index = index_of(tmp_path, {**documents, "refund.md": "# Refunds\n\nA refund is paid within ten days."})
    assert index.search("when is a refund paid?", 1, everything)[0].confidence >= CONFIDENT
    noise = index.search("how do I change a bicycle tyre?", 1, everything)
    assert not noise or noise[0].confidence < CONFIDENT


def test_opening_a_document_or_a_section(cases: SearchIndex) -> None:
    """`open` gives the passages in order, of one anchor if asked, and nothing for what is not there."""
    assert [hit.anchor for hit in cases.open("guide.md")][:2] == ["the-kettle", "boiling-water"]
    assert [hit.text for hit in cases.open("guide.md", "use")] == ["First use."]
    assert cases.open("absent.md") == []
    assert cases.open("guide.md", "absent") == []


HOSTILE: dict[str, str | bytes] = {
    "unclosed.html": "<html><body><div><p>alpha <b>bold <table><tr><td>cell<div>" + "<div><p>" * 5000 + "omega",
    "stray.html": "</div></p></ul></li>" * 1000 + "<h2>Head</h2>alpha</table></pre></dl></section>tail <",
    "empty.html": "",
    "entities.html": "<p>alpha &amp;&#x41;&bogus; &#99999999;</p><!-- never closed",
    "skipped.html": "<nav><p>menu</nav></nav><p>alpha after</p><script>if (a < b) '</p>'",
    "zero.md": "# Alpha\0\n\nalpha \0 text " + "word " * 200,
    "fence.md": "# Alpha\n\n```\nnever closed\n\n# not a heading",
    "line.txt": "alpha " * 400_000,
    "headings.md": "# Alpha\n" * 3000 + "text",
    "setext.md": "---\n\n===\n\nalpha\n===\n---\n",
    "table.rst": "=====  =====\nalpha  b\n=====  =====\n1      2\n=====  =====\n",
    "odd.rst": "====\n\n----\nalpha\n..\n::\n\n.. code::\n\n.. \n   x\nTitle\n=\n",
    "latin.txt": "alpha caf\xe9".encode("latin-1"),
    "utf16.txt": "alpha utf sixteen".encode("utf-16"),
    "wrong.html": b"<meta charset=no-such-charset><p>alpha caf\xc3\xa9</p>",
}


def test_malformed_documents_are_survived(tmp_path: Path) -> None:
    """Broken markup, zero bytes, giant lines and odd encodings are read as far as they go, in seconds."""
    started = time.monotonic()
    index = index_of(tmp_path, HOSTILE)
    assert time.monotonic() - started < 20
    for path in ("unclosed.html", "skipped.html", "zero.md", "line.txt", "latin.txt", "utf16.txt", "wrong.html"):
        hits = index.search("alpha", 100, path.__eq__)
        assert hits, path
        assert all("\0" not in hit.text for hit in hits)
    assert [hit.path for hit in index.search("café", 5, everything)][:2] in (
        ["latin.txt", "wrong.html"],
        ["wrong.html", "latin.txt"],
    )
    assert index.search("menu", 5, everything) == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Binary and missing files are reported with a reason, others skipped with a count; the rest is indexed."""
    root = tmp_path / "docs"
    root.mkdir()
    (root / "a.md").write_text("# A\n\nalpha")
    (root / "binary.txt").write_bytes(bytes(range(256)) * 50)
    (root / "picture.png").write_bytes(b"png")
    (root / "genindex.html").write_text("<p>alpha</p>")
    names = ["a.md", "binary.txt", "picture.png", "genindex.html", "gone.md"]
    stats = build_index(root, [File(name) for name in names], tmp_path / "i.db")
    assert (stats.documents, stats.passages, stats.skipped) == (1, 1, 2)
    assert {unread.path: unread.reason for unread in stats.unread} == {
        "binary.txt": "not text in UTF-8, UTF-16, Latin-1 or the encoding that it declares",
        "gone.md": "No such file or directory",
    }


def test_the_old_index_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """An open index keeps answering while its file is replaced, and nothing is left beside it."""
    index = index_of(tmp_path, {"a.md": "# A\n\nalpha"})
    newer = index_of(tmp_path, {"b.md": "# B\n\nalpha beta"})
    assert len(index.search("alpha", 5, everything)) == 1
    assert len(newer.search("alpha", 5, everything)) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["docs", "docs.db"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_folder_that_cannot_be_written_is_bp481(tmp_path: Path) -> None:
    """Where the index cannot be put, the error is BP481 and an index that was there still works."""
    index_of(tmp_path, {"a.md": "# A\n\nalpha"})
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(BedplateError) as caught:
        build_index(tmp_path / "docs", [File("a.md")], blocked / "docs.db")
    assert caught.value.problems[0].code == "BP481"
    assert SearchIndex(tmp_path / "docs.db").search("alpha", 1, everything)


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 100])
def test_a_missing_or_damaged_index_is_bp480(tmp_path: Path, content: bytes | None) -> None:
    """No file, an empty file and rubbish are one clear error."""
    if content is not None:
        (tmp_path / "i.db").write_bytes(content)
    with pytest.raises(BedplateError) as caught:
        SearchIndex(tmp_path / "i.db")
    assert caught.value.problems[0].code == "BP480"


def test_searching_from_many_threads(cases: SearchIndex) -> None:
    """Eight threads ask at once and each gets its own answer."""
    wrong: list[str] = []

    def ask() -> None:
        for case in QUESTIONS * 3:
            hits = cases.search(case["ask"], 3, everything)
            if (hits[0].path, hits[0].anchor) != (case["path"], case["anchor"]):
                wrong.append(case["ask"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_read_only_index_is_enough(tmp_path: Path) -> None:
    """Searching writes nothing: no journal beside the file, and a read-only file in a read-only folder works."""
    index_of(tmp_path, {"a.md": "# A\n\nalpha"}).close()
    (tmp_path / "docs.db").chmod(0o400)
    before = (tmp_path / "docs.db").stat().st_mtime_ns
    index = SearchIndex(tmp_path / "docs.db")
    assert index.search("alpha", 1, everything)
    assert (tmp_path / "docs.db").stat().st_mtime_ns == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["docs", "docs.db"]


LONG = (
    "# Tea\n\n## Brewing\n\n" + "Some words on the history of brewing that answer nothing. " * 8 + "\n\n"
    "Steep green tea at eighty degrees for two minutes. It turns bitter when the water boils.\n\n"
    "Follow these steps:\n\n- heat the water\n- wait a little\n- pour\n\n"
    "```sh\nbrew --leaf green\n\nbrew --wait\n```\n\n" + "Closing words without meaning for the reader at all. " * 8
)


def test_an_excerpt_is_the_part_that_answers(tmp_path: Path) -> None:
    """Of a long passage the paragraph that answers is quoted, with what follows while there is room."""
    index = index_of(tmp_path, {"a.md": LONG})
    query = "how hot should the water be to steep green tea"
    hit = index.search(query, 1, everything)[0]
    quoted = excerpt(index, hit, query, 300)
    assert quoted.startswith("Steep green tea at eighty degrees")
    assert "history" not in quoted
    assert len(quoted) <= 300


def test_an_excerpt_keeps_lists_and_code_together(tmp_path: Path) -> None:
    """A list comes with the line that announces it; code is not cut inside its fence."""
    index = index_of(tmp_path, {"a.md": LONG})
    hit = index.search("brewing steps", 1, everything)[0]
    steps = excerpt(index, hit, "which steps heat pour", 120)
    assert steps.startswith("Follow these steps:\n\n- heat the water\n- wait a little\n- pour")
    code = excerpt(index, hit, "brew --leaf", 60)
    assert code.count("```") % 2 == 0
    assert "brew --leaf green" in code


def test_a_short_passage_is_quoted_whole(cases: SearchIndex) -> None:
    """What fits is not cut."""
    hit = Hit("a.md", "A", "a", "Short text.\n\nMore.")
    assert excerpt(cases, hit, "anything", 600) == "Short text.\n\nMore."
