"""Run the `bedplate` command as a person would: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OFFLINE = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true", "PULUMI_SKIP_UPDATE_CHECK": "true"}
"""Settings of the Pulumi CLI under which it asks no host for plugins or a newer version of itself."""
COMMAND = [sys.executable, "-m", "bedplate.cli.main"]


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def bedplate(
    folder: Path, *arguments: str, stdin: str = "", timeout: float = 120, env: dict[str, str] | None = None
) -> Ran:
    """Run one command in `folder` without a terminal."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **OFFLINE, "NO_COLOR": "1", "COLUMNS": "100", **(env or {})},
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def ok(folder: Path, *arguments: str, **options: Any) -> Ran:
    """Run a command that must succeed."""
    ran = bedplate(folder, *arguments, **options)
    assert ran.code == 0, f"{arguments}: exit {ran.code}\n{ran.out}\n{ran.err}"
    return ran


def pids_of(folder: Path) -> list[int]:
    """Every process whose command line names this folder."""
    found = []
    for proc in Path("/proc").iterdir():
        if proc.name.isdigit() and int(proc.name) != os.getpid():
            try:
                line = (proc / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(int(proc.name))
    return found
