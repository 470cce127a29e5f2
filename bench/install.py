"""What the base install costs: seconds, megabytes on disk and number of packages, in a fresh virtual environment.

Prints one JSON document. `seconds` depends on the network and on pip's cache (`--cold` turns the cache off); an
environment that holds nothing but pip, made in the same run, is the yardstick for size.

    python bench/install.py [--cold]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cold", action="store_true", help="without pip's cache")
    cold = parser.parse_args().cold
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), cold), indent=2))


def measure(folder: Path, cold: bool) -> dict[str, object]:
    """Install a copy of the tree into a fresh environment."""
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".venv", ".git", ".bedplate", "build", "*.egg-info"))
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    empty = size_mb(environment)
    command = [str(environment / "bin/pip"), "install", "--quiet", *(["--no-cache-dir"] if cold else []), str(source)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    listed = subprocess.run(
        [str(environment / "bin/pip"), "list", "--format=json"], check=True, capture_output=True, text=True
    )
    packages = [p["name"] for p in json.loads(listed.stdout) if p["name"] not in {"pip", "setuptools"}]
    return {
        "python": sys.version.split()[0],
        "cold": cold,
        "seconds": round(seconds, 1),
        "packages": len(packages),
        "environment_mb": size_mb(environment),
        "added_mb": round(size_mb(environment) - empty, 1),
        "own_mb": size_mb(next(environment.glob("lib/python*/site-packages/bedplate"))),
    }


def size_mb(folder: Path) -> float:
    """Megabytes of the files below a folder, links not followed."""
    return round(sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir()) / 1e6, 1)


if __name__ == "__main__":
    main()
