"""Processor seconds, wall time and memory of the commands a person waits for, and of the processes that stay.

Brings up a copy of the example in a temporary folder. Prints one JSON document. Each command is run several times
after a warm-up; medians are given, with a bare interpreter in the same run as the yardstick (`ratio`).

    python bench/commands.py [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEDPLATE = [sys.executable, "-m", "bedplate.cli.main"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("agent.yaml", "prompts", "docs", "evals"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, project / name)
        print(json.dumps(measure(project, runs), indent=2))


def measure(project: Path, runs: int) -> dict[str, object]:
    """Every figure, in the order in which a new user meets the commands."""
    bare = repeat([sys.executable, "-c", "pass"], project, runs)
    figures: dict[str, object] = {"bare_python": bare, "first_up_to_answer": first_answer(project)}
    try:
        commands = {
            "help": ["--help"],
            "validate": ["validate"],
            "plan_noop": ["plan"],
            "up_noop": ["up"],
            "ask": ["ask", "What is a grant?"],
        }
        for name, arguments in commands.items():
            figures[name] = against(repeat([*BEDPLATE, *arguments], project, runs), bare)
        figures["processes_mb"] = memory(project)
    finally:
        run([*BEDPLATE, "destroy", "--yes"], project)
    return figures


def first_answer(project: Path) -> dict[str, float]:
    """Seconds from typing the first `up` to the first answer of `ask`."""
    started = time.perf_counter()
    up = run([*BEDPLATE, "up"], project)
    ask = run([*BEDPLATE, "ask", "What is Bedplate?"], project)
    return {
        "wall_s": round(time.perf_counter() - started, 2),
        "up_wall_s": up["wall_s"],
        "up_cpu_s": up["cpu_s"],
        "ask_wall_s": ask["wall_s"],
    }


def repeat(command: list[str], folder: Path, runs: int) -> dict[str, float]:
    """Medians of several runs after one that does not count."""
    run(command, folder)
    samples = [run(command, folder) for _ in range(runs)]
    return {key: round(statistics.median(s[key] for s in samples), 3) for key in ("cpu_s", "wall_s")}


def run(command: list[str], folder: Path) -> dict[str, float]:
    """One run: processor seconds of the command and its children, wall seconds. Exit codes 0, 2 and 3 are fine."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 2, 3):
        raise SystemExit(f"{command} exited with {done.returncode}: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 3), "wall_s": round(wall, 3)}


def against(figure: dict[str, float], bare: dict[str, float]) -> dict[str, float]:
    """The figure with its ratio to a bare interpreter."""
    return {**figure, "ratio": round(figure["wall_s"] / bare["wall_s"], 1)}


def memory(project: Path) -> dict[str, float]:
    """Resident and proportional megabytes of each process of the stage; the sandbox's helpers count with the agent."""
    status = subprocess.run([*BEDPLATE, "status", "--json"], cwd=project, capture_output=True, text=True, check=True)
    found = {}
    for process in json.loads(status.stdout)["processes"]:
        tree = family(process["pid"])
        found[process["name"]] = {
            "rss": round(sum(field(pid, "Rss") for pid in tree) / 1024, 1),
            "pss": round(sum(field(pid, "Pss") for pid in tree) / 1024, 1),
        }
    found["total"] = {key: round(sum(p[key] for p in found.values()), 1) for key in ("rss", "pss")}
    return found


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for child in children for p in family(int(child)))]


def field(pid: int, name: str) -> int:
    """Kilobytes of one line of smaps_rollup."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
