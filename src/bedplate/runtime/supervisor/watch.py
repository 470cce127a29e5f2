"""What a process and its descendants use: private resident memory, and how many processes and threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """`memory`: bytes of private and shared-anonymous resident memory (code of shared libraries is not counted twice).

    `rss` counts all resident pages of every process; `pids` counts processes and threads.
    """

    memory: int
    rss: int
    pids: int


def usage(pid: int) -> Usage:
    """Of `pid` and everything below it. What ended in the meantime counts nothing."""
    memory = rss = pids = 0
    for each in _tree(pid):
        fields = _status(each)
        memory += 1024 * (fields.get("RssAnon", 0) + fields.get("RssShmem", 0))
        rss += 1024 * fields.get("VmRSS", 0)
        pids += fields.get("Threads", 0)
    return Usage(memory, rss, pids)


def _tree(pid: int) -> list[int]:
    children = _children if Path("/proc/thread-self/children").exists() else _children_by_parent()
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        todo += children(each)
    return found


def _children(pid: int) -> list[int]:
    # the main thread's list only would miss what other threads started
    children: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_bytes().split())
    except OSError:  # it ended
        return children
    return children


def _children_by_parent() -> Callable[[int], list[int]]:
    """The same on kernels without CONFIG_PROC_CHILDREN, by looking at every process once."""
    below: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        fields = _status(int(process.name))
        below.setdefault(fields.get("PPid", 0), []).append(int(process.name))
    return lambda pid: below.get(pid, [])


def _status(pid: int) -> dict[str, int]:
    wanted = ("PPid", "RssAnon", "RssShmem", "VmRSS", "Threads")
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace").splitlines()
    except OSError:  # it ended
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key: int(value.split()[0]) for key, value in pairs if key in wanted}
