"""Wall and processor seconds of `bedplate review` and `bedplate plan` from the shell, on the example.

Makes a git repository of a copy of the example in a temporary folder, with a change on top: a wider scope, another
prompt, a raised limit. Prints one JSON document: medians of several runs after a warm-up, with a bare interpreter as
yardstick. `ten_stages` is the same change with ten stages, each with limits of its own.

    python bench/review.py [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from commands import BEDPLATE, ROOT, against, repeat


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), runs), indent=2))


def measure(folder: Path, runs: int) -> dict[str, object]:
    """Every figure."""
    bare = repeat(["python3", "-c", "pass"], folder, runs)
    one, ten, same = (repository(folder / name, stages) for name, stages in (("one", 1), ("ten", 10), ("same", 1)))
    git(same, "checkout", "-q", "HEAD^")
    review = [*BEDPLATE, "review", "--base"]
    figures = {
        "bare_python": bare,
        "plan": against(repeat([*BEDPLATE, "plan"], one, runs), bare),
        "review_unchanged": against(repeat([*review, "HEAD"], same, runs), bare),
        "review_one_stage": against(repeat([*review, "HEAD^"], one, runs), bare),
        "review_ten_stages": against(repeat([*review, "HEAD^"], ten, runs), bare),
    }
    return {"stages": {"one": 1, "ten": 10}, **figures}


def repository(folder: Path, stages: int) -> Path:
    """The example's files as of the commit that is checked out here, and a change on top of them."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", "HEAD", "agent.yaml", "prompts", "docs", "evals"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    manifest = folder / "agent.yaml"
    more = [f"  stage{n}: {{target: local, limits: {{tokens: {n}000}}}}\n" for n in range(1, stages)]
    manifest.write_text(manifest.read_text() + "".join(more))
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "before")
    text = manifest.read_text()
    manifest.write_text(
        text.replace("exclude: [internals.md, ", "exclude: [").replace("tokens: 60000", "tokens: 70000")
    )
    (folder / "prompts/system.md").write_text("Answer from the documentation.\n")
    commit(folder, "after")
    return folder


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
