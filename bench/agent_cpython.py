"""An agent over CPython's HTML documentation, asked the questions of that documentation's FAQ. Prints JSON.

    python bench/agent_cpython.py --html DIR [--limit N]

DIR is `html` of Debian's package python3.11-doc. The agent is brought up by `bedplate up` in a temporary project and
asked over HTTP, as a caller would. A question is a heading of `faq/*.html` that ends in `?`; the right page is the one
it stands on. `first`: the quoted source is that page; `first_three`: it is among the sources that the answer names.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from search_cpython import OUTSIDE, questions

from bedplate.runtime.client import Answer, StageClient

BEDPLATE = [sys.executable, "-m", "bedplate.cli.main"]
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: cpython}
intent: script
model: bedplate:extractive
instructions: Answer from the documentation.
data:
  - {name: python, type: files, path: html, include: ["*.html"]}
tools:
  - {name: python, type: search, use: python, scopes: [{read: "*"}]}
stages:
  prototype: {target: local}
"""


def main() -> None:
    """Bring the agent up, ask, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        shutil.copytree(arguments.html.resolve(), project / "html", symlinks=False, ignore=_not_html)
        (project / "agent.yaml").write_text(MANIFEST)
        try:
            print(json.dumps(measure(project, arguments.limit), indent=2))
        finally:
            run(project, "destroy", "--yes")


def measure(project: Path, limit: int) -> dict[str, object]:
    """Seconds of the first `up` and of one that indexes again, and what the answers name."""
    asked = questions(project / "html")[: limit or None]
    started = time.perf_counter()
    up = json.loads(run(project, "up", "--json"))
    first_up = time.perf_counter() - started
    started = time.perf_counter()
    run(project, "up")
    again = time.perf_counter() - started
    stage = project / ".bedplate/prototype"
    key = (stage / "secrets/api-key").read_text().strip()
    answers, seconds, outside = asyncio.run(ask_all(up["outputs"]["url"], key, [q for q, _ in asked]))
    pages = [[source.partition("#")[0] for source in answer.sources] for answer in answers]
    right = [page for _, page in asked]
    return {
        "documents": sum(1 for _ in (project / "html").rglob("*.html")),
        "index_mb": round((stage / "index/python.db").stat().st_size / 1e6, 1),
        "first_up_s": round(first_up, 2),
        "up_noop_s": round(again, 2),
        "questions": len(asked),
        "first": share(p[:1] == [r] for p, r in zip(pages, right, strict=True)),
        "first_three": share(r in p[:3] for p, r in zip(pages, right, strict=True)),
        "found_nothing": share("found nothing" in a.output for a in answers),
        "answer_ms_median": round(statistics.median(seconds) * 1000, 1),
        "answer_ms_p95": round(sorted(seconds)[int(len(seconds) * 0.95)] * 1000, 1),
        "outside_questions": len(OUTSIDE),
        "outside_refused": share("found nothing" in a.output for a in outside),
    }


async def ask_all(url: str, key: str, asked: list[str]) -> tuple[list[Answer], list[float], list[Answer]]:
    """Ask one after another, so that each time is the time of one answer."""
    answers, seconds = [], []
    async with StageClient(url, key, timeout=90) as client:
        for number, question in enumerate(asked):
            started = time.perf_counter()
            answers.append(await client.ask(question, user=f"reader-{number}"))
            seconds.append(time.perf_counter() - started)
        outside = [await client.ask(question, user="outsider") for question in OUTSIDE]
    return answers, seconds, outside


def share(hits: object) -> float:
    """The share of true values."""
    values = list(hits)  # type: ignore[call-overload]
    return round(sum(values) / len(values), 3)


def run(project: Path, *arguments: str) -> str:
    """Run a command in the project; its standard output."""
    done = subprocess.run([*BEDPLATE, *arguments], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr}")
    return done.stdout


def _not_html(folder: str, names: list[str]) -> set[str]:
    return {n for n in names if not n.endswith(".html") and not (Path(folder) / n).is_dir()}


if __name__ == "__main__":
    main()
