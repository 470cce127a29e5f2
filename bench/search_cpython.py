"""Search over CPython's HTML documentation: its FAQ's questions against all of its pages. Prints JSON.

    python bench/search_cpython.py --html DIR [--drop-headings] [--misses]

DIR is `html` of Debian's package python3.11-doc. A question is a heading of `faq/*.html` that ends in `?`; the right
page is the page it stands on. The question is the heading itself, so with headings in the index the task is easy;
`--drop-headings` takes those headings out of the FAQ pages, so that only the answers' own words can be found.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from bedplate.search import CONFIDENT, SearchIndex, build_index

_HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.S)
# Asked of documentation that cannot answer them: confidence should stay under the threshold.
OUTSIDE = (
    "What is the capital of France?",
    "How do I bake sourdough bread?",
    "Who won the football world cup in 1998?",
    "What is the refund policy for annual plans?",
    "Which vaccines do I need for travelling to Kenya?",
    "How tall is Mount Everest?",
    "When does the supermarket close on Sunday?",
    "How do I repot an orchid?",
    "What is the boiling point of ethanol?",
    "Can my landlord raise the rent twice a year?",
    "How do I configure a Kubernetes ingress controller?",
    "What is the difference between espresso and ristretto?",
    "Who painted the Mona Lisa?",
    "How many calories are in a banana?",
    "How do I cancel my subscription?",
    "What are the symptoms of influenza?",
    "How do I change a bicycle tyre?",
    "Which visa do I need for Japan?",
    "How do I renew my passport?",
    "What is the exchange rate of the Swiss franc?",
)


@dataclass(frozen=True)
class File:
    """A file by its path relative to the root."""

    path: str


def questions(root: Path) -> list[tuple[str, str]]:
    """(question, page) of every FAQ heading that asks something."""
    found = []
    for page in sorted((root / "faq").glob("*.html")):
        for _, raw in _HEADING.findall(page.read_text("utf-8")):
            text = " ".join(unescape(re.sub(r"<[^>]+>", "", raw)).replace("¶", "").split())
            if text.endswith("?"):
                found.append((text, f"faq/{page.name}"))
    return found


def without_headings(root: Path, copy: Path) -> Path:
    """A copy of the folder whose FAQ pages have lost the headings that are asked."""
    target = copy / "html"
    shutil.copytree(root, target, ignore=lambda _, names: [n for n in names if n.startswith("_")])
    for page in (target / "faq").glob("*.html"):
        html = page.read_text("utf-8")
        page.write_text(_HEADING.sub(lambda m: "" if "?" in m[2] else m[0], html), "utf-8")
    return target


def measure(root: Path, asked: list[tuple[str, str]], index: Path, misses: bool) -> dict[str, object]:
    """Build, ask everything, count."""
    started_cpu = time.process_time()
    files = [File(f.relative_to(root).as_posix()) for f in sorted(root.rglob("*.html"))]
    stats = build_index(root, files, index)
    index_cpu = time.process_time() - started_cpu
    search = SearchIndex(index)
    asking_cpu = time.process_time()
    first = three = 0
    confidences, times, missed = [], [], []
    for question, page in asked:
        started = time.perf_counter()
        hits = search.search(question, 5, lambda _: True)
        times.append((time.perf_counter() - started) * 1000)
        pages = [hit.path for hit in hits]
        first += pages[:1] == [page]
        three += page in pages[:3]
        confidences.append(hits[0].confidence if hits else 0.0)
        if pages[:1] != [page]:
            missed.append([question, page, [f"{h.path}#{h.anchor}" for h in hits[:3]]])
    asking_cpu = time.process_time() - asking_cpu
    outside = {q: (h[0].confidence if (h := search.search(q, 1, lambda _: True)) else 0.0) for q in OUTSIDE}
    report: dict[str, object] = {
        "documents": stats.documents,
        "passages": stats.passages,
        "indexSeconds": round(stats.seconds, 2),
        "indexCpuSeconds": round(index_cpu, 2),
        "indexBytes": index.stat().st_size,
        "questions": len(asked),
        "firstShare": round(first / len(asked), 3),
        "firstThreeShare": round(three / len(asked), 3),
        "medianMs": round(statistics.median(times), 2),
        "p95Ms": round(statistics.quantiles(times, n=20)[-1], 2),
        "meanCpuMs": round(asking_cpu / len(asked) * 1000, 2),
        "confidentShare": round(sum(c >= CONFIDENT for c in confidences) / len(asked), 3),
        "outsideQuestions": len(OUTSIDE),
        "outsideConfident": [f"{q} ({c})" for q, c in outside.items() if c >= CONFIDENT],
    }
    if misses:
        report["missed"] = missed
        report["outside"] = outside
        report["confidences"] = sorted(confidences)[:40]
    return report


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--drop-headings", action="store_true")
    parser.add_argument("--misses", action="store_true", help="name the questions whose right page was not first")
    args = parser.parse_args()
    asked = questions(args.html)
    with tempfile.TemporaryDirectory() as folder:
        root = without_headings(args.html, Path(folder)) if args.drop_headings else args.html
        report = measure(root, asked, Path(folder) / "docs.db", args.misses)
    json.dump({"dropHeadings": args.drop_headings, **report}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
