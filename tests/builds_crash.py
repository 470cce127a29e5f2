"""A program that makes or collects builds and is killed at each point where the store changes. Prints JSON.

Run as `python builds_crash.py FOLDER make|collect`. What was killed is done again, and the store is looked at. Points
are counted by an audit hook: every file that is opened, renamed, linked, made or removed in the store.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bedplate.release.builds.store import BuildStore
from builds_support import FILES, built, tree_of, write_project

EVENTS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.utime"}


def main(root: Path, what: str) -> None:
    """Kill at the first point, at the second, and so on until a run gets through."""
    results = []
    for point in range(1, 1000):
        project = root / str(point)
        write_project(project, FILES)
        act = partial(built, project) if what == "make" else collecting(project)
        if forked(act, point) == 0:
            break
        results.append(look(project, point))
        shutil.rmtree(project)
    print(json.dumps(results))  # noqa: T201


def collecting(project: Path) -> Callable[[], object]:
    """Makes the build, and another that a collection is to keep instead of it."""
    built(project)
    (project / "docs/one.md").write_text("# One, edited\n")
    kept = built(project)
    write_project(project, FILES)
    return lambda: BuildStore(project).collect(lambda: {kept.digest})


def look(project: Path, point: int) -> dict[str, Any]:
    """What reading the store says after the kill, and what the next build makes of it."""
    store = BuildStore(project)
    listed = [build.digest for build in store.records()]
    read = [store.open(digest).digest for digest in listed]  # what has a record is whole
    build = built(project)
    store.collect(lambda: {build.digest})
    found = store.open(build.digest)
    return {
        "point": point,
        "whole": read == listed,
        "tree": {path: data.decode() for path, data in tree_of(found).items()},
        "blobs": sum(1 for _ in (store.folder / "blobs").glob("*/*")),
        "drafts": sum(1 for _ in store.folder.glob("drafts/*")),
        "trees": sorted(path.name for path in (store.folder / "trees").iterdir()) == [build.hex],
    }


def forked(act: Callable[[], object], point: int) -> int:
    """Act in a child process that dies at the point; its status, negative for a signal."""
    if (child := os.fork()) == 0:
        seen, lock = 0, threading.Lock()

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if event in EVENTS and any("_builds" in str(a) for a in arguments):
                with lock:
                    seen += 1
                    if seen == point:
                        os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            act()
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
