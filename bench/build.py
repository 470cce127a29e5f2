"""Seconds of `build` for the example and for 2,000 documents: first, unchanged, and after one file changed.

Prints one JSON document. Each figure is the median of several runs; `beyond_start_s` is what an unchanged build takes
beyond `bedplate --help`, which loads the command line and does nothing.

    python bench/build.py [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEDPLATE = [sys.executable, "-m", "bedplate.cli.main"]
FILES, WORDS = 2000, 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        example, large = Path(folder) / "example", Path(folder) / "large"
        copy_example(example)
        copy_example(large)
        for number in range(FILES):
            place = large / f"docs/{number % 40}"
            place.mkdir(exist_ok=True)
            (place / f"{number}.md").write_text(f"# Page {number}\n\n" + f"word{number} " * WORDS)
        print(json.dumps({"example": measure(example, runs), f"files_{FILES}": measure(large, runs)}, indent=2))


def copy_example(folder: Path) -> None:
    """The example of this repository."""
    folder.mkdir()
    for name in ("agent.yaml", "prompts", "docs", "evals"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)


def measure(project: Path, runs: int) -> dict[str, float]:
    """Every figure of one project."""
    start = median([run(["--help"], project) for _ in range(runs)])
    first, changed = [], []
    for number in range(runs):
        shutil.rmtree(project / ".bedplate", ignore_errors=True)
        first.append(run(["build"], project))
        (project / "docs/changed.md").write_text(f"# Changed\n\n{number}\n")
        changed.append(run(["build"], project))
    unchanged = median([run(["build"], project) for _ in range(runs)])
    validate = median([run(["validate"], project) for _ in range(runs)])
    return {
        "start_s": start,
        "validate_s": validate,
        "first_s": median(first),
        "one_changed_s": median(changed),
        "unchanged_s": unchanged,
        "beyond_start_s": round(unchanged - start, 3),
    }


def median(samples: list[float]) -> float:
    """To the millisecond."""
    return round(statistics.median(samples), 3)


def run(arguments: list[str], folder: Path) -> float:
    """Wall seconds of one command."""
    started = time.perf_counter()
    done = subprocess.run([*BEDPLATE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arguments} exited with {done.returncode}: {done.stderr}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
